"""How totals bound the names that a sender chooses."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from agenttracer.wire.vocabulary import OTHER_NAME
from stream_workers.rollups.name_cap import NameCap, counted


def test_names_within_the_bound_stay() -> None:
    """As many names as the bound says are no reason to ask further."""
    assert not NameCap({"a"}, most=2).exceeded_by({"a": 1, "b": 1, "": 5})
    assert NameCap({"a"}, most=2).exceeded_by({"b": 1, "c": 1})


def test_what_the_day_has_stays_and_the_most_frequent_new_names_come_first() -> None:
    """With room for one more, the name that counts most is admitted."""
    assert NameCap({"a"}, most=2).renamed({"a": 1, "rare": 1, "often": 9}, frozenset()) == {"rare"}


def test_a_name_of_the_days_before_is_never_renamed() -> None:
    """Also where the day is full: it is known, and takes no room from the others of that day afterwards."""
    assert NameCap({"a", "b"}, most=2).renamed({"known": 1, "new": 3}, frozenset({"known"})) == {"new"}


def test_a_correction_goes_where_the_name_was_counted() -> None:
    """A name that the day does not have was counted as `__other__`: what takes it back is subtracted there."""
    cap = NameCap({"a", OTHER_NAME}, most=9)
    assert cap.exceeded_by({"gone": -1})
    assert cap.renamed({"gone": -1, "moved": 0, "known": 1}, frozenset({"gone", "known"})) == {"gone", "moved"}


def test_a_day_that_counted_others_admits_no_further_name() -> None:
    """Though there be room again: the name may be one of them."""
    assert NameCap({"a", OTHER_NAME}, most=9).renamed({"new": 1}, frozenset()) == {"new"}


@given(st.lists(st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=6), max_size=12))
def test_nothing_counts_below_zero(batches: list[list[tuple[int, bool]]]) -> None:
    """Whatever is counted, taken back and swept in whatever order: each total is what is left of what it was added up from."""
    totals: Counter[str] = Counter()
    counted_so_far: Counter[str] = Counter()
    for batch in batches:
        incoming: Counter[str] = Counter()
        for number, back in batch:
            name = f"n{number}"
            if not back or counted_so_far[name] > 0:
                incoming[name] += -1 if back else 1
                counted_so_far[name] += -1 if back else 1
        cap = NameCap(totals.keys(), most=2)
        others = cap.renamed(incoming, frozenset()) if cap.exceeded_by(incoming) else frozenset()
        for name, count in incoming.items():
            totals[OTHER_NAME if name in others else name] += count
        totals = Counter({name: count for name, count in totals.items() if count})
        assert all(count > 0 for count in totals.values())
        assert totals.total() == counted_so_far.total()


def test_no_name_and_the_placeholder_are_not_counted() -> None:
    """They stand for no name of the sender's."""
    assert NameCap({""}, most=1).renamed({"": 4, OTHER_NAME: 2, "a": 1}, frozenset()) == frozenset()


def test_deltas_are_counted_by_day_and_name() -> None:
    """Signed, as they are."""
    assert counted([(0, "a", 2), (0, "a", -1), (1440, "a", 5)]) == {0: {"a": 1}, 1440: {"a": 5}}
