"""The route `/v1/stats`: picks the window, has its counts added up. The figures are made in `tally.py` and `histogram.py`."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query

from query_service import tally
from query_service.parameters import StatsQuery, clamped, only, refuse_nothing_between
from query_service.project import ReadingProject
from query_service.reader import CountFilter, StoreReader
from query_service.refusal import ERRORS
from query_service.stats_answer import AgentStats, FailureGroupAnswer, StatsAnswer, StepStats, Window
from query_service.stored import Counts

Clock = Callable[[], datetime]
_WINDOW: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
"""What the store's rollups are cut to."""


def utc_now() -> datetime:
    """The clock of a real service."""
    return datetime.now(UTC)


def stats_router(*, store: StoreReader, project_of: ReadingProject, clock: Clock) -> APIRouter:
    """The route, reading from `store` what `project_of` a request may see; `clock` says where the default window ends."""
    router = APIRouter(tags=["statistics"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]

    @router.get("/v1/stats", summary="Figures of agents and steps", dependencies=[Depends(only(*StatsQuery.model_fields))])
    async def stats(query: Annotated[StatsQuery, Query()], project: project_type) -> StatsAnswer:
        """Counts runs and steps by the minute of their start, from rollups: `window` says which whole minutes were counted.

        Failures are grouped by fingerprint, by when they occurred.
        """
        window = whole_minutes(since=query.since, until=query.until, now=clock())
        which = CountFilter(since=window.since, until=window.until, agent=query.agent_id, agent_version=query.agent_version)
        counts = await store.counts(project, which)
        return await asyncio.to_thread(_answer, window, counts)  # others are answered meanwhile

    return router


def _answer(window: Window, counts: Counts) -> StatsAnswer:
    return StatsAnswer(
        window=window,
        agents=[AgentStats.of(agent) for agent in tally.agents(counts)],
        steps=[StepStats.of(step) for step in tally.steps(counts)],
        failure_groups=[FailureGroupAnswer.of(group) for group in counts.groups],
    )


def whole_minutes(*, since: datetime | None, until: datetime | None, now: datetime) -> Window:
    """The minutes that the asked window touches. Missing bounds: until now, and the 60 minutes up to that one's end.

    Raises InputError where nothing lies between the bounds.
    """
    if since is not None:
        refuse_nothing_between(since, now if until is None else until)
    end = now if until is None else clamped(until)
    end_floor = end.replace(second=0, microsecond=0)
    end_ceiling = end_floor if end_floor == end else end_floor + _MINUTE
    begin = end_ceiling - _WINDOW if since is None else clamped(since).replace(second=0, microsecond=0)
    return Window(since=begin, until=end_ceiling)
