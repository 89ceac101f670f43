"""Counts by time bucket and key as series that can be drawn: the largest keys, and what is left added up. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from query_service.aggregate import RunTotals, StepSums
from query_service.store.rows import RunCount, StepCount
from query_service.store.store import Column

Key = tuple[str, ...]
Row = TypeVar("Row", RunCount, StepCount)
Totals = TypeVar("Totals", RunTotals, StepSums)
_NOTHING: Final[Key] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Series(Generic[Totals]):
    """Totals of each time bucket. `key` is None for the keys that are not among the largest, added up."""

    key: Key | None
    total: int
    buckets: Sequence[Totals]


def run_series(rows: Iterable[RunCount], columns: Sequence[Column], *, buckets: int, most: int) -> list[Series[RunTotals]]:
    """Series of runs by the columns, the one with most runs first; at most `most` of them and the rest."""
    return _series(list(rows), columns, buckets=buckets, most=most, make=RunTotals, size=lambda row: row.runs)


def step_series(rows: Iterable[StepCount], columns: Sequence[Column], *, buckets: int, most: int) -> list[Series[StepSums]]:
    """The same of steps."""
    return _series(list(rows), columns, buckets=buckets, most=most, make=StepSums, size=lambda row: row.steps)


def _series(
    rows: Sequence[Row],
    columns: Sequence[Column],
    *,
    buckets: int,
    most: int,
    make: Callable[[], Totals],
    size: Callable[[Row], int],
) -> list[Series[Totals]]:
    sizes: Counter[Key] = Counter({_NOTHING: 0} if not columns else {})
    for row in rows:
        sizes[_key(row, columns)] += size(row)
    largest: list[Key] = sorted(sizes, key=lambda each: (-sizes[each], each))
    shown: list[Key | None] = [*largest[:most], *([None] if len(largest) > most else [])]
    totals: dict[Key | None, list[Totals]] = {key: [make() for _ in range(buckets)] for key in shown}
    for row in rows:
        key = _key(row, columns)
        totals[key if key in totals else None][row.bucket].add(row)  # type: ignore[arg-type]  # a kind of row goes with its totals
    rest = sum(sizes[key] for key in largest[most:])
    return [Series(key=key, total=rest if key is None else sizes[key], buckets=totals[key]) for key in shown]


def _key(row: RunCount | StepCount, columns: Sequence[Column]) -> Key:
    return tuple([getattr(row, column) for column in columns])
