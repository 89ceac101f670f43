"""The routes under `/v1/runs`: what is asked becomes a question to the store, what it says becomes an answer."""

from collections.abc import Sequence
from typing import Annotated, Final, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query

from query_service import cursor
from query_service.cursor import Ordering
from query_service.detail_answer import FailureAnswer, FailuresAnswer, StepAnswer, StepsAnswer
from query_service.parameters import DetailQuery, RunQuery, clamped, only, refuse_nothing_between
from query_service.project import ReadingProject
from query_service.reader import DetailPosition, RunFilter, RunPosition, StoreReader
from query_service.refusal import ERRORS, NOT_FOUND
from query_service.run_answer import RUN_EXAMPLE, RunAnswer, RunsAnswer

_Row = TypeVar("_Row")
_RunId = Annotated[UUID, Path(description="The run's UUID, which is also its trace id.", examples=[RUN_EXAMPLE["run_id"]])]
_ONLY_DETAILS: Final = [Depends(only(*DetailQuery.model_fields))]


def runs_router(*, store: StoreReader, project_of: ReadingProject) -> APIRouter:
    """The routes, reading from `store` what `project_of` a request may see."""
    # First of all dependencies: who may not pass is not told what is wrong with the question.
    router = APIRouter(prefix="/v1/runs", tags=["runs"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]

    @router.get("", summary="Runs, newest first", dependencies=[Depends(only(*RunQuery.model_fields))])
    async def list_runs(query: Annotated[RunQuery, Query()], project: project_type) -> RunsAnswer:
        """Filters add up. Page on with `next_cursor`; runs that start meanwhile come before the first page."""
        which = _filter(query)
        after = cursor.run_position(query.cursor, which) if query.cursor else None
        found = await store.list_runs(project, which, after=after, limit=query.limit + 1)
        runs, more = _page(found, query.limit)
        last = RunPosition(started_at=runs[-1].started_at, run_id=runs[-1].run_id) if more else None
        return RunsAnswer(runs=[RunAnswer.of(run) for run in runs], next_cursor=cursor.run_cursor(last, which) if last else None)

    @router.get("/{run_id}", summary="One run", responses=NOT_FOUND, dependencies=[Depends(only())])
    async def one_run(run_id: _RunId, project: project_type) -> RunAnswer:
        return RunAnswer.of(await store.run(project, run_id))

    @router.get("/{run_id}/steps", summary="A run's steps, in order", responses=NOT_FOUND, dependencies=_ONLY_DETAILS)
    async def list_steps(run_id: _RunId, query: Annotated[DetailQuery, Query()], project: project_type) -> StepsAnswer:
        """Ordered by start, then by the producer's own count, so that a retry follows what it retries."""
        after = _after(query, ordering=Ordering.STEPS, run_id=run_id)
        found = await store.list_steps(project, run_id, after=after, limit=query.limit + 1)
        steps, more = _page(found.steps, query.limit)
        last = DetailPosition(at=steps[-1].started_at, seq=steps[-1].seq, id=steps[-1].step_id) if more else None
        return StepsAnswer(
            steps=[StepAnswer.of(step, run_started_at=found.run_started_at) for step in steps],
            next_cursor=_next(last, ordering=Ordering.STEPS, run_id=run_id),
        )

    @router.get("/{run_id}/failures", summary="A run's failures, in order", responses=NOT_FOUND, dependencies=_ONLY_DETAILS)
    async def list_failures(run_id: _RunId, query: Annotated[DetailQuery, Query()], project: project_type) -> FailuresAnswer:
        """All that went wrong, whether or not the run got over it. An abandoned run's silence is the failure `abandoned`."""
        after = _after(query, ordering=Ordering.FAILURES, run_id=run_id)
        found = await store.list_failures(project, run_id, after=after, limit=query.limit + 1)
        failures, more = _page(found, query.limit)
        last = DetailPosition(at=failures[-1].occurred_at, seq=failures[-1].seq, id=failures[-1].failure_id) if more else None
        return FailuresAnswer(
            failures=[FailureAnswer.of(failure) for failure in failures],
            next_cursor=_next(last, ordering=Ordering.FAILURES, run_id=run_id),
        )

    return router


def _filter(query: RunQuery) -> RunFilter:
    if query.since is not None and query.until is not None:
        refuse_nothing_between(query.since, query.until)
    return RunFilter(
        agent=query.agent_id,
        agent_version=query.agent_version,
        status=query.status,
        failure_type=query.failure_type,
        failure_code=query.failure_code,
        fingerprint=query.failure_fingerprint,
        shape=query.shape,
        since=None if query.since is None else clamped(query.since),
        until=None if query.until is None else clamped(query.until),
        min_latency_us=query.min_latency_us,
    )


def _page(found: Sequence[_Row], limit: int) -> tuple[Sequence[_Row], bool]:
    """The page, and whether the one row too many that was asked for has come."""
    return found[:limit], len(found) > limit


def _after(query: DetailQuery, *, ordering: Ordering, run_id: UUID) -> DetailPosition | None:
    return cursor.detail_position(query.cursor, ordering=ordering, run_id=run_id) if query.cursor else None


def _next(last: DetailPosition | None, *, ordering: Ordering, run_id: UUID) -> str | None:
    return cursor.detail_cursor(last, ordering=ordering, run_id=run_id) if last else None
