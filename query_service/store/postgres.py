"""The store reader on PostgreSQL: the statement of each method, and its rows as plain values. No pool, no JSON responses."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

import asyncpg

from query_service.errors import RunNotFoundError
from query_service.store.contrast import PostgresContrast
from query_service.store.counts import PostgresCounts
from query_service.store.failure_groups import PostgresFailures
from query_service.store.pool import NO_PROJECT, STATEMENTS, Connection, PostgresPool, bound
from query_service.store.rows import StepPage, StoredFailure, StoredRun
from query_service.store.run_rows import fetch_runs, shift_of, steps_of
from query_service.store.run_scan import PostgresScan
from query_service.store.run_tree import PostgresTree
from query_service.store.store import DetailPosition, RunFilter, RunPosition
from servicekit.http.errors import UnavailableError

_NEWEST_SLOW: Final = 4_000
"""Slow runs are looked for among so many first: some milliseconds, and enough where one run in eighty is slow."""
_NEWEST_FAILED: Final = 2_000
"""The same of failed runs, each of which is probed for its failures."""
_FAILURES_FIRST: Final = 1_000
"""Failures of a kind that are looked at first: a page of runs that have several each, and some milliseconds."""
_FAILURES_MORE: Final = 8
_COMPLETE_TO_S: Final = 1.0
"""For so long an answer is given again: workers write it as often, and an older one stays true."""
_Answer = TypeVar("_Answer")


class PostgresReader(PostgresContrast, PostgresCounts, PostgresFailures, PostgresScan, PostgresTree):
    """A `StoreReader` over the tables of `ddl/`."""

    def __init__(self, postgres: PostgresPool) -> None:
        super().__init__(postgres)
        self._complete_to: asyncio.Task[datetime | None] | None = None
        self._complete_to_until = 0.0

    async def ready(self) -> str | None:
        """See `StoreReader`."""

        async def work(connection: Connection) -> None:
            await connection.fetchval(*STATEMENTS["ready"].bind(project=NO_PROJECT))

        try:
            await self._postgres.probe(work)
        except UnavailableError as error:
            return error.error_code
        return None

    async def complete_to(self) -> datetime | None:
        """See `StoreReader`."""
        asked = self._complete_to
        if asked is None or (asked.done() and time.monotonic() > self._complete_to_until):
            self._complete_to_until = time.monotonic() + _COMPLETE_TO_S
            asked = self._complete_to = asyncio.create_task(self._read_complete_to())
            asked.add_done_callback(self._forget_failed)
        return await asyncio.shield(asked)  # calls meanwhile share the answer

    def _forget_failed(self, asked: asyncio.Task[datetime | None]) -> None:
        if asked.cancelled() or asked.exception() is not None:
            self._complete_to = None

    async def _read_complete_to(self) -> datetime | None:
        async def work(connection: Connection) -> datetime | None:
            found: datetime | None = await connection.fetchval(*STATEMENTS["complete_to"].bind())
            return found

        return await self._postgres.read(NO_PROJECT, work)

    async def list_runs(self, project: str, which: RunFilter, *, after: RunPosition | None, limit: int) -> Sequence[StoredRun]:
        """See `StoreReader`."""
        values = {**asdict(which), "project": project, "limit": limit}
        values |= {"after_started_at": after and after.started_at, "after_run_id": after and after.run_id}

        async def work(connection: Connection) -> Sequence[StoredRun]:
            return await fetch_runs(connection, project, await _page(connection, which, values))

        return await self._postgres.read(project, work)

    async def run(self, project: str, run_id: UUID) -> StoredRun:
        """See `StoreReader`."""

        async def work(connection: Connection) -> Sequence[StoredRun]:
            return await fetch_runs(connection, project, [run_id])

        return _found(next(iter(await self._postgres.read(project, work)), None))

    async def list_steps(self, project: str, run_id: UUID, *, after: DetailPosition | None, limit: int) -> StepPage:
        """See `StoreReader`."""

        async def work(connection: Connection) -> StepPage | None:
            extent = await connection.fetchrow(*STATEMENTS["run_extent"].bind(project=project, run_id=run_id))
            if extent is None:
                return None
            shift = shift_of(extent)
            said = None if after is None else replace(after, at=after.at - shift)
            first = max(extent["first_event_at"], said.at) if said else extent["first_event_at"]
            page = {"project": project, "run_id": run_id, **_after(said), "after_depth": said and said.depth, "limit": limit}
            statement = STATEMENTS["list_steps"].bind(**page, first_at=first, last_at=extent["last_event_at"])
            rows = await connection.fetch(*statement)
            steps = await steps_of(connection, rows, project=project, run_id=run_id, extent=extent)
            return StepPage(run_started_at=extent["started_at"], steps=steps)

        return _found(await self._postgres.read(project, work))

    async def list_failures(
        self, project: str, run_id: UUID, *, after: DetailPosition | None, limit: int
    ) -> Sequence[StoredFailure]:
        """See `StoreReader`."""

        async def work(connection: Connection) -> Sequence[StoredFailure] | None:
            if await connection.fetchrow(*STATEMENTS["run_extent"].bind(project=project, run_id=run_id)) is None:
                return None
            page = {"project": project, "run_id": run_id, **_after(after), "limit": limit}
            rows = await connection.fetch(*STATEMENTS["list_failures"].bind(**page))
            return [StoredFailure(**row) for row in rows]

        return _found(await self._postgres.read(project, work))


async def _page(connection: Connection, which: RunFilter, values: Mapping[str, object]) -> Sequence[UUID]:
    """The ids of a page's runs. What is frequent is found among the newest runs, and what is not by an index of its own."""
    by_failure = which.failure_type is not None or which.failure_code is not None or which.fingerprint is not None
    if which.min_latency_us is None and not by_failure:
        return await _ids(connection, "list_runs", values)
    name, newest_max = ("list_recent_failed_runs", _NEWEST_FAILED) if by_failure else ("list_recent_slow_runs", _NEWEST_SLOW)
    recent = await _row(connection, name, {**values, "newest_max": newest_max})
    run_ids: Sequence[UUID] = recent["run_ids"]
    if recent["newest"] < newest_max or len(run_ids) == values["limit"]:
        return run_ids
    return await (_failed(connection, values) if by_failure else _ids(connection, "list_slow_runs", values))


async def _failed(connection: Connection, values: Mapping[str, object]) -> Sequence[UUID]:
    """Look at more and more failures, until a page is full or there are no more."""
    failures_max = _FAILURES_FIRST
    while True:
        page = await _row(connection, "list_failed_runs", {**values, "failures_max": failures_max})
        run_ids: Sequence[UUID] = page["run_ids"]
        if page["complete"] or len(run_ids) == values["limit"]:
            return run_ids
        failures_max *= _FAILURES_MORE


async def _ids(connection: Connection, name: str, values: Mapping[str, object]) -> Sequence[UUID]:
    return [row["run_id"] for row in await connection.fetch(*bound(name, values))]


async def _row(connection: Connection, name: str, values: Mapping[str, object]) -> asyncpg.Record:
    (row,) = await connection.fetch(*bound(name, values))
    return row


def _found(answer: _Answer | None) -> _Answer:
    """Raise RunNotFoundError outside of the transaction, which is therefore committed and keeps its connection."""
    if answer is None:
        raise RunNotFoundError
    return answer


def _after(after: DetailPosition | None) -> dict[str, object]:
    return {"after_at": after and after.at, "after_seq": after and after.seq, "after_id": after and after.id}
