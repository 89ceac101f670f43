"""The route `/v1/series`: figures of runs or steps over time."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query

from agenttracer.wire.vocabulary import StepKind
from query_service import aggregate, series
from query_service.api.auth import ReadingProject
from query_service.api.error_handlers import ERRORS
from query_service.api.parameters import only
from query_service.api.statistics.parameters import By, Population, SeriesQuery
from query_service.api.statistics.series_schema import OneSeries, SeriesSchema
from query_service.api.stats import Clock
from query_service.api.stats_schema import Window
from query_service.buckets import Buckets
from query_service.store.rows import CountedRuns, StepCount
from query_service.store.store import Column, CountFilter, StoreReader

_HOUR: Final = timedelta(hours=1)
_COLUMNS: Final[Mapping[By | None, Sequence[Column]]] = {
    None: (),
    By.AGENT: (Column.AGENT,),
    By.VERSION: (Column.AGENT, Column.AGENT_VERSION),
    By.STATUS: (Column.STATUS,),
    By.CODE: (Column.FAILURE_TYPE, Column.FAILURE_CODE),
    By.STEP: (Column.KIND, Column.NAME),
    By.TOOL: (Column.KIND, Column.NAME),
    By.MODEL: (Column.MODEL,),
}


def series_router(*, store: StoreReader, project_of: ReadingProject, clock: Clock) -> APIRouter:
    """The route. `clock` gives the end of the default window."""
    router = APIRouter(tags=["statistics"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]

    @router.get("/v1/series", summary="Figures over time", dependencies=[Depends(only(*SeriesQuery.model_fields))])
    async def figures(query: Annotated[SeriesQuery, Query()], project: project_type) -> SeriesSchema:
        """Counts runs or steps by their start, in buckets of time, told apart by one thing or by nothing."""
        query.refuse_mixtures()
        cut = query.buckets(now=clock(), default=_HOUR)
        which = _filter(query, cut)
        if query.of is Population.RUNS:
            counts = await store.run_counts(project, which)
            return await asyncio.to_thread(_of_runs, query, cut, which, counts)  # the event loop serves others meanwhile
        return await asyncio.to_thread(_of_steps, query, cut, await store.step_counts(project, which))

    return router


def _filter(query: SeriesQuery, cut: Buckets) -> CountFilter:
    kind = StepKind.TOOL if query.by is By.TOOL and query.step_kind is None else query.step_kind
    return CountFilter(
        since=cut.since,
        until=cut.until,
        parts=cut.parts,
        starts=cut.starts,
        by=frozenset({*_COLUMNS[query.by], Column.STATUS}),
        agent=query.agent_id,
        agent_version=query.agent_version,
        failure_code=query.failure_code,
        kind=kind,
        name=query.step_name,
        model=query.model,
    )


def _of_runs(query: SeriesQuery, cut: Buckets, which: CountFilter, counts: CountedRuns) -> SeriesSchema:
    columns = _COLUMNS[query.by]
    found = series.run_series(aggregate.settled(counts, which), columns, buckets=len(cut.starts), most=query.groups)
    return _answer(query, cut, [OneSeries.of_runs(one, columns) for one in found])


def _of_steps(query: SeriesQuery, cut: Buckets, counts: Sequence[StepCount]) -> SeriesSchema:
    columns = _COLUMNS[query.by]
    found = series.step_series(counts, columns, buckets=len(cut.starts), most=query.groups)
    return _answer(query, cut, [OneSeries.of_steps(one, columns) for one in found])


def _answer(query: SeriesQuery, cut: Buckets, found: list[OneSeries]) -> SeriesSchema:
    return SeriesSchema(
        of=query.of,
        by=query.by,
        bucket=cut.size,
        zone=query.zone,
        window=Window(since=cut.since, until=cut.until),
        times=list(cut.starts),
        series=found,
    )
