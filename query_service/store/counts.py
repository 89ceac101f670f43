"""The counts of the store reader on PostgreSQL: sums of rollups, by time bucket and by the columns that a caller keeps apart."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import asyncpg

from ddl.rollups import Part, moment, unpack
from query_service.errors import TooManyFiguresError
from query_service.store.pool import STATEMENTS, Connection, PostgresPool, bound
from query_service.store.rows import AbandonedCount, CountedRuns, FailureGroup, RunCount, Seen, StatsCounts, StepCount
from query_service.store.store import FIGURES_MAX, GROUPS_MAX, CountFilter

_DAY: Final = timedelta(days=1)
_HOURS: Final = tuple(timedelta(hours=hour) for hour in range(24))
_DAYS_PRECISE: Final = 60
"""First and last days that are looked at hour by hour, the newest ones: a hundred milliseconds with a few hundred names."""
_Count = TypeVar("_Count", RunCount, StepCount)
_Seen = dict[tuple[str, str], tuple[datetime, datetime]]


class PostgresCounts:
    """The part of a `StoreReader` that counts."""

    def __init__(self, postgres: PostgresPool) -> None:
        self._postgres = postgres

    async def counts(self, project: str, which: CountFilter) -> StatsCounts:
        """See `StoreReader`."""

        async def work(connection: Connection) -> Sequence[Sequence[asyncpg.Record]]:
            return [
                await connection.fetch(*_counting("count_runs", project, which)),
                await connection.fetch(*_counting("count_steps", project, which)),
                await connection.fetch(*_counting("count_abandoned", project, which)),
                await connection.fetch(*_counting("group_failures", project, which, limit=GROUPS_MAX)),
            ]

        runs, steps, abandoned, groups = await self._postgres.read(project, work)
        return StatsCounts(
            runs=await _added(RunCount, "runs", runs),
            steps=await _added(StepCount, "steps", steps),
            abandoned=[AbandonedCount(**row) for row in abandoned],
            groups=[FailureGroup(**row) for row in groups],
        )

    async def run_counts(self, project: str, which: CountFilter) -> CountedRuns:
        """See `StoreReader`."""

        async def work(connection: Connection) -> Sequence[Sequence[asyncpg.Record]]:
            return [
                await connection.fetch(*_counting("count_runs", project, which)),
                await connection.fetch(*_counting("count_abandoned", project, which)),
            ]

        runs, abandoned = await self._postgres.read(project, work)
        return CountedRuns(
            runs=await _added(RunCount, "runs", runs),
            abandoned=[AbandonedCount(**row) for row in abandoned],
        )

    async def step_counts(self, project: str, which: CountFilter) -> Sequence[StepCount]:
        """See `StoreReader`."""

        async def work(connection: Connection) -> Sequence[asyncpg.Record]:
            found: Sequence[asyncpg.Record] = await connection.fetch(*_counting("count_steps", project, which))
            return found

        return await _added(StepCount, "steps", await self._postgres.read(project, work))

    async def seen(self, project: str, *, agent: str | None) -> Sequence[Seen]:
        """See `StoreReader`."""

        async def work(connection: Connection) -> _Seen:
            known = await connection.fetch(*STATEMENTS["days_seen"].bind(project=project, agent=agent))
            days: _Seen = {(row["agent"], row["agent_version"]): (row["first_day"], row["last_day"]) for row in known}
            return await _precisely(connection, project, days)

        found = await self._postgres.read(project, work)
        return [Seen(agent=key[0], agent_version=key[1], first=first, last=last) for key, (first, last) in found.items()]


async def _precisely(connection: Connection, project: str, days: _Seen) -> _Seen:
    """By the hour, where hours of the day are kept, else by the day as it was."""
    newest = sorted({day for both in days.values() for day in both}, reverse=True)[:_DAYS_PRECISE]
    asked = [(*key, day) for key, both in days.items() for day in {*both}]
    agents, versions, of_days = ([each[place] for each in asked] for place in range(3))
    hours = [day + hour for day in newest for hour in _HOURS]
    statement = STATEMENTS["moments_seen"].bind(
        project=project, agents=agents, agent_versions=versions, days=of_days, hours=hours
    )
    found = dict(days)
    for row in await connection.fetch(*statement):
        key = row["agent"], row["agent_version"]
        first, last = found[key]
        in_first, in_last = (day <= row["first"] < day + _DAY for day in days[key])
        found[key] = row["first"] if in_first else first, row["last"] if in_last else last
    return found


def _counting(name: str, project: str, which: CountFilter, **more: object) -> tuple[Any, ...]:
    """A statement with those of the filters that it has."""
    values: Mapping[str, object] = {
        "project": project,
        "since": which.since,
        "until": which.until,
        "starts": which.starts or [which.since],
        "by": sorted(which.by),
        "histograms": which.histograms,
        "agent": which.agent,
        "agent_version": which.agent_version,
        "failure_type": which.failure_type,
        "failure_code": which.failure_code,
        "kind": which.kind,
        "name": which.name,
        "model": which.model,
        "limit": FIGURES_MAX + 1,
        **_parts(which.parts),
        **more,
    }
    return bound(name, values)


def _parts(parts: Sequence[Part]) -> dict[str, Sequence[object]]:
    """The columns of a window's parts by parameter."""
    return {
        "spans": [part.span for part in parts],
        "sinces": [moment(part.since) for part in parts],
        "untils": [moment(part.until) for part in parts],
    }


async def _added(kind: type[_Count], count: str, rows: Sequence[asyncpg.Record]) -> Sequence[_Count]:
    """In a thread: while histograms are added up, other requests are served. Raises TooManyFiguresError."""
    if sum(row["figures"] for row in rows) > FIGURES_MAX:
        raise TooManyFiguresError
    return await asyncio.to_thread(_counts, kind, count, rows)


def _counts(kind: type[_Count], count: str, rows: Sequence[asyncpg.Record]) -> Sequence[_Count]:
    """A key can have fallen to nothing: its runs moved on to another status."""
    found = []
    for row in rows:
        values = dict(row)
        del values["figures"]
        if values[count] > 0:
            sums = {name: int(values[name]) for name in ("input_tokens", "output_tokens", "cost") if name in values}
            found.append(kind(**values | sums | {"histogram": unpack(values["histogram"] or b"")}))
    return found
