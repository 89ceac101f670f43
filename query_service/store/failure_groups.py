"""The kinds of failure of the store reader on PostgreSQL: their groups, and the story of one."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from query_service.errors import FailureNotFoundError
from query_service.store.pool import STATEMENTS, Connection, PostgresPool, bound
from query_service.store.rows import EvidenceCount, FailureStory, FailureTrend, StepName, VersionFailures
from query_service.store.run_rows import fetch_runs
from query_service.store.store import GROUPS_SORTED, FailureFilter, GroupOrder

RUNS_SHOWN: Final = 10
"""Sample runs of a kind of failure."""
_EVIDENCE_MOST: Final = 20
_DEPTH_MAX: Final = 64
_FAILURES_LOOKED_AT: Final = 500
_PEERS_LOOKED_AT: Final = 200
_Steps = Mapping[tuple[UUID, str], StepName]


class PostgresFailures:
    """The part of a `StoreReader` that groups failures."""

    def __init__(self, postgres: PostgresPool) -> None:
        self._postgres = postgres

    async def failure_groups(
        self, project: str, which: FailureFilter, *, order: GroupOrder, limit: int
    ) -> Sequence[FailureTrend]:
        """See `StoreReader`."""

        async def work(connection: Connection) -> Sequence[FailureTrend]:
            values = {**_values(project, which), "fingerprint": None, "limit": GROUPS_SORTED}
            rows = await connection.fetch(*bound("failure_groups", values))
            firsts = await _firsts(connection, project, [row["fingerprint"] for row in rows])
            shown = _ordered([{**row, "first_occurred_at": firsts[row["fingerprint"]]} for row in rows], order)[:limit]
            return await _trends(connection, project, which, shown)

        return await self._postgres.read(project, work)

    async def failure_story(self, project: str, fingerprint: str, which: FailureFilter) -> FailureStory:
        """See `StoreReader`."""

        async def work(connection: Connection) -> FailureStory | None:
            newest = await connection.fetchrow(*STATEMENTS["newest_failure"].bind(project=project, fingerprint=fingerprint))
            if newest is None:
                return None
            return await _story(connection, project, newest, which)

        story = await self._postgres.read(project, work)
        if story is None:
            raise FailureNotFoundError
        return story


async def _story(connection: Connection, project: str, newest: asyncpg.Record, which: FailureFilter) -> FailureStory:
    values = {
        **_values(project, which),
        "fingerprint": newest["fingerprint"],
        "limit": _EVIDENCE_MOST,
        "failures_max": _FAILURES_LOOKED_AT,
    }
    rows = await connection.fetch(*bound("failure_groups", values))
    firsts = await _firsts(connection, project, [newest["fingerprint"]])
    row = {**(rows[0] if rows else _none_of(newest)), "first_occurred_at": firsts[newest["fingerprint"]]}
    [group] = await _trends(connection, project, which, [row])
    versions = await connection.fetch(*bound("failures_by_version", values))
    evidence = await connection.fetch(*bound("failures_by_evidence", values))
    run_ids = await connection.fetch(*bound("newest_runs_of_failure", {**values, "limit": RUNS_SHOWN}))
    runs = await fetch_runs(connection, project, [found["run_id"] for found in run_ids])
    shape = next((run.shape for run in runs if run.shape is not None), None)
    return FailureStory(
        group=group,
        by_version=[VersionFailures(**each) for each in versions],
        evidence=[EvidenceCount(**each) for each in evidence],
        path=await _path(connection, project, row["last_run_id"], row["last_step_id"]),
        runs=runs,
        peer_run_id=await _peer(connection, project, newest["fingerprint"], shape),
    )


def _none_of(newest: asyncpg.Record) -> dict[str, Any]:
    """A group of a window in which the failure did not occur."""
    names = ("fingerprint", "agent", "failure_type", "failure_code", "error_class", "rule_id", "taxonomy_version")
    return {name: newest[name] for name in names} | {
        "failures": 0,
        "recovered": 0,
        "fatal": 0,
        "runs": 0,
        "versions": [],
        "last_occurred_at": newest["occurred_at"],
        "last_run_id": newest["run_id"],
        "last_step_id": newest["step_id"],
    }


async def _firsts(connection: Connection, project: str, fingerprints: Sequence[str]) -> Mapping[str, Any]:
    rows = await connection.fetch(*STATEMENTS["first_failures"].bind(project=project, fingerprints=fingerprints))
    return {row["fingerprint"]: row["occurred_at"] for row in rows}


def _ordered(rows: Sequence[dict[str, Any]], order: GroupOrder) -> Sequence[dict[str, Any]]:
    column = {GroupOrder.LAST_SEEN: "last_occurred_at", GroupOrder.FIRST_SEEN: "first_occurred_at"}.get(order, order.value)
    return sorted(sorted(rows, key=lambda row: row["fingerprint"]), key=lambda row: row[column], reverse=True)


async def _trends(
    connection: Connection, project: str, which: FailureFilter, rows: Sequence[dict[str, Any]]
) -> Sequence[FailureTrend]:
    """The groups of these rows, with their trends and the names of their steps."""
    if not rows:
        return []
    values = {**_values(project, which), "fingerprints": [row["fingerprint"] for row in rows]}
    trends = {row["fingerprint"]: [0] * len(which.starts) for row in rows}
    for found in await connection.fetch(*bound("failure_trends", values)):
        trends[found["fingerprint"]][found["bucket"]] += found["failures"]
    steps = await _steps(connection, project, rows)
    return [_trend(row, steps, trends[row["fingerprint"]]) for row in rows]


def _trend(row: dict[str, Any], steps: _Steps, trend: Sequence[int]) -> FailureTrend:
    values = dict(row)
    step = steps.get((values["last_run_id"], values.pop("last_step_id") or ""))
    return FailureTrend(**values, step=step, trend=trend)


async def _steps(connection: Connection, project: str, rows: Sequence[dict[str, Any]]) -> _Steps:
    with_step = [row for row in rows if row["last_step_id"] is not None]
    if not with_step:
        return {}
    statement = STATEMENTS["steps_of_groups"].bind(
        project=project,
        run_ids=[row["last_run_id"] for row in with_step],
        step_ids=[row["last_step_id"] for row in with_step],
    )
    found = await connection.fetch(*statement)
    return {(row["run_id"], row["step_id"]): StepName(kind=row["kind"], name=row["name"]) for row in found}


async def _path(connection: Connection, project: str, run_id: UUID, step_id: str | None) -> Sequence[StepName]:
    extent = await connection.fetchrow(*STATEMENTS["run_extent"].bind(project=project, run_id=run_id))
    if extent is None or step_id is None:
        return []
    statement = STATEMENTS["path_to_step"].bind(
        project=project,
        run_id=run_id,
        step_id=step_id,
        first_at=extent["first_event_at"],
        last_at=extent["last_event_at"],
        depth_max=_DEPTH_MAX,
    )
    innermost_first = [StepName(kind=row["kind"], name=row["name"]) for row in await connection.fetch(*statement)]
    return innermost_first[::-1]


async def _peer(connection: Connection, project: str, fingerprint: str, shape: str | None) -> UUID | None:
    if shape is None:
        return None
    statement = STATEMENTS["peer_run"].bind(project=project, fingerprint=fingerprint, shape=shape, newest_max=_PEERS_LOOKED_AT)
    found: UUID | None = await connection.fetchval(*statement)
    return found


def _values(project: str, which: FailureFilter) -> dict[str, object]:
    return {
        "project": project,
        "since": which.since,
        "until": which.until,
        "starts": which.starts,
        "agent": which.agent,
        "agent_version": which.agent_version,
        "failure_type": which.failure_type,
        "failure_code": which.failure_code,
        "outcome": which.outcome,
    }
