"""What each producer said of a run: which of its sequence numbers are there, and how many events its end counted.

Sets of numbers merge by union, so repetition and order cannot matter. What is missing is judged by whoever looks: a number
without an event is a loss, an event on its way, or a step that never ended. Producers that do not number their events (OTLP)
have no row.
"""

from collections.abc import Iterable
from typing import NamedTuple

Ranges = tuple[tuple[int, int], ...]
"""Numbers as ranges, each without its end: ascending, neither touching nor overlapping, as PostgreSQL's int4multirange."""


class ProducerRow(NamedTuple):
    """One producer's part of a run. Key: the first three fields."""

    project: str
    run_id: str
    producer: str
    seen: Ranges
    emitted: int | None

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies it in the store."""
        return self[:3]


def ranges_of(numbers: list[int]) -> Ranges:
    """The numbers, at least one, as ranges. Those of most records follow each other, so that is found out first."""
    first, end = numbers[0], numbers[0] + len(numbers)
    if numbers == list(range(first, end)):
        return ((first, end),)
    return united((number, number + 1) for number in numbers)


def united(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """All numbers that are in any of these ranges."""
    found: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((first, end))
    return tuple(found)


def merged(one: ProducerRow, other: ProducerRow) -> ProducerRow:
    """What both say. Commutative, associative, idempotent: of two ends the one that counted more is the later one."""
    emitted = max((each for each in (one.emitted, other.emitted) if each is not None), default=None)
    return one._replace(seen=united((*one.seen, *other.seen)), emitted=emitted)
