"""The route `/v1/stats`: it chooses the window and adds its counts up, with `aggregate.py` and `percentiles.py`."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query

from ddl import rollups
from ddl.rollups import Part, minute_of, moment
from query_service import aggregate
from query_service.api.auth import ReadingProject
from query_service.api.error_handlers import ERRORS
from query_service.api.parameters import StatsQuery, clamped, only, refuse_empty_window
from query_service.api.stats_schema import AgentStats, FailureGroupSchema, StatsSchema, StepStats, Window
from query_service.store.rows import StatsCounts
from query_service.store.store import CountFilter, StoreReader

Clock = Callable[[], datetime]
_WINDOW: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
"""The shortest span of the store's totals."""


def utc_now() -> datetime:
    """The clock of a real service."""
    return datetime.now(UTC)


def stats_router(*, store: StoreReader, project_of: ReadingProject, clock: Clock) -> APIRouter:
    """The route. `project_of` names the project that a request may read; `clock` gives the end of the default window."""
    router = APIRouter(tags=["statistics"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]

    @router.get("/v1/stats", summary="Figures of agents and steps", dependencies=[Depends(only(*StatsQuery.model_fields))])
    async def stats(query: Annotated[StatsQuery, Query()], project: project_type) -> StatsSchema:
        """Counts runs and steps by their start. A bound within the last two days is a whole minute.

        An older bound is moved outward to a whole quarter of an hour, from 14 days on to a whole hour, and from 92 days on to a
        whole day of UTC; `window` says what was counted. Failures are grouped by fingerprint, by when they occurred.
        """
        now = clock()
        parts, window = counted_window(since=query.since, until=query.until, now=now)
        which = CountFilter(
            since=window.since, until=window.until, parts=parts, agent=query.agent_id, agent_version=query.agent_version
        )
        complete_to = await store.complete_to()  # before the figures are read: what it promises is then counted
        counts = await store.counts(project, which)
        # The event loop serves others meanwhile.
        return await asyncio.to_thread(_statistics, window, which, counts, complete_to)

    return router


def _statistics(window: Window, which: CountFilter, counts: StatsCounts, complete_to: datetime | None) -> StatsSchema:
    return StatsSchema(
        window=window,
        complete_to=complete_to,
        agents=[AgentStats.of(agent) for agent in aggregate.agents(counts, which)],
        steps=[StepStats.of(step) for step in aggregate.steps(counts)],
        failure_groups=[FailureGroupSchema.of(group) for group in counts.groups],
    )


def counted_window(*, since: datetime | None, until: datetime | None, now: datetime) -> tuple[Sequence[Part], Window]:
    """The totals that make up the requested window, and the window that they are of. Raises InputError for an empty one."""
    asked = whole_minutes(since=since, until=until, now=now)
    parts = rollups.parts(minute_of(asked.since), minute_of(asked.until), now=minute_of(now))
    return parts, Window(since=moment(parts[0].since), until=moment(parts[-1].until)) if parts else asked


def whole_minutes(*, since: datetime | None, until: datetime | None, now: datetime) -> Window:
    """The whole minutes that the requested window touches. By default it ends now and begins 60 minutes before its end.

    Raises InputError where nothing lies between the bounds.
    """
    if since is not None:
        refuse_empty_window(since, now if until is None else until)
    end = now if until is None else clamped(until)
    end_floor = end.replace(second=0, microsecond=0)
    end_ceiling = end_floor if end_floor == end else end_floor + _MINUTE
    begin = end_ceiling - _WINDOW if since is None else clamped(since).replace(second=0, microsecond=0)
    return Window(since=begin, until=end_ceiling)
