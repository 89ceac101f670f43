"""The route `/v1/stats`: picks the window, has its counts added up. The figures are made in `tally.py` and `histogram.py`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query

from query_service import tally
from query_service.parameters import StatsQuery, only
from query_service.project import ReadingProject
from query_service.reader import CountFilter, StoreReader
from query_service.refusal import ERRORS
from query_service.stats_answer import AgentStats, FailureGroupAnswer, StatsAnswer, StepStats, Window

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
        return StatsAnswer(
            window=window,
            agents=[AgentStats.of(agent) for agent in tally.agents(counts)],
            steps=[StepStats.of(step) for step in tally.steps(counts)],
            failure_groups=[FailureGroupAnswer.of(group) for group in counts.groups],
        )

    return router


def whole_minutes(*, since: datetime | None, until: datetime | None, now: datetime) -> Window:
    """The minutes that the asked window touches. Missing bounds: until now, since an hour before `until`."""
    end = now if until is None else until
    begin = end - _WINDOW if since is None else since
    floor = begin.replace(second=0, microsecond=0)
    end_floor = end.replace(second=0, microsecond=0)
    return Window(since=floor, until=end_floor if end_floor == end else end_floor + _MINUTE)
