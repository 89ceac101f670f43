"""One slice of runs: folded from its records, read from the store, compared row by row."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import asyncpg

from agenttracer.wire.envelope import Record
from stream_workers.core.deletions import Deletions
from stream_workers.core.fold import Tables, fold
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.read_tables import differences, read_runs

_RUNS_A_QUERY: Final = 1_000
_NONE: Final = Tables({}, {}, {}, {}, {}, {}, {})
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class SliceComparison:
    """The result of comparing one slice."""

    runs: int
    rows: int
    out_of_reach: int
    differences: list[str]


async def compare(
    connection: asyncpg.Connection,
    records: Iterable[Record],
    stored: Mapping[_Key, int],
    deletions: Deletions,
    *,
    horizon_us: int,
) -> SliceComparison:
    """`stored` maps the slice's runs in the store to their first event; those before `horizon_us` are judged in one direction."""
    wanted = replace(fold(records, canonical_json, deletions), run_rollups={}, step_rollups={})
    found = await _stored(connection, wanted.runs.keys() & stored.keys())
    partly = {key for key, first_us in stored.items() if first_us < horizon_us and not deletions.has(*key)}
    unsent = sorted(stored.keys() - wanted.runs.keys() - partly)
    return SliceComparison(
        runs=len(wanted.runs),
        rows=_rows(wanted),
        out_of_reach=len(partly),
        differences=[
            *differences(_without(wanted, partly), _without(found, partly)),
            *(f"runs {key}: extra" for key in unsent),
            *_missing(_only(wanted, partly), found),
        ],
    )


async def _stored(connection: asyncpg.Connection, keys: Iterable[_Key]) -> Tables:
    by_project: defaultdict[str, list[str]] = defaultdict(list)
    for project, run_id in keys:
        by_project[project].append(run_id)
    found = _NONE
    for project, run_ids in by_project.items():
        for start in range(0, len(run_ids), _RUNS_A_QUERY):
            more = await read_runs(connection, project, run_ids[start : start + _RUNS_A_QUERY])
            found = replace(found, **{one.name: getattr(found, one.name) | getattr(more, one.name) for one in fields(Tables)})
    return found


def _rows(tables: Tables) -> int:
    return sum(len(getattr(tables, one.name)) for one in fields(Tables))


def _without(tables: Tables, keys: set[_Key]) -> Tables:
    return _where(tables, lambda key: key[:2] not in keys) if keys else tables


def _only(tables: Tables, keys: set[_Key]) -> Tables:
    return _where(tables, lambda key: key[:2] in keys)


def _where(tables: Tables, chosen: Callable[[Any], bool]) -> Tables:
    return Tables(**{one.name: {k: row for k, row in getattr(tables, one.name).items() if chosen(k)} for one in fields(Tables)})


def _missing(wanted: Tables, found: Tables) -> list[str]:
    """Rows missing from runs that the log has only in part: the rows that it has must be stored."""
    return [
        f"{one.name} {key}: missing"
        for one in fields(Tables)
        for key in getattr(wanted, one.name).keys() - getattr(found, one.name).keys()
    ]
