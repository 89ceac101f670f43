"""Which failed calls a later one made good."""

from hypothesis import given
from hypothesis import strategies as st

from agenttracer.rules.recovery import Call, judged_end, made_good
from agenttracer.wire.vocabulary import RunEnd

CALLS = st.lists(
    st.builds(
        lambda began, lasted, failed, work, said: Call(began, began + lasted, failed, work, said),
        began=st.integers(1, 30),
        lasted=st.integers(0, 8),
        failed=st.booleans(),
        work=st.sampled_from([None, None, "a", "b"]),
        said=st.sampled_from([0, 0, 0, 1, 2]),
    ),
    max_size=8,
)


def by_the_letter(calls: list[Call]) -> set[int]:
    """The rule as it is written, call by call."""

    def fan_out(index: int) -> set[int]:
        found, waiting = {index}, [index]
        while waiting:
            one = calls[waiting.pop()]
            for other, call in enumerate(calls):
                if other not in found and call.began < one.ended and one.began < call.ended:
                    found.add(other)
                    waiting.append(other)
        return found

    def follows(later: Call, index: int) -> bool:
        failed = calls[index]
        if failed.work is not None and later.work is not None:
            return later.work == failed.work and later.began >= failed.ended
        ended = failed.ended if later.said_attempt else max(calls[each].ended for each in fan_out(index))
        return later.began >= ended

    good = [call for call in calls if not call.failed and call.said_attempt != 1]
    return {index for index, call in enumerate(calls) if call.failed and any(follows(later, index) for later in good)}


@given(CALLS.filter(lambda calls: all(call.ended > call.began for call in calls)))
def test_the_short_way_is_the_rule(calls: list[Call]) -> None:
    """One pass over sorted calls says what comparing each with each says."""
    assert made_good(calls) == by_the_letter(calls)


@given(CALLS, st.randoms(use_true_random=False))
def test_order_does_not_matter(calls: list[Call], dice) -> None:  # noqa: ANN001 - hypothesis's own
    """Steps arrive in any order."""
    order = list(range(len(calls)))
    dice.shuffle(order)
    assert {order[index] for index in made_good([calls[each] for each in order])} == made_good(calls)


def test_a_call_without_length_counts_alike_in_any_order() -> None:
    """It stands before a call that begins in its moment, and not beside it."""
    calls = [Call(5, 8, False), Call(5, 5, True), Call(5, 6, False)]  # noqa: FBT003 - failed, went well
    assert made_good(calls) == {1}
    assert made_good(calls[::-1]) == {1}


def test_a_retry_makes_good() -> None:
    """It began after the failed call had ended."""
    assert made_good([Call(1, 2, True), Call(2, 3, False)]) == {0}  # noqa: FBT003 - failed, went well
    assert made_good([Call(1, 2, True), Call(1, 3, False)]) == frozenset()  # noqa: FBT003


def test_calls_beside_each_other_are_no_attempts() -> None:
    """Of ten parallel fetches five fail: none of the others is an attempt of them, also when only some run at a time."""
    together = [Call(1, 10 + number, failed=number % 2 == 0) for number in range(10)]
    in_pairs = [Call(1, 3, failed=True), Call(1, 9, failed=False), Call(3, 12, failed=False)]
    assert made_good(together) == made_good(in_pairs) == frozenset()
    assert made_good([*in_pairs, Call(12, 13, failed=False)]) == {0}


def test_known_work_must_be_the_same() -> None:
    """Another argument is another thing; the same one is made good although others ran meanwhile."""
    fetched = [Call(1, 3, failed=True, work="a"), Call(1, 9, failed=False, work="b"), Call(4, 5, failed=False, work="c")]
    assert made_good(fetched) == frozenset()
    assert made_good([*fetched, Call(4, 6, failed=False, work="a")]) == {0}


def test_a_first_attempt_makes_nothing_good() -> None:
    """Where the agent's code says that it is one."""
    assert made_good([Call(1, 2, failed=True), Call(3, 4, failed=False, said_attempt=1)]) == frozenset()
    assert made_good([Call(1, 2, failed=True), Call(3, 4, failed=False, said_attempt=2)]) == {0}


def test_an_end_is_partial_where_something_was_not_made_good() -> None:
    """A failure stays one, and a partial end that was told stays partial."""
    assert judged_end(RunEnd.SUCCESS, unrecovered=True) is RunEnd.PARTIAL
    assert judged_end(RunEnd.SUCCESS, unrecovered=False) is RunEnd.SUCCESS
    assert judged_end(RunEnd.PARTIAL, unrecovered=False) is RunEnd.PARTIAL
    assert judged_end(RunEnd.FAILURE, unrecovered=True) is RunEnd.FAILURE
