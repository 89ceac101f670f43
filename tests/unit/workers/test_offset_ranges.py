"""Sets of offsets, held against Python's own sets."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stream_workers.kafka.offset_ranges import both, end_of, frontier, minus, size, union, within

RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=6)


def _set(ranges: list[tuple[int, int]]) -> set[int]:
    return {one for start, end in ranges for one in range(start, end)}


@given(RANGES, RANGES)
def test_ranges_are_sets(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    """Union, difference and intersection have the members that sets have, sorted and merged."""
    assert _set(union(one, other)) == _set(one) | _set(other)
    assert _set(minus(one, other)) == _set(one) - _set(other)
    assert _set(both(one, other)) == _set(one) & _set(other)
    for found in (union(one, other), minus(one, other), both(one, other)):
        assert all(start < end for start, end in found)
        assert all(before[1] < after[0] for before, after in pairwise(found))
        assert size(found) == len(_set(found))
        assert {offset for offset in range(40) if within(offset, found)} == _set(found)


@given(RANGES)
def test_the_frontier_is_the_first_offset_that_is_missing(ranges: list[tuple[int, int]]) -> None:
    """From 0 on."""
    known = _set(ranges)
    assert frontier(ranges) == next(offset for offset in range(100) if offset not in known)
    assert end_of(union(ranges)) == max(known, default=-1) + 1
