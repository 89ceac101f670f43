"""The routes under `/v1/runs`: each turns its parameters into a query of the store and the rows into JSON."""

from collections.abc import Sequence
from typing import Annotated, Final, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query

from query_service.api import cursor
from query_service.api.auth import ReadingProject
from query_service.api.cursor import Ordering
from query_service.api.detail_schema import FailureSchema, FailuresSchema, StepSchema, StepsSchema
from query_service.api.error_handlers import ERRORS, NOT_FOUND
from query_service.api.parameters import DetailQuery, only
from query_service.api.run_parameters import RunFilters, RunQuery
from query_service.api.run_schema import RUN_EXAMPLE, OneRunSchema, RunsSchema
from query_service.api.runs_schema import RunFacetsSchema
from query_service.api.stats import Clock
from query_service.store.rows import StoredRun, StoredStep
from query_service.store.store import (
    EVERYTHING,
    DetailPosition,
    RunFilter,
    RunOrder,
    RunPage,
    RunPosition,
    RunSearch,
    SortPosition,
    StoreReader,
)

_Row = TypeVar("_Row")
_RunId = Annotated[UUID, Path(description="The run's UUID, which is also its trace id.", examples=[RUN_EXAMPLE["run_id"]])]
_ONLY_DETAILS: Final = [Depends(only(*DetailQuery.model_fields))]


def runs_router(*, store: StoreReader, project_of: ReadingProject, clock: Clock) -> APIRouter:
    """The routes. `clock` gives the end of a window without one."""
    # The first dependency: a client without a valid key learns nothing about its parameters.
    router = APIRouter(prefix="/v1/runs", tags=["runs"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]

    @router.get("", summary="Runs, newest first", dependencies=[Depends(only(*RunQuery.model_fields))])
    async def list_runs(query: Annotated[RunQuery, Query()], project: project_type) -> RunsSchema:
        """Filters add up. Page on with `next_cursor`; runs that start meanwhile come before the first page.

        A page can hold fewer than `limit` runs, or none, and have a `next_cursor` all the same: many runs had to be looked at.
        """
        which, search = query.filter(), query.search(now=clock())
        if query.sort is not RunOrder.STARTED_AT:
            query.refuse_long_window("sort", now=clock())
            return await _sorted(store, project, query, which, search)
        after = cursor.run_position(query.cursor, which, search) if query.cursor else None
        complete_to = await store.complete_to()  # before the rows are read: what it promises is then among them
        page = await newest_runs(store, project, which, search, after=after, limit=query.limit)
        return await RunsSchema.of(
            page.runs,
            next_cursor=cursor.run_cursor(page.after, which, search) if page.after else None,
            complete_to=complete_to,
        )

    @router.get("/facets", summary="How runs are told apart", dependencies=[Depends(only(*RunFilters.model_fields))])
    async def count_facets(query: Annotated[RunFilters, Query()], project: project_type) -> RunFacetsSchema:
        """Counts of the runs that the same filters list, by agent, version, status and first failure: of the newest 10,000."""
        rows, exact = await store.count_facets(project, query.filter(), query.search(now=clock()))
        return RunFacetsSchema.of(rows, exact=exact)

    @router.get("/{run_id}", summary="One run", responses=NOT_FOUND, dependencies=[Depends(only())])
    async def one_run(run_id: _RunId, project: project_type) -> OneRunSchema:
        complete_to = await store.complete_to()
        return OneRunSchema.at(await store.run(project, run_id), complete_to)

    @router.get("/{run_id}/steps", summary="A run's steps, in order", responses=NOT_FOUND, dependencies=_ONLY_DETAILS)
    async def list_steps(run_id: _RunId, query: Annotated[DetailQuery, Query()], project: project_type) -> StepsSchema:
        """Ordered by start, a step before those beneath it, then by sequence number: a retry follows the attempt before it."""
        after = _after(query, ordering=Ordering.STEPS, run_id=run_id)
        found = await store.list_steps(project, run_id, after=after, limit=query.limit + 1)
        steps, more = _page(found.steps, query.limit)
        last = _place(steps[-1]) if more else None
        return StepsSchema(
            steps=[StepSchema.of(step, run_started_at=found.run_started_at) for step in steps],
            next_cursor=_next(last, ordering=Ordering.STEPS, run_id=run_id),
        )

    @router.get("/{run_id}/failures", summary="A run's failures, in order", responses=NOT_FOUND, dependencies=_ONLY_DETAILS)
    async def list_failures(run_id: _RunId, query: Annotated[DetailQuery, Query()], project: project_type) -> FailuresSchema:
        """All failures, recovered ones too. An abandoned run has the failure `abandoned`."""
        after = _after(query, ordering=Ordering.FAILURES, run_id=run_id)
        found = await store.list_failures(project, run_id, after=after, limit=query.limit + 1)
        failures, more = _page(found, query.limit)
        last = DetailPosition(at=failures[-1].occurred_at, seq=failures[-1].seq, id=failures[-1].failure_id) if more else None
        return FailuresSchema(
            failures=[FailureSchema.of(failure) for failure in failures],
            next_cursor=_next(last, ordering=Ordering.FAILURES, run_id=run_id),
        )

    return router


async def newest_runs(
    store: StoreReader, project: str, which: RunFilter, search: RunSearch, *, after: RunPosition | None, limit: int
) -> RunPage:
    """A page of runs, newest first, by the statements that fit the filters."""
    if search != EVERYTHING:
        return await store.scan_runs(project, which, search, after=after, limit=limit)
    found = await store.list_runs(project, which, after=after, limit=limit + 1)
    runs, more = _page(found, limit)
    return RunPage(runs=runs, after=RunPosition(started_at=runs[-1].started_at, run_id=runs[-1].run_id) if more else None)


async def _sorted(store: StoreReader, project: str, query: RunQuery, which: RunFilter, search: RunSearch) -> RunsSchema:
    order = query.sort
    after = cursor.sort_position(query.cursor, which, search, order) if query.cursor else None
    complete_to = await store.complete_to()  # as above
    found = await store.sort_runs(project, which, search, order=order, after=after, limit=query.limit + 1)
    runs, more = _page(found, query.limit)
    last = SortPosition(key=_sort_key(runs[-1], order), run_id=runs[-1].run_id) if more else None
    return await RunsSchema.of(
        runs,
        next_cursor=cursor.sort_cursor(last, which, search, order) if last else None,
        complete_to=complete_to,
    )


def _sort_key(run: StoredRun, order: RunOrder) -> int:
    """As the statement `sort_runs` has it: runs without a latency come last."""
    if order is RunOrder.LATENCY:
        return -1 if run.latency_us is None else run.latency_us
    return run.failure_count if order is RunOrder.FAILURES else run.step_count


def _page(found: Sequence[_Row], limit: int) -> tuple[Sequence[_Row], bool]:
    """The page, and whether there is a next one: one row more than the page was requested."""
    return found[:limit], len(found) > limit


def _place(step: StoredStep) -> DetailPosition:
    return DetailPosition(at=step.started_at, depth=step.depth, seq=step.seq, id=step.step_id)


def _after(query: DetailQuery, *, ordering: Ordering, run_id: UUID) -> DetailPosition | None:
    return cursor.detail_position(query.cursor, ordering=ordering, run_id=run_id) if query.cursor else None


def _next(last: DetailPosition | None, *, ordering: Ordering, run_id: UUID) -> str | None:
    return cursor.detail_cursor(last, ordering=ordering, run_id=run_id) if last else None
