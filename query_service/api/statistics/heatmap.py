"""The route `/v1/heatmap`: how many runs or steps began when, and how long they took."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from pydantic import ConfigDict, Field

from agenttracer.wire.vocabulary import RunStatus, StepStatus
from query_service.api.auth import ReadingProject
from query_service.api.error_handlers import ERRORS
from query_service.api.parameters import Absent, Name, described, only
from query_service.api.run_schema import ResponseSchema
from query_service.api.statistics.parameters import BucketsQuery, Population
from query_service.api.stats import Clock
from query_service.api.stats_schema import Window
from query_service.buckets import Buckets, BucketSize
from query_service.errors import InputError
from query_service.percentiles import NO_LATENCY, octave
from query_service.store.rows import RunCount, StepCount
from query_service.store.store import Column, CountFilter, StoreReader

_DAY: Final = timedelta(days=1)
_FAILED: Final = frozenset({RunStatus.FAILURE.value, StepStatus.ERROR.value})
_EXAMPLE: Final[dict[str, Any]] = {
    "of": "runs",
    "bucket": "15m",
    "zone": "UTC",
    "window": {"since": "2026-01-31T11:30:00Z", "until": "2026-01-31T12:00:00Z"},
    "times": ["2026-01-31T11:30:00Z", "2026-01-31T11:45:00Z"],
    "latency_ms": [{"low": 1048.576, "high": 2097.152}, {"low": 2097.152, "high": 4194.304}],
    "cells": [[60, 41], [10, 7]],
    "failed": [[2, 1], [7, 7]],
}


class HeatmapQuery(BucketsQuery):
    """Parameters of `GET /v1/heatmap`."""

    of: Annotated[Population, Field(description=described("of"))] = Population.RUNS
    step_name: Annotated[Name | Absent, Field(description="Steps alone. " + described("step_name"))] = None


class LatencyRange(ResponseSchema):
    """From `low` up to, and not including, `high`: each is twice as long as the one before."""

    low: float
    high: float


class HeatmapSchema(ResponseSchema):
    """Counts by time and latency."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    of: Population
    bucket: Annotated[BucketSize, Field(description="How long each bucket is; never `auto`.")]
    zone: str
    window: Annotated[Window, Field(description="Whole buckets: those that the requested window touches.")]
    times: Annotated[list[datetime], Field(description="When each column begins.")]
    latency_ms: Annotated[list[LatencyRange], Field(description="Rows, the shortest first; none above or below what is counted.")]
    cells: Annotated[list[list[int]], Field(description="For each row, a count for each of `times`. Open runs are in none.")]
    failed: Annotated[list[list[int]], Field(description="Those of them with status `failure`, or steps that ended in an error.")]


def heatmap_router(*, store: StoreReader, project_of: ReadingProject, clock: Clock) -> APIRouter:
    """The route. `clock` gives the end of the default window."""
    router = APIRouter(tags=["statistics"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]

    @router.get("/v1/heatmap", summary="Latency over time", dependencies=[Depends(only(*HeatmapQuery.model_fields))])
    async def heatmap(query: Annotated[HeatmapQuery, Query()], project: project_type) -> HeatmapSchema:
        """Counts by start and latency, by default of the last day; latencies in ranges that double."""
        if query.of is Population.RUNS and query.step_name is not None:
            raise InputError("step_name filters steps alone", field="step_name")
        cut = query.buckets(now=clock(), default=_DAY)
        which = CountFilter(
            since=cut.since,
            until=cut.until,
            parts=cut.parts,
            starts=cut.starts,
            by=frozenset({Column.STATUS}),
            agent=query.agent_id,
            agent_version=query.agent_version,
            name=query.step_name,
        )
        rows: Iterable[RunCount | StepCount]
        if query.of is Population.RUNS:
            rows = (await store.run_counts(project, which)).runs
        else:
            rows = await store.step_counts(project, which)
        return await asyncio.to_thread(_heatmap, query, cut, rows)  # the event loop serves others meanwhile

    return router


def _heatmap(query: HeatmapQuery, cut: Buckets, rows: Iterable[RunCount | StepCount]) -> HeatmapSchema:
    counts: Counter[tuple[int, int]] = Counter()
    failed: Counter[tuple[int, int]] = Counter()
    for row in rows:
        for bucket, count in row.histogram.items():
            if bucket != NO_LATENCY and count:
                cell = octave(bucket), row.bucket
                counts[cell] += count
                failed[cell] += count if row.status in _FAILED else 0
    used = [each for (each, _), count in counts.items() if count]
    octaves = range(min(used), max(used) + 1) if used else range(0)
    columns = range(len(cut.starts))
    return HeatmapSchema(
        of=query.of,
        bucket=cut.size,
        zone=query.zone,
        window=Window(since=cut.since, until=cut.until),
        times=list(cut.starts),
        latency_ms=[LatencyRange(low=(1 << each) / 1000 if each else 0, high=(2 << each) / 1000) for each in octaves],
        cells=[[counts[each, column] for column in columns] for each in octaves],
        failed=[[failed[each, column] for column in columns] for each in octaves],
    )
