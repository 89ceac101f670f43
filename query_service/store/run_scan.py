"""The store reader on PostgreSQL where runs are found by filters that no index answers: by looking at them, newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from query_service.store.pool import STATEMENTS, Connection, PostgresPool, bound
from query_service.store.rows import FacetCount, RunChange, StoredRun, StoredSession
from query_service.store.run_rows import fetch_runs
from query_service.store.store import (
    ChangePosition,
    RunFilter,
    RunOrder,
    RunPage,
    RunPosition,
    RunSearch,
    SessionPosition,
    SortPosition,
)

LOOKED_AT_MAX: Final = 20_000
"""Runs that one page looks at: a few hundred milliseconds. A page that is not full by then is answered as it is, and goes on."""
FACETS_MAX: Final = 10_000
_MOST: Final = 2**63 - 1
_FIRST: Final = 1_000
_MORE: Final = 4


class PostgresScan:
    """The part of a `StoreReader` that finds runs by any filter."""

    def __init__(self, postgres: PostgresPool) -> None:
        self._postgres = postgres

    async def scan_runs(
        self, project: str, which: RunFilter, search: RunSearch, *, after: RunPosition | None, limit: int
    ) -> RunPage:
        """See `StoreReader`."""

        async def work(connection: Connection) -> RunPage:
            run_ids, last = await _scanned(connection, filter_values(project, which, search), after=after, limit=limit)
            return RunPage(runs=await fetch_runs(connection, project, run_ids), after=last)

        return await self._postgres.read(project, work)

    async def sort_runs(
        self, project: str, which: RunFilter, search: RunSearch, *, order: RunOrder, after: SortPosition | None, limit: int
    ) -> Sequence[StoredRun]:
        """See `StoreReader`."""
        values = filter_values(project, which, search) | {"sort": order.value, "limit": limit}
        values |= {"after_key": after and after.key, "after_run_id": after and after.run_id}

        async def work(connection: Connection) -> Sequence[StoredRun]:
            run_ids = [row["run_id"] for row in await connection.fetch(*bound("sort_runs", values))]
            found = {run.run_id: run for run in await fetch_runs(connection, project, run_ids)}
            return [found[run_id] for run_id in run_ids if run_id in found]

        return await self._postgres.read(project, work)

    async def count_facets(self, project: str, which: RunFilter, search: RunSearch) -> tuple[Sequence[FacetCount], bool]:
        """See `StoreReader`."""

        async def work(connection: Connection) -> tuple[Sequence[FacetCount], bool]:
            values = filter_values(project, which, search)
            run_ids, last = await _scanned(connection, values, after=None, limit=FACETS_MAX)
            rows = await connection.fetch(*STATEMENTS["count_facets"].bind(project=project, run_ids=run_ids))
            return [FacetCount(**row) for row in rows], last is None

        return await self._postgres.read(project, work)

    async def list_changes(self, project: str, *, after: ChangePosition, limit: int) -> Sequence[RunChange]:
        """See `StoreReader`."""
        page = {"project": project, "after_at": after.received_at, "after_run_id": after.run_id, "limit": limit}

        async def work(connection: Connection) -> Sequence[RunChange]:
            return [RunChange(**row) for row in await connection.fetch(*STATEMENTS["list_changes"].bind(**page))]

        return await self._postgres.read(project, work)

    async def pick_runs(self, project: str, run_ids: Sequence[UUID], which: RunFilter, search: RunSearch) -> Sequence[StoredRun]:
        """See `StoreReader`."""
        values = filter_values(project, which, search) | {"run_ids": run_ids}

        async def work(connection: Connection) -> Sequence[StoredRun]:
            picked = [row["run_id"] for row in await connection.fetch(*bound("pick_runs", values))]
            return await fetch_runs(connection, project, picked)

        return await self._postgres.read(project, work)

    async def list_sessions(
        self, project: str, *, since: datetime, until: datetime, after: SessionPosition | None, limit: int
    ) -> Sequence[StoredSession]:
        """See `StoreReader`."""
        page = {"project": project, "since": since, "until": until, "limit": limit}
        page |= {"after_at": after and after.started_at, "after_session": after and after.session}

        async def work(connection: Connection) -> Sequence[StoredSession]:
            return [StoredSession(**row) for row in await connection.fetch(*STATEMENTS["list_sessions"].bind(**page))]

        return await self._postgres.read(project, work)


async def _scanned(
    connection: Connection, values: dict[str, Any], *, after: RunPosition | None, limit: int
) -> tuple[Sequence[UUID], RunPosition | None]:
    """Up to `limit` runs, and the position from which the rest is found; None where there is no more."""
    found: list[UUID] = []
    looked_at, newest_max = 0, _FIRST
    while True:
        values |= {"after_started_at": after and after.started_at, "after_run_id": after and after.run_id}
        values |= {"newest_max": min(newest_max, LOOKED_AT_MAX - looked_at), "limit": limit + 1 - len(found)}
        [row] = await connection.fetch(*bound("scan_runs", values))
        found += row["run_ids"]
        looked_at += row["looked_at"]
        if len(found) > limit:
            return found[:limit], await _position(connection, values["project"], found[limit - 1])
        if row["looked_at"] < values["newest_max"]:
            return found, None
        after = RunPosition(started_at=row["last_started_at"], run_id=row["last_run_id"])
        if looked_at >= LOOKED_AT_MAX:
            return found, after
        newest_max *= _MORE


async def _position(connection: Connection, project: str, run_id: UUID) -> RunPosition:
    extent = await connection.fetchrow(*STATEMENTS["run_extent"].bind(project=project, run_id=run_id))
    assert extent is not None, "the run was found on the same snapshot"
    return RunPosition(started_at=extent["started_at"], run_id=run_id)


def filter_values(project: str, which: RunFilter, search: RunSearch) -> dict[str, Any]:
    """What `run_columns.part` and `run_probes.part` ask for."""
    failure = (which.failure_type, which.failure_code, which.fingerprint, search.outcome)
    step = (search.step_kind, search.step_name, search.model, search.provider)
    spending = (search.min_tokens, search.max_tokens, search.min_cost_nano, search.max_cost_nano)
    return {
        "project": project,
        "agent": which.agent,
        "agent_version": which.agent_version,
        "status": which.status,
        "shape": which.shape,
        "since": which.since,
        "until": which.until,
        "min_latency_us": which.min_latency_us,
        "max_latency_us": search.max_latency_us,
        "parent_run_id": search.parent_run_id,
        "session": search.session,
        "end_reason": search.end_reason,
        "time_shifted": search.time_shifted,
        "active": search.active,
        "by_failure": any(one is not None for one in failure),
        "failure_type": which.failure_type,
        "failure_code": which.failure_code,
        "fingerprint": which.fingerprint,
        "outcome": search.outcome,
        "by_step": any(one is not None for one in step),
        "step_kind": search.step_kind,
        "step_name": search.step_name,
        "model": search.model,
        "provider": search.provider,
        "completeness": search.completeness,
        "by_spending": any(one is not None for one in spending),
        "min_tokens": search.min_tokens or 0,
        "max_tokens": _MOST if search.max_tokens is None else search.max_tokens,
        "min_cost_nano": search.min_cost_nano or 0,
        "max_cost_nano": _MOST if search.max_cost_nano is None else search.max_cost_nano,
        "keys": [key for key, _ in search.metadata],
        "texts": [text for _, text in search.metadata],
        "number_keys": [key for key, _, _ in search.ranges],
        "lows": [low for _, low, _ in search.ranges],
        "highs": [high for _, _, high in search.ranges],
    }
