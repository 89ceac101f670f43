"""The route `/v1/export`: the runs of a list's filters as a file, written page by page while it is sent."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from query_service.api.auth import ReadingProject
from query_service.api.error_handlers import ERRORS
from query_service.api.parameters import only
from query_service.api.run_parameters import RunFilters
from query_service.api.run_schema import RUN_EXAMPLE, RunSchema
from query_service.api.runs import newest_runs
from query_service.api.stats import Clock
from query_service.store.rows import StoredRun
from query_service.store.store import RunFilter, RunPage, RunSearch, StoreReader

_PAGE: Final = 500
_COLUMNS: Final = (
    "run_id",
    "agent_id",
    "agent_version",
    "status",
    "end_reason",
    "started_at",
    "ended_at",
    "latency_ms",
    "step_count",
    "error_step_count",
    "failure_count",
    "failure_type",
    "failure_code",
    "shape",
    "session_digest",
    "parent_run_id",
    "completeness",
    "lost_events",
)


class ExportFormat(StrEnum):
    """How a file is written."""

    CSV = "csv"
    JSONL = "jsonl"


_MEDIA: Final = {ExportFormat.CSV: "text/csv; charset=utf-8", ExportFormat.JSONL: "application/x-ndjson"}
_CONTENT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A line for each run, newest first; of CSV the first names the columns.",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": ",".join(_COLUMNS) + "\r\n"},
            "application/x-ndjson": {"schema": {"type": "string"}, "example": f'{{"run_id": "{RUN_EXAMPLE["run_id"]}"}}\n'},
        },
    }
}


class ExportQuery(RunFilters):
    """Parameters of `GET /v1/export`."""

    format: Annotated[ExportFormat, Field(description="CSV, or the runs of `/v1/runs` as JSON, one a line.")] = ExportFormat.CSV


def export_router(*, store: StoreReader, project_of: ReadingProject, clock: Clock) -> APIRouter:
    """The route. `clock` gives the end of a window without one."""
    router = APIRouter(tags=["runs"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]

    @router.get(
        "/v1/export",
        summary="Runs as a file",
        response_class=StreamingResponse,
        responses=_CONTENT,
        dependencies=[Depends(only(*ExportQuery.model_fields))],
    )
    async def export(query: Annotated[ExportQuery, Query()], project: project_type) -> StreamingResponse:
        """All runs of the filters, newest first, in bounded memory. Runs that change meanwhile are as before or as after.

        Where the store fails half way, the connection is broken off: an answer that ends as HTTP has it is whole.
        """
        which, search = query.filter(), query.search(now=clock())
        first = await newest_runs(store, project, which, search, after=None, limit=_PAGE)  # while a refusal can be answered
        lines = _lines(_pages(store, project, which, search, first), query.format)
        return StreamingResponse(lines, media_type=_MEDIA[query.format])

    return router


async def _pages(
    store: StoreReader, project: str, which: RunFilter, search: RunSearch, first: RunPage
) -> AsyncIterator[Sequence[StoredRun]]:
    page = first
    yield page.runs
    while page.after is not None:
        page = await newest_runs(store, project, which, search, after=page.after, limit=_PAGE)
        yield page.runs


async def _lines(pages: AsyncIterator[Sequence[StoredRun]], wanted: ExportFormat) -> AsyncIterator[str]:
    if wanted is ExportFormat.CSV:
        yield _csv([_COLUMNS])
    async for runs in pages:
        schemas = [RunSchema.of(run) for run in runs]
        if wanted is ExportFormat.CSV:
            yield _csv([_row(run) for run in schemas])
        else:
            yield "".join(f"{run.model_dump_json()}\n" for run in schemas)


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    """As RFC 4180 has it. No value can begin a formula of a spreadsheet: names, digests, times and numbers from 0 on."""
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def _row(run: RunSchema) -> list[Any]:
    said = run.model_dump(mode="json", include=set(_COLUMNS) - {"failure_type", "failure_code", "completeness", "lost_events"})
    failure = run.failure
    said |= {
        "failure_type": None if failure is None else failure.failure_type.value,
        "failure_code": None if failure is None else failure.failure_code,
        "completeness": run.completeness.state.value,
        "lost_events": run.completeness.lost_events,
    }
    return [said[column] for column in _COLUMNS]
