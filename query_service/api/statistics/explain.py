"""The route `/v1/explain`: what a selection of runs shares that the rest does not, and how sure that is."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Self

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from agenttracer.wire.vocabulary import RunStatus
from query_service.api.auth import ReadingProject
from query_service.api.error_handlers import ERRORS
from query_service.api.parameters import clamped, described, only, refuse_empty_window
from query_service.api.run_parameters import SelectingFilters
from query_service.api.statistics.explain_schema import ExplanationSchema, asked_filters, is_asked
from query_service.api.stats import Clock, counted_window
from query_service.comparison.attributes import shared
from query_service.errors import InputError
from query_service.store.rows import Contrast
from query_service.store.store import EVERYTHING, CountFilter, Population, RunFilter, RunSearch, StoreReader

_DAY: Final = timedelta(days=1)
LONGEST: Final = timedelta(days=7)
"""Windows whose runs are drawn."""


class Within(StrEnum):
    """What both sides have in common, of the filters that are given."""

    VERSION = "version"
    AGENT = "agent"
    PROJECT = "project"


class ExplainQuery(SelectingFilters):
    """Parameters of `GET /v1/explain`."""

    within: Annotated[
        Within,
        Field(
            description=described("within") + " `version`: both of them bound both sides. `agent`: `agent_version` selects. "
            "`project`: both select."
        ),
    ] = Within.VERSION

    def selecting(self, *, now: datetime) -> Self:
        """These parameters; where they select nothing, failed runs are selected."""
        which, search, _ = self.sides(now=now)
        selects = which != RunFilter() or search != EVERYTHING
        return self if selects else self.model_copy(update={"status": RunStatus.FAILURE})

    def sides(self, *, now: datetime) -> tuple[RunFilter, RunSearch, Population]:
        """The selection, and the runs that it is told apart from. Raises InputError."""
        until = clamped(now if self.until is None else self.until)
        since = until - _DAY if self.since is None else clamped(self.since)
        refuse_empty_window(since, until)
        if until - since > LONGEST:
            raise InputError("since must be at most seven days before until", field="since")
        bounded = self.model_copy(update={"since": since, "until": until})
        which, search = bounded.filter(), bounded.search(now=now)
        agent = None if self.within is Within.PROJECT else self.agent_id
        version = self.agent_version if self.within is Within.VERSION else None
        selecting = replace(
            which,
            since=None,
            until=None,
            agent=None if agent else which.agent,
            agent_version=None if version else which.agent_version,
        )
        return selecting, search, Population(since=since, until=until, agent=agent, agent_version=version, expected=0)


def explain_router(*, store: StoreReader, project_of: ReadingProject, clock: Clock) -> APIRouter:
    """The route. `clock` gives the end of the default window."""
    router = APIRouter(tags=["statistics"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]

    @router.get("/v1/explain", summary="What runs share", dependencies=[Depends(only(*ExplainQuery.model_fields))])
    async def explain(query: Annotated[ExplainQuery, Query()], project: project_type) -> ExplanationSchema:
        """What the runs of these filters have in common, and the rest of the window has not: the surest first.

        Up to 50,000 runs of each side are looked at, drawn by the hash of their ids. P values are exact, and corrected for the
        number of tests. Without a filter that selects: of failed runs. By default of the last day; at most seven days.
        """
        now = clock()
        asked = query.selecting(now=now)
        which, search, within = asked.sides(now=now)
        expected = await expected_runs(store, project, within, now=now)
        found = await store.contrast(project, which, search, within=replace(within, expected=expected))
        return await asyncio.to_thread(_explained, asked, within, found)  # the event loop serves others meanwhile

    return router


async def expected_runs(store: StoreReader, project: str, within: Population, *, now: datetime) -> int:
    """How many runs a population has, as far as statistics know."""
    parts, window = counted_window(since=within.since, until=within.until, now=now)
    which = CountFilter(
        since=window.since,
        until=window.until,
        parts=parts,
        by=frozenset(),
        histograms=False,
        agent=within.agent,
        agent_version=within.agent_version,
    )
    return sum(row.runs for row in (await store.run_counts(project, which)).runs)


def _explained(query: ExplainQuery, within: Population, found: Contrast) -> ExplanationSchema:
    asked = asked_filters(query)
    attributes, tested = shared(found, [one for one in found.attributes if not is_asked(one, asked)])
    return ExplanationSchema.of(within, query.within.value, found, attributes, tested=tested)
