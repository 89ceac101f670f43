"""The route `/v1/compare`: what differs between two cohorts of runs, and how sure that is."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from pydantic import create_model

from query_service.api.auth import ReadingProject
from query_service.api.error_handlers import ERRORS
from query_service.api.parameters import QueryParameters, clamped, only, refuse_empty_window
from query_service.api.run_parameters import SelectingFilters
from query_service.api.statistics.compare_schema import CohortSchema, ComparisonSchema, Source
from query_service.api.statistics.explain import LONGEST, expected_runs
from query_service.api.stats import Clock, counted_window
from query_service.api.stats_schema import Window
from query_service.comparison.cohorts import Cohort, compare
from query_service.errors import InputError
from query_service.store.rows import CountedRuns, DrawnCohort, StepCount
from query_service.store.store import EVERYTHING, Column, CountFilter, Population, RunFilter, StoreReader

_WEEK: Final = timedelta(days=7)
_BY: Final = frozenset({Column.STATUS, Column.FAILURE_TYPE, Column.FAILURE_CODE, Column.KIND, Column.NAME})
_Counted = tuple[CountFilter, CountedRuns, Sequence[StepCount]]


class Side:
    """One side: its window, agent and version, and the filters besides. Raises InputError."""

    def __init__(self, selection: SelectingFilters, *, now: datetime) -> None:
        until = clamped(now if selection.until is None else selection.until)
        since = until - _WEEK if selection.since is None else clamped(selection.since)
        refuse_empty_window(since, until)
        bounded = selection.model_copy(update={"since": since, "until": until})
        which = bounded.filter()
        self.which = replace(which, since=None, until=None, agent=None, agent_version=None)
        self.search = bounded.search(now=now)
        self.within = Population(since=since, until=until, agent=which.agent, agent_version=which.agent_version, expected=0)
        said = selection.model_dump(mode="json", exclude_none=True, exclude={"since", "until"})
        self.filters = {name: str(value) for name, value in said.items()}

    @property
    def in_statistics(self) -> bool:
        """Whether statistics tell such runs apart."""
        return self.which == RunFilter() and self.search == EVERYTHING

    def count_filter(self, *, now: datetime) -> CountFilter:
        """What statistics are asked for."""
        parts, window = counted_window(since=self.within.since, until=self.within.until, now=now)
        return CountFilter(
            since=window.since,
            until=window.until,
            parts=parts,
            by=_BY,
            agent=self.within.agent,
            agent_version=self.within.agent_version,
        )

    def answer(self, cohort: Cohort, *, since: datetime, until: datetime, share: float = 1.0) -> CohortSchema:
        """What was counted of it."""
        return CohortSchema(
            window=Window(since=since, until=until),
            agent_id=self.within.agent,
            agent_version=self.within.agent_version,
            filters=self.filters,
            runs=cohort.runs.runs,
            over=cohort.runs.over,
            share=share,
        )


class _Sides(QueryParameters):
    """The filters of both sides."""

    def side(self, name: str, *, now: datetime) -> Side:
        """One of them. Raises InputError, which names the side's parameter."""
        given = {field: getattr(self, f"{name}_{field}") for field in SelectingFilters.model_fields}
        try:
            return Side(SelectingFilters.model_construct(**given), now=now)
        except InputError as error:
            raise InputError(f"{name}_{error.message}", field=f"{name}_{error.field}") from None


_OF_SIDES: Final[dict[str, Any]] = {
    f"{side}_{name}": (field.annotation, field) for side in "ab" for name, field in SelectingFilters.model_fields.items()
}
CompareQuery: Final = create_model("CompareQuery", __base__=_Sides, __doc__="Parameters of `GET /v1/compare`.", **_OF_SIDES)
"""Each side has the filters of a list of runs, with the side before their names."""


def compare_router(*, store: StoreReader, project_of: ReadingProject, clock: Clock) -> APIRouter:
    """The route. `clock` gives the end of the default window."""
    router = APIRouter(tags=["statistics"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]

    @router.get("/v1/compare", summary="Two cohorts of runs", dependencies=[Depends(only(*CompareQuery.model_fields))])
    async def compared(
        query: Annotated[CompareQuery, Query()],  # type: ignore[valid-type]  # made of the filters of a list
        project: project_type,
    ) -> ComparisonSchema:
        """B minus A: failure rate, latencies, first failures, and steps by name, each with its interval and test.

        P values are corrected for the number of measures. Runs count by their start; by default those of the last seven days.
        Where a side has filters beside agent, version and window, both are counted from up to 50,000 runs of each.
        """
        now = clock()
        a, b = (query.side(name, now=now) for name in "ab")  # type: ignore[attr-defined]  # as above
        if a.in_statistics and b.in_statistics:
            counted = [await _counted(store, project, side, now=now) for side in (a, b)]
            return await asyncio.to_thread(_from_statistics, (a, b), counted)  # the event loop serves others meanwhile
        for name, side in (("a", a), ("b", b)):
            if side.within.until - side.within.since > LONGEST:
                raise InputError(f"{name}_since must be at most seven days before {name}_until", field=f"{name}_since")
        drawn = [await _drawn(store, project, side, now=now) for side in (a, b)]
        return await asyncio.to_thread(_from_runs, (a, b), drawn)

    return router


async def _counted(store: StoreReader, project: str, side: Side, *, now: datetime) -> _Counted:
    which = side.count_filter(now=now)
    return which, await store.run_counts(project, which), await store.step_counts(project, which)


async def _drawn(store: StoreReader, project: str, side: Side, *, now: datetime) -> DrawnCohort:
    expected = await expected_runs(store, project, side.within, now=now)
    return await store.draw_cohort(project, side.which, side.search, within=replace(side.within, expected=expected))


def _from_statistics(sides: tuple[Side, Side], counted: Sequence[_Counted]) -> ComparisonSchema:
    cohorts = [Cohort.of(runs, steps, which) for which, runs, steps in counted]
    windows = [which for which, _, _ in counted]
    a, b = (
        side.answer(cohort, since=which.since, until=which.until)
        for side, cohort, which in zip(sides, cohorts, windows, strict=True)
    )
    return ComparisonSchema.of(Source.STATISTICS, a, b, compare(*cohorts))


def _from_runs(sides: tuple[Side, Side], drawn: Sequence[DrawnCohort]) -> ComparisonSchema:
    cohorts = [Cohort.drawn(one) for one in drawn]
    a, b = (
        side.answer(cohort, since=side.within.since, until=side.within.until, share=one.share)
        for side, cohort, one in zip(sides, cohorts, drawn, strict=True)
    )
    return ComparisonSchema.of(Source.RUNS, a, b, compare(*cohorts))
