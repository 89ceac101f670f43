"""How far a partition is finished."""

from hypothesis import given
from hypothesis import strategies as st

from stream_workers.kafka.watermark import Watermark


def test_a_hole_one_wide_is_not_passed() -> None:
    """The first chunk is unfinished, the next is done: nothing may be committed."""
    mark = Watermark()
    mark.delivered(0, 0, 1.0)
    mark.delivered(1, 10, 2.0)
    mark.finished(10)
    assert mark.position is None
    assert mark.oldest_s == 1.0
    assert mark.oldest == (0, 1.0)


@given(st.permutations(range(8)), st.integers(0, 8))
def test_the_position_is_the_end_of_the_finished_prefix(order: list[int], finished: int) -> None:
    """In whatever order chunks finish, the position never passes an unfinished one and never falls behind."""
    mark = Watermark()
    for chunk in range(8):
        mark.delivered(chunk * 10, chunk * 10, float(chunk))
    done = set(order[:finished])
    for chunk in order[:finished]:
        mark.finished(chunk * 10)
    prefix = next((chunk for chunk in range(8) if chunk not in done), 8)
    assert mark.position == ((prefix - 1) * 10 + 1 if prefix else None)


def test_what_was_forgotten_no_longer_counts() -> None:
    """A chunk of before a rewind finishes late: it moves nothing."""
    mark = Watermark()
    mark.delivered(5, 5, 1.0)
    mark.forget()
    mark.finished(5)
    assert mark.position is None
