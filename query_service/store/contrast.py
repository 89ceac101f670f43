"""The store reader on PostgreSQL where two sides of runs are told apart by what they have, of samples that it draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from query_service.store.pool import Connection, PostgresPool, bound
from query_service.store.rows import AttributeCount, Contrast, DrawnCohort, DrawnRun, Moments, StepCount
from query_service.store.run_scan import filter_values
from query_service.store.store import Population, RunFilter, RunSearch

RUNS_MAX: Final = 50_000
"""Runs of a side that are looked at, and below, the steps of these: some hundred milliseconds."""
STEPS_MAX: Final = 200_000
LOOKED_AT_MAX: Final = 250_000
"""Runs that are looked at to find those that pass the filters, where these are few."""
HAVING_MIN: Final = 5
"""What fewer runs have, of both sides together, cannot be told from chance among so much."""
_ATTRIBUTES_MAX: Final = 1_000
"""Of each statement, the most frequent ones."""
_NUMBERS_MAX: Final = 50
QUANTILES: Final = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
_COUNTS: Final = {
    "count_run_attributes": _ATTRIBUTES_MAX,
    "count_failure_attributes": _ATTRIBUTES_MAX,
    "count_step_attributes": _ATTRIBUTES_MAX,
    "count_step_metadata": _ATTRIBUTES_MAX,
    "count_numbers": _NUMBERS_MAX,
}
_SPREAD: Final = 1.1
"""A hash draws a little more or less than its share."""


@dataclass(frozen=True, slots=True)
class _Side:
    run_ids: Sequence[UUID]
    share: float
    first_at: datetime | None
    last_at: datetime | None


class PostgresContrast:
    """The part of a `StoreReader` that tells two sides apart."""

    def __init__(self, postgres: PostgresPool) -> None:
        self._postgres = postgres

    async def contrast(self, project: str, which: RunFilter, search: RunSearch, *, within: Population) -> Contrast:
        """See `StoreReader`."""
        values = filter_values(project, which, search) | _of(within)

        async def work(connection: Connection) -> Contrast:
            selection, rest = await _sides(connection, values, expected=within.expected)
            return Contrast(
                selection=len(selection.run_ids),
                rest=len(rest.run_ids),
                selection_share=selection.share,
                rest_share=rest.share,
                attributes=await _attributes(connection, project, selection, rest),
            )

        return await self._postgres.read(project, work)

    async def draw_cohort(self, project: str, which: RunFilter, search: RunSearch, *, within: Population) -> DrawnCohort:
        """See `StoreReader`."""
        values = filter_values(project, which, search) | _of(within)

        async def work(connection: Connection) -> DrawnCohort:
            selection, _ = await _sides(connection, values, expected=within.expected)
            return await _cohort(connection, project, selection)

        return await self._postgres.read(project, work)


async def _cohort(connection: Connection, project: str, side: _Side) -> DrawnCohort:
    of_side = {"project": project, "run_ids": side.run_ids, "first_at": side.first_at, "last_at": side.last_at}
    runs = await connection.fetch(*bound("cohort_runs", of_side))
    steps = await connection.fetch(*bound("cohort_steps", of_side))
    tokens = await connection.fetchrow(*bound("cohort_tokens", of_side))
    assert tokens is not None, "it adds up"
    counts = [row["step_count"] for row in runs]
    return DrawnCohort(
        share=side.share,
        runs=[DrawnRun(*(row[name] for name in DrawnRun._fields)) for row in runs],
        steps=[StepCount(agent="", agent_version="", **_counted(row)) for row in steps],
        steps_per_run=Moments(len(runs), sum(counts), sum(count * count for count in counts)),
        tokens_per_run=Moments(len(runs), int(tokens["total"]), int(tokens["squares"])),
    )


def _counted(row: asyncpg.Record) -> dict[str, Any]:
    values = dict(row)
    return values | {"histogram": {values.pop("latency_bucket"): row["steps"]}}


async def _sides(connection: Connection, values: Mapping[str, Any], *, expected: int) -> tuple[_Side, _Side]:
    """Both sides from one draw. Where it has few of the selection, a larger one has more."""
    share = min(1.0, _SPREAD * RUNS_MAX / max(1, expected))
    sides = await _draw(connection, values, share)
    selection, rest = sides[True], sides[False]
    wanted = share * _SPREAD * RUNS_MAX / max(1, len(selection.run_ids))
    larger = min(1.0, wanted, LOOKED_AT_MAX / max(1, expected))
    if larger > share and len(selection.run_ids) < RUNS_MAX and selection.share == share:
        selection = (await _draw(connection, values, larger))[True]
    return selection, rest


async def _draw(connection: Connection, values: Mapping[str, Any], share: float) -> Mapping[bool, _Side]:
    below = None if share >= 1 else int((share - 0.5) * 2**64)
    statement = bound("draw_runs", {**values, "below": below, "runs_max": RUNS_MAX, "steps_max": STEPS_MAX})
    sides = {selected: _Side((), share, None, None) for selected in (True, False)}
    for row in await connection.fetch(*statement):
        kept = share * len(row["run_ids"]) / row["found"]
        sides[row["selected"]] = _Side(row["run_ids"], kept, row["first_at"], row["last_at"])
    return sides


async def _attributes(connection: Connection, project: str, selection: _Side, rest: _Side) -> Sequence[AttributeCount]:
    firsts = [side.first_at for side in (selection, rest) if side.first_at is not None]
    lasts = [side.last_at for side in (selection, rest) if side.last_at is not None]
    if len(firsts) < len((selection, rest)):
        return []  # nothing differs from nothing
    values = {
        "project": project,
        "selection": selection.run_ids,
        "rest": rest.run_ids,
        "first_at": min(firsts),
        "last_at": max(lasts),
        "runs_min": HAVING_MIN,
    }
    found: list[AttributeCount] = []
    for name, limit in _COUNTS.items():
        rows = await connection.fetch(*bound(name, values | {"limit": limit, "quantiles": QUANTILES}))
        found += [AttributeCount(**row) for row in rows]
    return found


def _of(within: Population) -> dict[str, Any]:
    return {
        "first": within.since,
        "last": within.until,
        "within_agent": within.agent,
        "within_version": within.agent_version,
    }
