"""The JSON form of a comparison. `query_service/comparison/` computes it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Field

from agenttracer.wire.vocabulary import FailureType, StepKind
from query_service.api.run_schema import ResponseSchema
from query_service.api.statistics.failures_schema import StepNameSchema
from query_service.api.stats_schema import Window
from query_service.comparison.cohorts import Compared, Unit
from query_service.comparison.intervals import CONFIDENCE

_WINDOW: Final = {"since": "2026-01-24T12:00:00Z", "until": "2026-01-31T12:00:00Z"}
_SIDE: Final = {"window": _WINDOW, "agent_id": "support-bot", "runs": 1002, "over": 1000, "share": 1.0}
_EXAMPLE: Final[dict[str, Any]] = {
    "confidence": CONFIDENCE,
    "correction": "holm",
    "source": "statistics",
    "a": {**_SIDE, "agent_version": "1.4.0", "filters": {"agent_id": "support-bot", "agent_version": "1.4.0"}},
    "b": {**_SIDE, "agent_version": "1.5.0", "filters": {"agent_id": "support-bot", "agent_version": "1.5.0"}},
    "measures": [
        {
            "measure": "failure_rate",
            "unit": "rate",
            "step": None,
            "failure": None,
            "a": 0.1,
            "b": 0.15,
            "n_a": 1000,
            "n_b": 1000,
            "difference": 0.05,
            "low": 0.0209,
            "high": 0.0789,
            "p_value": 0.00075,
            "p_corrected": 0.0045,
            "significant": True,
        }
    ],
}


class Source(StrEnum):
    """What was counted."""

    STATISTICS = "statistics"
    RUNS = "runs"


class CohortSchema(ResponseSchema):
    """One side."""

    window: Annotated[Window, Field(description="What was counted; old bounds are moved outward as for `/v1/stats`.")]
    agent_id: str | None
    agent_version: str | None
    filters: Annotated[dict[str, str], Field(description="Those of `/v1/runs` that were given, but for the window.")]
    runs: Annotated[int, Field(description="Runs that were counted.")]
    over: Annotated[int, Field(description="Runs that are not running.")]
    share: Annotated[float, Field(description="Below 1: so much of the side was drawn, by the hash of run ids.")]


class FailureNameSchema(ResponseSchema):
    """A type of failure and its code."""

    failure_type: FailureType
    failure_code: str


class MeasureSchema(ResponseSchema):
    """One measure of both sides."""

    measure: Annotated[
        str,
        Field(
            description="`failure_rate`, `p50_ms`, `p95_ms`, `p99_ms`, `steps_per_run`, `tokens_per_run`, "
            "`failure_code_rate` (runs by first failure), `step_error_rate`, `step_p95_ms`."
        ),
    ]
    unit: Unit
    step: StepNameSchema | None
    failure: FailureNameSchema | None
    a: float | None
    b: float | None
    n_a: Annotated[int, Field(description="Runs or steps that it was computed from.")]
    n_b: int
    difference: Annotated[float | None, Field(description="B minus A.")]
    low: Annotated[
        float | None,
        Field(
            description="Interval of the difference: Newcombe's for rates; of percentiles by order statistics; of means Welch's, "
            "null where sums alone are kept."
        ),
    ]
    high: float | None
    p_value: Annotated[
        float | None, Field(description="Two-sided: pooled z test, or Fisher's exact where counts are small; of means Welch's t.")
    ]
    p_corrected: Annotated[float | None, Field(description="By Holm's method, for all measures of the answer together.")]
    significant: Annotated[bool, Field(description="Whether `p_corrected` is below 1 - `confidence`.")]

    @classmethod
    def of(cls, one: Compared) -> Self:
        """Convert the computed measure."""
        kind, name = one.about or ("", "")
        of_step, of_failure = one.measure.startswith("step_"), one.measure == "failure_code_rate"
        found = one.difference
        return cls(
            measure=one.measure,
            unit=one.unit,
            step=StepNameSchema(kind=StepKind(kind), name=name) if of_step else None,
            failure=FailureNameSchema(failure_type=FailureType(kind), failure_code=name) if of_failure else None,
            a=one.a,
            b=one.b,
            n_a=one.n_a,
            n_b=one.n_b,
            difference=None if found is None else found.value,
            low=None if found is None else found.low,
            high=None if found is None else found.high,
            p_value=None if found is None else found.p_value,
            p_corrected=one.p_corrected,
            significant=one.significant,
        )


class ComparisonSchema(ResponseSchema):
    """What differs between two cohorts."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    confidence: Annotated[float, Field(description="Of each interval.")]
    correction: str
    source: Annotated[Source, Field(description="`statistics`, or the `runs` themselves, of which `share` was drawn.")]
    a: CohortSchema
    b: CohortSchema
    measures: Annotated[list[MeasureSchema], Field(description="Those of runs first, then of failures, then of steps.")]

    @classmethod
    def of(cls, source: Source, a: CohortSchema, b: CohortSchema, measures: Sequence[Compared]) -> Self:
        """Put the answer together."""
        said = [MeasureSchema.of(one) for one in measures]
        return cls(confidence=CONFIDENCE, correction="holm", source=source, a=a, b=b, measures=said)
