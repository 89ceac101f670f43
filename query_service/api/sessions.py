"""The route `/v1/sessions`: sessions by their newest run."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from pydantic import BeforeValidator, ConfigDict, Field

from query_service.api import cursor
from query_service.api.auth import ReadingProject
from query_service.api.error_handlers import ERRORS
from query_service.api.parameters import (
    RUNS_MAX,
    Absent,
    Cursor,
    QueryParameters,
    Time,
    clamped,
    described,
    only,
    plain_digits,
    refuse_empty_window,
)
from query_service.api.run_schema import ResponseSchema
from query_service.api.stats import Clock
from query_service.store.store import SessionPosition, StoreReader

_DAY: Final = timedelta(days=1)
_EXAMPLE: Final[dict[str, Any]] = {
    "sessions": [
        {
            "session": "5b1d9c0f3a7e24685b1d9c0f3a7e2468",
            "runs": 4,
            "failed": 1,
            "agents": ["support-bot"],
            "first_started_at": "2026-01-31T11:20:00Z",
            "last_started_at": "2026-01-31T11:58:00Z",
        }
    ],
    "next_cursor": None,
}


class SessionsQuery(QueryParameters):
    """Parameters of `GET /v1/sessions`."""

    since: Annotated[Time | Absent, Field(description=described("since") + " Default: a day before `until`.")] = None
    until: Annotated[Time | Absent, Field(description=described("until") + " Default: now.")] = None
    cursor: Annotated[Cursor | Absent, Field(description=described("cursor"))] = None
    limit: Annotated[int, Field(ge=1, le=RUNS_MAX, description="Sessions on the page."), BeforeValidator(plain_digits)] = 50


class SessionSchema(ResponseSchema):
    """Runs that belong together by what their senders called a session, of which only a keyed digest is known."""

    session: Annotated[str, Field(description="`/v1/runs?session=` lists its runs.")]
    runs: Annotated[int, Field(description="Its runs that started in the window.")]
    failed: Annotated[int, Field(description="Those of them with status `failure`.")]
    agents: list[str]
    first_started_at: datetime
    last_started_at: datetime


class SessionsSchema(ResponseSchema):
    """A page of sessions, the one with the newest run first."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    sessions: list[SessionSchema]
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` to go on; null on the last page.")]


def sessions_router(*, store: StoreReader, project_of: ReadingProject, clock: Clock) -> APIRouter:
    """The route. `clock` gives the end of the default window."""
    router = APIRouter(tags=["runs"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]

    @router.get("/v1/sessions", summary="Sessions", dependencies=[Depends(only(*SessionsQuery.model_fields))])
    async def list_sessions(query: Annotated[SessionsQuery, Query()], project: project_type) -> SessionsSchema:
        """Sessions with a run that started in the window, by default in the last day."""
        until = clamped(clock() if query.until is None else query.until)
        since = until - _DAY if query.since is None else clamped(query.since)
        refuse_empty_window(since, until)
        after = cursor.session_position(query.cursor) if query.cursor else None
        found = await store.list_sessions(project, since=since, until=until, after=after, limit=query.limit + 1)
        page = found[: query.limit]
        more = len(found) > query.limit
        last = SessionPosition(started_at=page[-1].last_started_at, session=page[-1].session) if more else None
        return SessionsSchema(
            sessions=[
                SessionSchema(
                    session=one.session,
                    runs=one.runs,
                    failed=one.failed,
                    agents=sorted(one.agents),
                    first_started_at=one.first_started_at,
                    last_started_at=one.last_started_at,
                )
                for one in page
            ],
            next_cursor=cursor.session_cursor(last) if last else None,
        )

    return router
