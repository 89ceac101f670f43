"""The routes that read a run with what is below it: the runs that it started, one step, and all of it at once."""

import asyncio
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import Response
from pydantic import ConfigDict

from query_service.api import cursor
from query_service.api.auth import ReadingProject
from query_service.api.detail_schema import StepSchema
from query_service.api.error_handlers import ERRORS, NOT_FOUND, STEP_NOT_FOUND
from query_service.api.files.chrome_trace import chrome_trace
from query_service.api.parameters import DetailQuery, StepId, only
from query_service.api.run_schema import RUN_EXAMPLE, ResponseSchema, RunsSchema
from query_service.api.tree_schema import TreeSchema, tree_document
from query_service.store.rows import RunTree
from query_service.store.store import RunPosition, StoreReader

_RunId = Annotated[UUID, Path(description="The run's UUID, which is also its trace id.", examples=[RUN_EXAMPLE["run_id"]])]
_CHILDREN_MOST: Final = 500
_TRACE: Final[dict[str, Any]] = {
    "traceEvents": [
        {
            "ph": "X",
            "name": "search_orders",
            "cat": "tool",
            "pid": 0,
            "tid": 1,
            "ts": 120000,
            "dur": 1500250,
            "args": {"step_id": "00f067aa0ba902b7", "status": "error", "attempt": 1},
        }
    ],
    "displayTimeUnit": "ms",
    "otherData": {"run_id": RUN_EXAMPLE["run_id"]},
}


class TraceFormat(StrEnum):
    """How a run is written for other programs."""

    CHROME = "chrome"


_WRITERS: Final = {TraceFormat.CHROME: chrome_trace}


class TraceSchema(ResponseSchema):
    """A trace in Chrome's format."""

    model_config = ConfigDict(json_schema_extra={"examples": [_TRACE]})

    traceEvents: list[dict[str, Any]]  # noqa: N815 - the format's word
    displayTimeUnit: str  # noqa: N815 - as above
    otherData: dict[str, str]  # noqa: N815 - as above


def tree_router(*, store: StoreReader, project_of: ReadingProject) -> APIRouter:
    """The routes. `project_of` names the project that a request may read."""
    router = APIRouter(prefix="/v1/runs/{run_id}", tags=["runs"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]
    only_details = [Depends(only(*DetailQuery.model_fields))]

    @router.get("/children", summary="The runs that a run started", responses=NOT_FOUND, dependencies=only_details)
    async def list_children(run_id: _RunId, query: Annotated[DetailQuery, Query()], project: project_type) -> RunsSchema:
        """In the order in which they began. At most 500 on a page, whatever `limit` is."""
        after = cursor.child_position(query.cursor, run_id=run_id) if query.cursor else None
        limit = min(query.limit, _CHILDREN_MOST)
        complete_to = await store.complete_to()  # before the rows are read
        found = await store.children(project, run_id, after=after, limit=limit + 1)
        runs = found[:limit]
        last = RunPosition(started_at=runs[-1].started_at, run_id=runs[-1].run_id) if len(found) > limit else None
        return await RunsSchema.of(
            runs,
            next_cursor=cursor.child_cursor(last, run_id=run_id) if last else None,
            complete_to=complete_to,
        )

    @router.get("/steps/{step_id}", summary="One step", responses=STEP_NOT_FOUND, dependencies=[Depends(only())])
    async def one_step(run_id: _RunId, step_id: StepId, project: project_type) -> StepSchema:
        found = await store.step(project, run_id, step_id)
        return StepSchema.of(found.steps[0], run_started_at=found.run_started_at)

    @router.get(
        "/tree", summary="A run as a whole", responses=NOT_FOUND, response_model=TreeSchema, dependencies=[Depends(only())]
    )
    async def whole_tree(run_id: _RunId, project: project_type) -> Response:
        """All steps and failures of the run and of the runs that it started, as columns, without metadata."""
        tree = await store.tree(project, run_id)
        body = await asyncio.to_thread(_encoded, tree)  # the event loop serves others meanwhile
        return Response(body, media_type="application/json")

    @router.get(
        "/export",
        summary="A run as a trace for other programs",
        responses=NOT_FOUND,
        response_model=TraceSchema,
        dependencies=[Depends(only("format"))],
    )
    async def exported(
        run_id: _RunId,
        project: project_type,
        form: Annotated[TraceFormat, Query(alias="format", description="Chrome's format, which Perfetto opens.")],
    ) -> Response:
        """The steps of the run and of the runs that it started, as far as `/tree` has them."""
        tree = await store.tree(project, run_id)
        body = await asyncio.to_thread(_traced, tree, form)
        return Response(body, media_type="application/json")

    return router


def _encoded(tree: RunTree) -> bytes:
    return msgspec.json.encode(tree_document(tree))


def _traced(tree: RunTree, form: TraceFormat) -> bytes:
    return msgspec.json.encode(_WRITERS[form](tree))
