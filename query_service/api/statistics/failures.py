"""The routes under `/v1/failures`: kinds of failure over time, and the story of one."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BeforeValidator, Field

from agenttracer.wire.vocabulary import FailureType
from query_service.api.auth import ReadingProject
from query_service.api.detail_schema import FailureOutcome
from query_service.api.error_handlers import ERRORS, FAILURE_NOT_FOUND
from query_service.api.parameters import Absent, Code, Fingerprint, described, only, plain_digits
from query_service.api.statistics.failures_schema import GroupsSchema, StorySchema
from query_service.api.statistics.parameters import BucketsQuery
from query_service.api.stats import Clock
from query_service.buckets import Buckets
from query_service.store.store import Column, CountFilter, FailureFilter, GroupOrder, StoreReader

_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
_LIMIT_MAX: Final = 200
_Fingerprint = Annotated[Fingerprint, Path(description=described("fingerprint"), examples=["9ae0c8f1d2b34567"])]


class GroupsQuery(BucketsQuery):
    """Parameters of `GET /v1/failures`."""

    failure_type: Annotated[FailureType | Absent, Field(description=described("failure_type"))] = None
    failure_code: Annotated[Code | Absent, Field(description=described("failure_code"))] = None
    outcome: Annotated[FailureOutcome | Absent, Field(description=described("outcome"))] = None
    sort: Annotated[GroupOrder, Field(description="The most, or the newest, first.")] = GroupOrder.FAILURES
    limit: Annotated[
        int, Field(ge=1, le=_LIMIT_MAX, description="Kinds of failure in the answer."), BeforeValidator(plain_digits)
    ] = 50


class StoryQuery(BucketsQuery):
    """Parameters of `GET /v1/failures/{fingerprint}`."""


def failures_router(*, store: StoreReader, project_of: ReadingProject, clock: Clock) -> APIRouter:
    """The routes. `clock` gives the end of the default window."""
    router = APIRouter(prefix="/v1/failures", tags=["failures"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]

    @router.get("", summary="Kinds of failure", dependencies=[Depends(only(*GroupsQuery.model_fields))])
    async def groups(query: Annotated[GroupsQuery, Query()], project: project_type) -> GroupsSchema:
        """Failures by fingerprint, by when they occurred: by default in the last day."""
        cut = query.buckets(now=clock(), default=_DAY)
        found = await store.failure_groups(project, _filter(query, cut), order=query.sort, limit=query.limit + 1)
        return GroupsSchema.of(found[: query.limit], cut, zone=query.zone, more=len(found) > query.limit)

    @router.get(
        "/{fingerprint}",
        summary="One kind of failure",
        responses=FAILURE_NOT_FOUND,
        dependencies=[Depends(only(*StoryQuery.model_fields))],
    )
    async def story(fingerprint: _Fingerprint, query: Annotated[StoryQuery, Query()], project: project_type) -> StorySchema:
        """Its figures in the window, by default the last seven days, and its newest runs."""
        cut = query.buckets(now=clock(), default=_WEEK)
        found = await store.failure_story(project, fingerprint, _filter(query, cut))
        all_runs = await _runs_by_version(store, project, found.group.agent, cut)
        return StorySchema.of_story(found, cut, zone=query.zone, all_runs=all_runs)

    return router


def _filter(query: BucketsQuery, cut: Buckets) -> FailureFilter:
    named: Mapping[str, str | None] = {name: getattr(query, name, None) for name in ("failure_type", "failure_code", "outcome")}
    return FailureFilter(
        since=cut.since, until=cut.until, starts=cut.starts, agent=query.agent_id, agent_version=query.agent_version, **named
    )


async def _runs_by_version(store: StoreReader, project: str, agent: str, cut: Buckets) -> Mapping[str, int]:
    """All runs of the agent in the window."""
    by = frozenset({Column.AGENT_VERSION})
    which = CountFilter(since=cut.since, until=cut.until, parts=cut.parts, by=by, histograms=False, agent=agent)
    return {row.agent_version: row.runs for row in (await store.run_counts(project, which)).runs}
