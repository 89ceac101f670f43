"""Each producer's part of a run: the sequence numbers that arrived, and how many events its end counted.

Sets of numbers merge by union, so repetition and order cannot matter. Gaps are judged when a run is read: a number without an
event is a loss, an event on its way, or a step that never ended. Producers that do not number their events (OTLP)
have no row.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
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
        """Its key in the store."""
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


def merged(rows: Sequence[ProducerRow]) -> ProducerRow:
    """The merge of these rows, at least one, all of one key. Commutative, associative, idempotent.

    Of ends the one that counted more is the later one. All at once, since one after the other costs the square of the gaps.
    """
    if len(rows) == 1:
        return rows[0]
    emitted = max((row.emitted for row in rows if row.emitted is not None), default=None)
    return rows[0]._replace(seen=united(chain.from_iterable(row.seen for row in rows)), emitted=emitted)
