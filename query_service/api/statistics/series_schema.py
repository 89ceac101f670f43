"""The JSON form of series. `query_service/series.py` adds them up."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Field

from agenttracer.wire.vocabulary import RunStatus
from query_service.aggregate import RunTotals, StepSums
from query_service.api.run_schema import ResponseSchema, to_ms
from query_service.api.stats_schema import Window
from query_service.buckets import BucketSize
from query_service.percentiles import percentile_us
from query_service.series import Key, Series
from query_service.store.store import Column

NANO: Final = 1_000_000_000
_EXAMPLE: Final[dict[str, Any]] = {
    "of": "runs",
    "by": "version",
    "bucket": "15m",
    "zone": "UTC",
    "window": {"since": "2026-01-31T11:30:00Z", "until": "2026-01-31T12:00:00Z"},
    "times": ["2026-01-31T11:30:00Z", "2026-01-31T11:45:00Z"],
    "series": [
        {
            "key": {"agent_id": "support-bot", "agent_version": "1.4.0"},
            "rest": False,
            "total": 120,
            "values": {
                "runs": [70, 50],
                "running": [0, 2],
                "success": [58, 39],
                "partial": [2, 1],
                "failure": [9, 8],
                "abandoned": [1, 0],
                "failure_rate": [0.14285714285714285, 0.16666666666666666],
                "p50_ms": [1867.7755, 1802.2395],
                "p95_ms": [4063.2315, 4063.2315],
                "p99_ms": [5898.2395, 5373.9515],
            },
        }
    ],
}
_NAMES: Final[Mapping[Column, str]] = {Column.AGENT: "agent_id"}
_PERCENTILES: Final = (50, 95, 99)
Values = Mapping[str, Sequence[float | None]]


class OneSeries(ResponseSchema):
    """The values of one key, or of all that are not told apart."""

    key: Annotated[
        Mapping[str, str | None] | None,
        Field(description="What it is told apart by; empty where all is one series, null for the rest."),
    ]
    rest: Annotated[bool, Field(description="Whether it adds up what is beyond `groups`.")]
    total: Annotated[int, Field(description="Runs, or steps, of the whole window.")]
    values: Annotated[
        Mapping[str, list[float | None]],
        Field(
            description="By measure, a value for each of `times`. Of runs: `runs`, these by status, `failure_rate`, and "
            "`p50_ms`, `p95_ms`, `p99_ms` of those that ended. Of steps: `steps`, `errors`, `error_rate`, percentiles, "
            "`input_tokens`, `output_tokens`, and `cost` in US dollars as senders said it. Null where there is nothing to say."
        ),
    ]

    @classmethod
    def of_runs(cls, series: Series[RunTotals], columns: Sequence[Column]) -> Self:
        """Convert the totals."""
        totals = series.buckets
        values: dict[str, list[float | None]] = {"runs": [total.runs for total in totals]}
        values |= {status.value: [total.by_status[status] for total in totals] for status in RunStatus}
        values |= {"failure_rate": [total.failure_rate for total in totals], **_percentiles(totals)}
        return cls(key=_key(series.key, columns), rest=series.key is None, total=series.total, values=values)

    @classmethod
    def of_steps(cls, series: Series[StepSums], columns: Sequence[Column]) -> Self:
        """Convert the totals."""
        totals = series.buckets
        values: dict[str, list[float | None]] = {
            "steps": [total.steps for total in totals],
            "errors": [total.errors for total in totals],
            "error_rate": [total.error_rate for total in totals],
            **_percentiles(totals),
            "input_tokens": [total.input_tokens for total in totals],
            "output_tokens": [total.output_tokens for total in totals],
            "cost": [total.cost / NANO for total in totals],
        }
        return cls(key=_key(series.key, columns), rest=series.key is None, total=series.total, values=values)


class SeriesSchema(ResponseSchema):
    """Figures of a window by time and by key."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    of: str
    by: str | None
    bucket: Annotated[BucketSize, Field(description="How long each bucket is; never `auto`.")]
    zone: str
    window: Annotated[Window, Field(description="Whole buckets: those that the requested window touches.")]
    times: Annotated[list[datetime], Field(description="When each bucket begins.")]
    series: Annotated[list[OneSeries], Field(description="The largest first, the rest last.")]


def _percentiles(totals: Sequence[RunTotals] | Sequence[StepSums]) -> dict[str, list[float | None]]:
    return {f"p{percent}_ms": [_ms(percentile_us(total.buckets, percent)) for total in totals] for percent in _PERCENTILES}


def _ms(us: float | None) -> float | None:
    return None if us is None else to_ms(us)


def _key(key: Key | None, columns: Sequence[Column]) -> dict[str, str | None] | None:
    """Names of the API. What a run or step does not have is null."""
    if key is None:
        return None
    return {_NAMES.get(column, column.value): part or None for column, part in zip(columns, key, strict=True)}
