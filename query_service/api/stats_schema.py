"""The JSON form of statistics. `aggregate.py` adds the counts up and `percentiles.py` computes the percentiles."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import ConfigDict, Field

from agenttracer.wire.vocabulary import FailureType, RunStatus, StepKind
from query_service.aggregate import AgentTotals, StepTotals
from query_service.api.run_schema import COMPLETE_TO_EXAMPLE, CompleteTo, ResponseSchema, to_ms
from query_service.percentiles import percentile_us
from query_service.store.rows import FailureGroup
from query_service.store.store import GROUPS_MAX

_EXAMPLE: Final[dict[str, Any]] = {
    "window": {"since": "2026-01-31T11:00:00Z", "until": "2026-01-31T12:00:00Z"},
    "complete_to": COMPLETE_TO_EXAMPLE,
    "agents": [
        {
            "agent_id": "support-bot",
            "agent_version": "1.4.0",
            "runs": 120,
            "by_status": {"running": 2, "success": 97, "partial": 3, "failure": 17, "abandoned": 1},
            "failure_rate": 0.15254237288135594,
            "failures": [{"failure_type": "tool", "failure_code": "timeout", "runs": 17}],
            "latency_ms": {"p50": 1867.7755, "p95": 4063.2315, "p99": 5898.2395},
        }
    ],
    "steps": [
        {
            "agent_id": "support-bot",
            "agent_version": "1.4.0",
            "kind": "tool",
            "name": "search_orders",
            "steps": 241,
            "errors": 31,
            "error_rate": 0.12863070539419086,
            "latency_ms": {"p50": 120.8315, "p95": 1540.0955, "p99": 1540.0955},
        }
    ],
    "failure_groups": [
        {
            "fingerprint": "9ae0c8f1d2b34567",
            "agent_id": "support-bot",
            "failure_type": "tool",
            "failure_code": "timeout",
            "error_class": "ReadTimeout",
            "failures": 31,
            "recovered": 14,
            "runs": 19,
            "last_occurred_at": "2026-01-31T11:58:01.620500Z",
            "last_run_id": "019ab0de-7c1e-7000-8000-0242ac120002",
        }
    ],
}


class Window(ResponseSchema):
    """The window that was counted."""

    since: Annotated[
        datetime, Field(description="Included; the requested time, rounded down to the minute, or to more if it is old.")
    ]
    until: Annotated[
        datetime,
        Field(description="Not included; the requested time, rounded up to the minute, or to more if it is old."),
    ]


class Latency(ResponseSchema):
    """Percentiles in milliseconds, at most 3.2 % away from the exact nearest-rank ones."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, buckets: Mapping[int, int]) -> Self | None:
        """None where nothing has a latency yet."""
        p50, p95, p99 = (percentile_us(buckets, percent) for percent in (50, 95, 99))
        if p50 is None or p95 is None or p99 is None:
            return None
        return cls(p50=to_ms(p50), p95=to_ms(p95), p99=to_ms(p99))


class FailureStats(ResponseSchema):
    """Runs by their first failure."""

    failure_type: FailureType
    failure_code: str
    runs: int


class AgentStats(ResponseSchema):
    """Runs of one version of an agent."""

    agent_id: str
    agent_version: str
    runs: int
    by_status: Mapping[RunStatus, int]
    failure_rate: Annotated[
        float | None, Field(description="(failure + abandoned) of all runs that are not running; null while all are.")
    ]
    failures: Annotated[
        list[FailureStats],
        Field(description="Runs by their first failure, most frequent first. A run can have one and succeed all the same."),
    ]
    latency_ms: Annotated[Latency | None, Field(description="Of the runs that ended; null where none has.")]

    @classmethod
    def of(cls, totals: AgentTotals) -> Self:
        """Convert the totals."""
        by_frequency = sorted(totals.failures.items(), key=lambda item: (-item[1], item[0]))
        return cls(
            agent_id=totals.agent,
            agent_version=totals.agent_version,
            runs=totals.runs,
            by_status={status: totals.by_status[status] for status in RunStatus},
            failure_rate=totals.failure_rate,
            failures=[
                FailureStats(failure_type=FailureType(kind), failure_code=code, runs=runs) for (kind, code), runs in by_frequency
            ],
            latency_ms=Latency.of(totals.buckets),
        )


class StepStats(ResponseSchema):
    """Steps of one kind and name in one version of an agent."""

    agent_id: str
    agent_version: str
    kind: StepKind
    name: str
    steps: int
    errors: int
    error_rate: float
    latency_ms: Annotated[Latency | None, Field(description="Of all these steps, errors included.")]

    @classmethod
    def of(cls, totals: StepTotals) -> Self:
        """Convert the totals."""
        return cls(
            agent_id=totals.agent,
            agent_version=totals.agent_version,
            kind=StepKind(totals.kind),
            name=totals.name,
            steps=totals.steps,
            errors=totals.errors,
            error_rate=totals.error_rate or 0.0,
            latency_ms=Latency.of(totals.buckets),
        )


class FailureGroupSchema(ResponseSchema):
    """Failures of one fingerprint."""

    fingerprint: Annotated[str, Field(description="`/v1/runs?failure_fingerprint=` lists their runs.")]
    agent_id: str
    failure_type: FailureType
    failure_code: str
    error_class: str | None
    failures: int
    recovered: Annotated[int, Field(description="Failures that a later attempt recovered from.")]
    runs: Annotated[int, Field(description="Runs in which they occurred.")]
    last_occurred_at: datetime
    last_run_id: UUID

    @classmethod
    def of(cls, group: FailureGroup) -> Self:
        """Convert the stored group."""
        return cls(
            fingerprint=group.fingerprint,
            agent_id=group.agent,
            failure_type=FailureType(group.failure_type),
            failure_code=group.failure_code,
            error_class=group.error_class,
            failures=group.failures,
            recovered=group.recovered,
            runs=group.runs,
            last_occurred_at=group.last_occurred_at,
            last_run_id=group.last_run_id,
        )


class StatsSchema(ResponseSchema):
    """Figures of the runs and steps that started within the window."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    window: Window
    complete_to: CompleteTo
    agents: list[AgentStats]
    steps: list[StepStats]
    failure_groups: Annotated[
        list[FailureGroupSchema],
        Field(description=f"Failures that occurred within the window, the {GROUPS_MAX} most frequent kinds; recovered ones too."),
    ]
