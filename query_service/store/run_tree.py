"""The store reader on PostgreSQL where a run is read as a whole, with the runs that it started."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from query_service.errors import RunNotFoundError, StepNotFoundError
from query_service.store.pool import STATEMENTS, Connection, PostgresPool
from query_service.store.rows import RunTree, StepPage, StoredRun, TreeFailure, TreeStep
from query_service.store.run_rows import fetch_runs, shift_of, steps_of
from query_service.store.step_order import parents_first
from query_service.store.store import RunPosition

TREE_STEPS_MAX: Final = 100_000
"""Steps of a tree: what a browser can still scroll through."""
TREE_RUNS_MAX: Final = 200
TREE_FAILURES_MAX: Final = 20_000
_LEVELS_MAX: Final = 32


class PostgresTree:
    """The part of a `StoreReader` that reads runs with what they started."""

    def __init__(self, postgres: PostgresPool) -> None:
        self._postgres = postgres

    async def children(self, project: str, run_id: UUID, *, after: RunPosition | None, limit: int) -> Sequence[StoredRun]:
        """See `StoreReader`."""
        page = {"project": project, "parent_run_id": run_id, "limit": limit}
        page |= {"after_started_at": after and after.started_at, "after_run_id": after and after.run_id}

        async def work(connection: Connection) -> Sequence[StoredRun] | None:
            if await connection.fetchrow(*STATEMENTS["run_extent"].bind(project=project, run_id=run_id)) is None:
                return None
            rows = await connection.fetch(*STATEMENTS["list_children"].bind(**page))
            return (await fetch_runs(connection, project, [row["run_id"] for row in rows]))[::-1]

        found = await self._postgres.read(project, work)
        if found is None:
            raise RunNotFoundError
        return found

    async def step(self, project: str, run_id: UUID, step_id: str) -> StepPage:
        """See `StoreReader`."""

        async def work(connection: Connection) -> StepPage | None:
            extent = await connection.fetchrow(*STATEMENTS["run_extent"].bind(project=project, run_id=run_id))
            if extent is None:
                return None
            statement = STATEMENTS["one_step"].bind(
                project=project,
                run_id=run_id,
                step_id=step_id,
                first_at=extent["first_event_at"],
                last_at=extent["last_event_at"],
            )
            rows = await connection.fetch(*statement)
            steps = await steps_of(connection, rows, project=project, run_id=run_id, extent=extent)
            return StepPage(run_started_at=extent["started_at"], steps=steps)

        found = await self._postgres.read(project, work)
        if found is None:
            raise RunNotFoundError
        if not found.steps:
            raise StepNotFoundError
        return found

    async def tree(self, project: str, run_id: UUID) -> RunTree:
        """See `StoreReader`."""

        async def work(connection: Connection) -> RunTree | None:
            parents = await _parents(connection, project, run_id)
            known = {run.run_id: run for run in await fetch_runs(connection, project, [*parents])}
            if run_id not in known:
                return None
            runs = [known[one] for one in parents if one in known][:TREE_RUNS_MAX]
            steps, more = await _steps(connection, project, runs)
            statement = STATEMENTS["tree_failures"].bind(
                project=project, run_ids=[run.run_id for run in runs], limit=TREE_FAILURES_MAX + 1
            )
            failures = await connection.fetch(*statement)
            return RunTree(
                runs=runs,
                parents=[parents[run.run_id] for run in runs],
                steps=steps,
                failures=[TreeFailure(*row) for row in failures[:TREE_FAILURES_MAX]],
                runs_more=len(parents) > TREE_RUNS_MAX,
                steps_more=more,
                failures_more=len(failures) > TREE_FAILURES_MAX,
            )

        found = await self._postgres.read(project, work)
        if found is None:
            raise RunNotFoundError
        return found


async def _parents(connection: Connection, project: str, run_id: UUID) -> Mapping[UUID, UUID | None]:
    """The run and all that it started, level by level, each with the run above it; one more than the limit at most."""
    parents: dict[UUID, UUID | None] = {run_id: None}
    level = [run_id]
    for _ in range(_LEVELS_MAX):
        statement = STATEMENTS["child_runs"].bind(project=project, run_ids=level, limit=TREE_RUNS_MAX + 1 - len(parents))
        rows = await connection.fetch(*statement)
        level = [row["run_id"] for row in rows if row["run_id"] not in parents]  # a run that names itself, or a circle
        parents |= {row["run_id"]: row["parent_run_id"] for row in rows if row["run_id"] in level}
        if not level or len(parents) > TREE_RUNS_MAX:
            break
    return parents


async def _steps(connection: Connection, project: str, runs: Sequence[StoredRun]) -> tuple[Sequence[Sequence[TreeStep]], bool]:
    """Of each run, as far as there is room; and whether there was not."""
    found: list[Sequence[TreeStep]] = []
    left, more = TREE_STEPS_MAX, False
    for run in runs:
        extent = await connection.fetchrow(*STATEMENTS["run_extent"].bind(project=project, run_id=run.run_id))
        values: dict[str, Any] = {"project": project, "run_id": run.run_id, "limit": left + 1}
        bounds = {"first_at": extent["first_event_at"], "last_at": extent["last_event_at"]} if extent else {}
        rows = await connection.fetch(*STATEMENTS["tree_steps"].bind(**values, **bounds)) if bounds else []
        shift = shift_of(extent) if extent else timedelta()
        steps = (TreeStep(*row) for row in rows[:left])
        found.append(parents_first([step._replace(started_at=step.started_at + shift) for step in steps]))
        more = more or len(rows) > left
        left -= len(found[-1])
    return found, more
