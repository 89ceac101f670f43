"""Sets of offsets as sorted ranges [start, end): the ledger's multiranges in Python. Pure."""

from collections.abc import Iterable, Sequence

Ranges = Sequence[tuple[int, int]]


def union(*many: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """All offsets of these ranges."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(one for ranges in many for one in ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        elif start < end:
            merged.append((start, end))
    return merged


def minus(one: Iterable[tuple[int, int]], other: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The offsets of `one` that are not in `other`."""
    left = union(one)
    for start, end in union(other):
        left = [part for low, high in left for part in ((low, min(high, start)), (max(low, end), high)) if part[0] < part[1]]
    return left


def both(one: Iterable[tuple[int, int]], other: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The offsets that are in both."""
    ours = union(one)
    return minus(ours, minus(ours, other))


def within(offset: int, ranges: Iterable[tuple[int, int]]) -> bool:
    """Whether one of them holds it."""
    return any(start <= offset < end for start, end in ranges)


def size(ranges: Iterable[tuple[int, int]]) -> int:
    """How many offsets."""
    return sum(end - start for start, end in ranges)


def end_of(ranges: Ranges) -> int:
    """The first offset after all of them; 0 of none."""
    return max((end for _, end in ranges), default=0)


def frontier(ranges: Iterable[tuple[int, int]]) -> int:
    """How far they reach from 0 without a hole."""
    merged = union(ranges)
    return merged[0][1] if merged and merged[0][0] == 0 else 0
