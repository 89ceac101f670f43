"""What is known of a run merges by rules that no order can upset."""

from stream_workers.core.run import End, RunState, Start, Who, merge


def _state(**said: object) -> RunState:
    given = {
        "project": "default",
        "run_id": "r",
        "who": Who(1, "b", "1"),
        "start": None,
        "end": None,
        "first_failure": None,
        "abandon_after_s": None,
        "first_ended_at": None,
        "first_event_at": 10,
        "last_event_at": 20,
        "last_received_at": 30,
    }
    return RunState(**{**given, **said})


def test_who_is_said_with_the_start_wins() -> None:
    """An agent's name that came with the start beats an earlier letter that came without."""
    assert merge(_state(who=Who(1, "a", "1")), _state(who=Who(0, "z", "1"))).who.agent == "z"


def _started(agent: str, start: Start) -> RunState:
    return _state(who=Who(0, agent, "1"), start=start)


def test_where_a_run_began_comes_before_where_it_went_on() -> None:
    """A start that names a step of its own run loses against one that does not, however early, and takes its agent along."""
    root = _started("support", Start(9, 1, None, None, '{"a":1}'))
    part = _started("billing", Start(5, 0, None, "00000000000000aa", None))
    for merged in (merge(root, part), merge(part, root)):
        assert (merged.who.agent, merged.start) == ("support", root.start)


def test_of_several_that_went_on_the_earliest_says_who_ran() -> None:
    """Behind a root that never comes the first process counts, not the first letter."""
    early = _started("support", Start(5, 9, None, "00000000000000aa", None))
    late = _started("billing", Start(6, 0, None, "00000000000000ab", None))
    for merged in (merge(late, early), merge(early, late)):
        assert (merged.who.agent, merged.start) == ("support", early.start)


def test_a_linked_run_begins_where_it_says() -> None:
    """A step of another run, which is named, is no sign that the run began elsewhere."""
    linked = _started("support", Start(5, 0, "parent", "00000000000000aa", None))
    assert merge(_started("billing", Start(6, 0, None, None, None)), linked).who.agent == "support"


def test_one_start_from_two_agents() -> None:
    """The same start said under two names has one winner, in either order."""
    start = Start(5, 0, None, None, None)
    one, other = _started("a", start), _started("b", start)
    assert merge(one, other).who == merge(other, one).who == one.who


def test_the_earliest_start_wins_whole() -> None:
    """Everything a start says comes from one event."""
    early = Start(5, 9, "parent", None, '{"a":1}')
    late = Start(6, 1, "other", "00000000000000aa", None)
    assert merge(_started("a", late), _started("b", early)) == merge(_started("b", early), _started("a", late))
    assert merge(_started("a", late), _started("b", early)).start == early


def test_the_latest_end_wins_and_the_first_is_remembered() -> None:
    """Conflicting ends have one winner; that there were two can be seen."""
    first, last = End(50, 1, "success", 3), End(60, 1, "failure", 4)
    merged = merge(_state(end=last, first_ended_at=60), _state(end=first, first_ended_at=50))
    assert (merged.end, merged.first_ended_at) == (last, 50)


def test_spans_grow() -> None:
    """The earliest and latest times of both are kept."""
    merged = merge(_state(first_event_at=1, last_event_at=2), _state(last_received_at=99))
    assert (merged.first_event_at, merged.last_event_at, merged.last_received_at) == (1, 20, 99)
