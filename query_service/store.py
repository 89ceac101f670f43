"""The store reader on Postgres: which statement answers what, and its rows as plain values. No pool, no JSON answers."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from query_service.errors import RunNotFoundError, TooManyFiguresError, UnavailableError
from query_service.postgres import STATEMENTS, Connection, Postgres
from query_service.reader import FIGURES_MAX, GROUPS_MAX, CountFilter, DetailPosition, RunFilter, RunPosition
from query_service.stored import (
    AbandonedCount,
    Counts,
    Failure,
    FailureGroup,
    FirstFailure,
    Producer,
    Run,
    RunCount,
    Step,
    StepCount,
    Steps,
)

_Answer = TypeVar("_Answer")


class PostgresReader:
    """A `StoreReader` over the tables of `ddl/`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def ready(self) -> str | None:
        """See `StoreReader`."""

        async def work(connection: Connection) -> None:
            await connection.fetchval(STATEMENTS["ready"])

        try:
            await self._postgres.probe(work)
        except UnavailableError as error:
            return error.error_code
        return None

    async def list_runs(self, project: str, which: RunFilter, *, after: RunPosition | None, limit: int) -> Sequence[Run]:
        """See `StoreReader`."""
        by_failure = (which.failure_type, which.failure_code, which.fingerprint) != (None, None, None)
        values: list[object] = [
            *(project, which.agent, which.agent_version, which.status, which.since, which.until, which.min_latency_us),
            *((after.started_at, after.run_id) if after else (None, None)),
            limit,
            which.shape,
            *((which.failure_type, which.failure_code, which.fingerprint) if by_failure else ()),
        ]

        async def work(connection: Connection) -> Sequence[Run]:
            rows = await connection.fetch(STATEMENTS["list_failed_runs" if by_failure else "list_runs"], *values)
            return [_run(row) for row in rows]

        return await self._postgres.read(project, work)

    async def run(self, project: str, run_id: UUID) -> Run:
        """See `StoreReader`."""

        async def work(connection: Connection) -> Run | None:
            row = await connection.fetchrow(STATEMENTS["run"], project, run_id)
            return _run(row) if row else None

        return _found(await self._postgres.read(project, work))

    async def list_steps(self, project: str, run_id: UUID, *, after: DetailPosition | None, limit: int) -> Steps:
        """See `StoreReader`."""

        async def work(connection: Connection) -> Steps | None:
            extent = await connection.fetchrow(STATEMENTS["run_extent"], project, run_id)
            if extent is None:
                return None
            first = max(extent["first_event_at"], after.at) if after else extent["first_event_at"]
            rows = await connection.fetch(
                STATEMENTS["list_steps"], project, run_id, first, extent["last_event_at"], *_place(after), limit
            )
            return Steps(run_started_at=extent["started_at"], steps=[_step(row) for row in rows])

        return _found(await self._postgres.read(project, work))

    async def list_failures(self, project: str, run_id: UUID, *, after: DetailPosition | None, limit: int) -> Sequence[Failure]:
        """See `StoreReader`."""

        async def work(connection: Connection) -> Sequence[Failure] | None:
            if await connection.fetchrow(STATEMENTS["run_extent"], project, run_id) is None:
                return None
            rows = await connection.fetch(STATEMENTS["list_failures"], project, run_id, *_place(after), limit)
            return [Failure(**row) for row in rows]

        return _found(await self._postgres.read(project, work))

    async def counts(self, project: str, which: CountFilter) -> Counts:
        """See `StoreReader`."""
        values = (project, which.since, which.until, which.agent, which.agent_version)

        async def work(connection: Connection) -> Sequence[Sequence[asyncpg.Record]]:
            return [
                await connection.fetch(STATEMENTS["count_runs"], *values, FIGURES_MAX + 1),
                await connection.fetch(STATEMENTS["count_steps"], *values, FIGURES_MAX + 1),
                await connection.fetch(STATEMENTS["count_abandoned"], *values),
                await connection.fetch(STATEMENTS["group_failures"], *values, GROUPS_MAX),
            ]

        runs, steps, abandoned, groups = await self._postgres.read(project, work)
        if max(len(runs), len(steps)) > FIGURES_MAX:
            raise TooManyFiguresError
        # In a thread: while many rows become values, others are answered.
        return Counts(
            runs=await asyncio.to_thread(_values, RunCount, runs),
            steps=await asyncio.to_thread(_values, StepCount, steps),
            abandoned=_values(AbandonedCount, abandoned),
            groups=_values(FailureGroup, groups),
        )


def _values(kind: type[_Answer], rows: Sequence[asyncpg.Record]) -> Sequence[_Answer]:
    return [kind(**row) for row in rows]


def _found(answer: _Answer | None) -> _Answer:
    """Raises outside of the transaction, which is therefore committed and keeps its connection."""
    if answer is None:
        raise RunNotFoundError
    return answer


def _place(after: DetailPosition | None) -> tuple[object, object, object]:
    return (after.at, after.seq, after.id) if after else (None, None, None)


def _run(row: asyncpg.Record) -> Run:
    values = dict(row)
    values["failure"], values["root_cause"] = _failure(values, ""), _failure(values, "root_")
    values["status"] = values.pop("status_now")
    values["metadata"] = _members(values["metadata"])
    values["producers"] = [Producer(**said) for said in json.loads(values["producers"] or "[]")]
    return Run(**values)


def _failure(values: dict[str, Any], prefix: str) -> FirstFailure | None:
    found = {name: values.pop(prefix + name) for name in ("failure_type", "failure_code", "failure_id")}
    return FirstFailure(**found) if found["failure_id"] is not None else None


def _step(row: asyncpg.Record) -> Step:
    return Step(**{**row, "metadata": _members(row["metadata"])})


def _members(document: str | None) -> dict[str, Any]:
    """A jsonb object; asyncpg hands it over as text."""
    members: dict[str, Any] = json.loads(document) if document is not None else {}
    return members
