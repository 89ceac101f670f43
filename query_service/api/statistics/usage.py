"""The route `/v1/usage`: tokens and cost by model, agent, version or day."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query
from pydantic import ConfigDict, Field

from query_service import buckets
from query_service.api.auth import ReadingProject
from query_service.api.error_handlers import ERRORS
from query_service.api.parameters import Zone, described, only
from query_service.api.run_schema import ResponseSchema
from query_service.api.statistics.parameters import WindowQuery
from query_service.api.statistics.series_schema import NANO
from query_service.api.stats import Clock
from query_service.api.stats_schema import Window
from query_service.buckets import Buckets, BucketSize
from query_service.prices.table import PriceTable
from query_service.store.rows import StepCount
from query_service.store.store import Column, CountFilter, StoreReader

_DAY: Final = timedelta(days=1)
_EXAMPLE: Final[dict[str, Any]] = {
    "by": "model",
    "window": {"since": "2026-01-30T12:00:00Z", "until": "2026-01-31T12:00:00Z"},
    "prices_version": "2026-11",
    "currency": "USD",
    "rows": [
        {
            "key": {"model": "gpt-4o"},
            "steps": 120,
            "input_tokens": 240000,
            "output_tokens": 18000,
            "cost": 0.78,
            "cost_said": 0.0,
            "cost_priced": 0.78,
            "unpriced_tokens": 0,
        }
    ],
}


class UsageBy(StrEnum):
    """By what usage is told apart."""

    MODEL = "model"
    AGENT = "agent"
    VERSION = "version"
    DAY = "day"


_COLUMNS: Final[Mapping[UsageBy, Mapping[Column, str]]] = {
    UsageBy.MODEL: {Column.MODEL: "model"},
    UsageBy.AGENT: {Column.AGENT: "agent_id"},
    UsageBy.VERSION: {Column.AGENT: "agent_id", Column.AGENT_VERSION: "agent_version"},
    UsageBy.DAY: {},
}


class UsageQuery(WindowQuery):
    """Parameters of `GET /v1/usage`."""

    by: Annotated[UsageBy, Field(description="What rows are told apart by.")] = UsageBy.MODEL
    zone: Annotated[Zone, Field(description=described("zone") + " Days begin at its midnight.")] = "UTC"


class UsageRow(ResponseSchema):
    """Usage of one key."""

    key: Annotated[Mapping[str, str | None], Field(description="A model of null: none is named. `day` is when it begins.")]
    steps: int
    input_tokens: Annotated[int, Field(description="Cached ones included.")]
    output_tokens: int
    cost: Annotated[float, Field(description="`cost_said` and `cost_priced` together.")]
    cost_said: Annotated[float, Field(description="What senders said.")]
    cost_priced: Annotated[
        float,
        Field(description="By list prices, for an agent, version, model and day of which nothing was said."),
    ]
    unpriced_tokens: Annotated[int, Field(description="Tokens of models that no price is known of, and nothing was said of.")]


class UsageSchema(ResponseSchema):
    """Tokens and cost in a window."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    by: UsageBy
    window: Annotated[Window, Field(description="Whole buckets, as of `/v1/series`; by day whole days of the zone.")]
    prices_version: str
    currency: str
    rows: Annotated[list[UsageRow], Field(description="The most expensive first, then those with most tokens; days in order.")]


class _Sums:
    """One row, while it is added up."""

    def __init__(self) -> None:
        self.steps = self.input_tokens = self.output_tokens = self.unpriced_tokens = 0
        self.said = self.priced = 0.0

    def add(self, row: StepCount, prices: PriceTable) -> None:
        self.steps += row.steps
        self.input_tokens += row.input_tokens
        self.output_tokens += row.output_tokens
        if row.cost:
            self.said += row.cost / NANO
            return
        price = prices.price(row.model)
        if price is None:
            self.unpriced_tokens += row.input_tokens + row.output_tokens
        else:
            self.priced += price.of(input_tokens=row.input_tokens, output_tokens=row.output_tokens)


def usage_router(*, store: StoreReader, project_of: ReadingProject, clock: Clock, prices: PriceTable) -> APIRouter:
    """The route. `clock` gives the end of the default window."""
    router = APIRouter(tags=["statistics"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]

    @router.get("/v1/usage", summary="Tokens and cost", dependencies=[Depends(only(*UsageQuery.model_fields))])
    async def usage(query: Annotated[UsageQuery, Query()], project: project_type) -> UsageSchema:
        """By default of the last day, by model. Cost that a sender said wins over list prices."""
        cut = _cut(query, now=clock())
        which = CountFilter(
            since=cut.since,
            until=cut.until,
            parts=cut.parts,
            starts=cut.starts,
            by=frozenset({Column.MODEL, Column.AGENT, Column.AGENT_VERSION}),
            histograms=False,
            agent=query.agent_id,
            agent_version=query.agent_version,
        )
        counts = await store.step_counts(project, which)
        return await asyncio.to_thread(_usage, query, cut, counts, prices)  # the event loop serves others meanwhile

    return router


def _cut(query: UsageQuery, *, now: datetime) -> Buckets:
    since, until = query.window(now=now, default=_DAY)
    size = BucketSize.DAY if query.by is UsageBy.DAY else BucketSize.AUTO
    return buckets.cut(since, until, size=size, zone=ZoneInfo(query.zone), now=now)


def _usage(query: UsageQuery, cut: Buckets, counts: Iterable[StepCount], prices: PriceTable) -> UsageSchema:
    names = _COLUMNS[query.by]
    found: dict[tuple[str, ...], _Sums] = {}
    for row in counts:
        if not (row.input_tokens or row.output_tokens or row.cost or row.model):
            continue  # a step that calls no model
        at = (cut.starts[row.bucket].isoformat(),) if query.by is UsageBy.DAY else ()
        found.setdefault((*at, *(getattr(row, column) for column in names)), _Sums()).add(row, prices)
    keys = ["day"] if query.by is UsageBy.DAY else list(names.values())
    rows = [_row(keys, key, sums) for key, sums in sorted(found.items())]
    if query.by is not UsageBy.DAY:
        rows.sort(key=lambda row: (-row.cost, -row.input_tokens - row.output_tokens))
    return UsageSchema(
        by=query.by,
        window=Window(since=cut.since, until=cut.until),
        prices_version=prices.version,
        currency=prices.currency,
        rows=rows,
    )


def _row(names: Sequence[str], key: Sequence[str], sums: _Sums) -> UsageRow:
    return UsageRow(
        key={name: part or None for name, part in zip(names, key, strict=True)},
        steps=sums.steps,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        cost=sums.said + sums.priced,
        cost_said=sums.said,
        cost_priced=sums.priced,
        unpriced_tokens=sums.unpriced_tokens,
    )
