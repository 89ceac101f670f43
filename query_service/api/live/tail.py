"""The route `/v1/tail`: runs as they start and finish, as server-sent events."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field, create_model
from starlette.types import Receive, Scope, Send

from query_service.api.auth import ReadingProject
from query_service.api.error_handlers import ERRORS
from query_service.api.parameters import EVENT_ID, RULES, Absent, EventId, QueryParameters, described, only
from query_service.api.run_parameters import SelectingFilters
from query_service.api.run_schema import RUN_EXAMPLE, RunSchema
from query_service.api.stats import Clock
from query_service.errors import InputError
from query_service.live.feed import EPOCH, MICROSECOND, Feeds, time_us
from query_service.live.reader import EndReason, RunEvent, TailReader
from servicekit.http.errors import HttpError

BEAT_S: Final = 5.0
"""A comment is sent after so long without an event, and the key is looked at again. Proxies and clients wait longer."""
_RETRY_MS: Final = 2_000
_BACK_MAX: Final = timedelta(hours=1)
"""A reader that was away for longer misses what was before."""
_NOT_LIVE: Final = frozenset({"since", "until", "metadata_range"})
"""Filters that need a window."""
_CONTENT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events `ready`, `run`, `dropped` and `end`; comments in between.",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "description": "One event.",
                    "required": ["event", "data"],
                    "properties": {
                        "event": {"enum": ["ready", "run", "dropped", "end"]},
                        "id": {"type": "string"},
                        "retry": {"type": "integer"},
                        "data": {"type": "string"},
                    },
                },
                "example": f'event: run\nid: 1769860800000000\ndata: {{"run_id": "{RUN_EXAMPLE["run_id"]}"}}\n\n',
            }
        },
    }
}
_RESUMES: Final = "As the header Last-Event-ID, which browsers send by themselves. "


class _TailQuery(QueryParameters):
    last_event_id: Annotated[EventId | Absent, Field(description=_RESUMES + described("last_event_id"))] = None

    def filters(self) -> SelectingFilters:
        """Those of a list."""
        return SelectingFilters.model_construct(**dict.fromkeys(_NOT_LIVE), **self.model_dump(exclude={"last_event_id"}))


_FILTERS: Final[dict[str, Any]] = {
    name: (field.annotation, field) for name, field in SelectingFilters.model_fields.items() if name not in _NOT_LIVE
}
TailQuery: Final = create_model("TailQuery", __base__=_TailQuery, __doc__="Parameters of `GET /v1/tail`.", **_FILTERS)


class _Tail(StreamingResponse):
    """Leaves the feed however it ends, also before its first byte."""

    def __init__(self, events: AsyncIterator[str], *, feeds: Feeds, project: str, reader: TailReader) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._feeds = feeds
        self._project = project
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._feeds.leave(self._project, self._reader)


def tail_router(*, feeds: Feeds, project_of: ReadingProject, clock: Clock, beat_s: float = BEAT_S) -> APIRouter:
    """The route. `clock` says when a reader begins that names no event."""
    router = APIRouter(tags=["runs"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]

    @router.get(
        "/v1/tail",
        summary="Runs as they start and finish",
        response_class=StreamingResponse,
        responses=_CONTENT,
        dependencies=[Depends(only(*TailQuery.model_fields))],
    )
    async def tail(
        request: Request,
        query: Annotated[TailQuery, Query()],  # type: ignore[valid-type]  # made of the filters of a list
        project: project_type,
    ) -> StreamingResponse:
        """A run comes when it is first seen, and whenever it is over and something of it was received.

        What a reader is too slow for is counted in `dropped`. After a break the same run can come again: the later one counts.
        Runs that fall silent change without an event.
        """
        filters = query.filters()  # type: ignore[attr-defined]  # as above
        which, search = filters.filter(), filters.search(now=clock())
        named = query.last_event_id or request.headers.get("last-event-id")  # type: ignore[attr-defined]  # as above
        after = None if named is None else _time_of(named, now=clock())
        reader = feeds.join(project, which, search)
        events = _events(request, reader, feeds=feeds, project=project, after=after, began=after or clock())
        return _Tail(events, feeds=feeds, project=project, reader=reader)

    async def _events(
        request: Request, reader: TailReader, *, feeds: Feeds, project: str, after: datetime | None, began: datetime
    ) -> AsyncIterator[str]:
        now_s = asyncio.get_running_loop().time
        yield f"retry: {_RETRY_MS}\n" + _event("ready", {"since": began.isoformat().replace("+00:00", "Z")}, time_us(began))
        if after is not None:
            async for event in feeds.read_again(project, reader, after=after):
                yield _run(event)
        allowed_until = now_s() + beat_s
        while reader.ended is None:
            await reader.wait(beat_s)
            yield _taken(reader) or ":\n\n"
            if now_s() > allowed_until:
                allowed_until = now_s() + beat_s
                if not await _still_allowed(request):
                    reader.end(EndReason.KEY_ENDED)
        yield _taken(reader) + _event("end", {"reason": reader.ended.value})

    async def _still_allowed(request: Request) -> bool:
        try:
            await project_of(request)
        except HttpError:
            return False
        return True

    return router


def _taken(reader: TailReader) -> str:
    dropped, runs = reader.take()
    gone = _event("dropped", {"dropped": dropped, "dropped_total": reader.dropped_total}) if dropped else ""
    return gone + "".join(_run(event) for event in runs)


def _run(event: RunEvent) -> str:
    said = {**RunSchema.of(event.run).model_dump(mode="json"), "change": "finished" if event.over else "started"}
    return _event("run", said, event.resume_us)


def _event(kind: str, said: dict[str, Any], event_id: int | None = None) -> str:
    named = "" if event_id is None else f"id: {event_id}\n"
    return f"event: {kind}\n{named}data: {json.dumps(said, separators=(',', ':'))}\n\n"


def _time_of(event_id: str, *, now: datetime) -> datetime:
    """When a reader that comes back goes on: an hour ago at most. Raises InputError."""
    if not re.fullmatch(EVENT_ID, event_id):
        raise InputError(f"last_event_id must be {RULES['last_event_id']}", field="last_event_id")
    since_epoch = min(int(event_id), time_us(now))
    return max(EPOCH + since_epoch * MICROSECOND, now - _BACK_MAX)
