"""The JSON form of an explanation, and which filters an attribute stands for. `query_service/comparison/` computes it."""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Field

from query_service.api.parameters import METADATA_PAIR
from query_service.api.run_parameters import SelectingFilters
from query_service.api.run_schema import ResponseSchema
from query_service.api.stats_schema import Window
from query_service.comparison.attributes import Shared
from query_service.comparison.intervals import CONFIDENCE
from query_service.store.rows import AttributeCount, Contrast
from query_service.store.store import Population

_SINGLE: Final = {
    "agent": "agent_id",
    "agent_version": "agent_version",
    "status": "status",
    "end_reason": "end_reason",
    "shape": "shape",
}
"""Attributes of which a run has one, and the filter of each."""
_SEVERAL: Final = {
    "failure_outcome": "outcome",
    "failure_fingerprint": "failure_fingerprint",
    "model": "model",
    "provider": "provider",
}
_PAIRS: Final = {"failure_code": ("failure_type", "failure_code"), "step": ("step_kind", "step_name")}
_NUMBERS: Final = {"latency_ms": ("min_latency_ms", "max_latency_ms")}
_EXAMPLE: Final[dict[str, Any]] = {
    "window": {"since": "2026-01-30T12:00:00Z", "until": "2026-01-31T12:00:00Z"},
    "within": "version",
    "selection": {"runs": 412, "share": 1.0},
    "rest": {"runs": 50_000, "share": 0.31},
    "confidence": CONFIDENCE,
    "correction": "holm",
    "tested": 431,
    "attributes": [
        {
            "attribute": "model",
            "key": None,
            "operator": "is",
            "value": "gpt-4o-mini",
            "selection": 380,
            "rest": 4100,
            "selection_rate": 0.9223,
            "rest_rate": 0.082,
            "difference": 0.8403,
            "low": 0.8104,
            "high": 0.8622,
            "p_value": 1e-200,
            "p_corrected": 4e-198,
            "significant": True,
            "filter": {"model": "gpt-4o-mini"},
        }
    ],
}


class SideSchema(ResponseSchema):
    """One side of an explanation."""

    runs: Annotated[int, Field(description="Runs that were looked at.")]
    share: Annotated[float, Field(description="Below 1: so much of the side was drawn, by the hash of run ids.")]


class Operator(StrEnum):
    """How a value is meant."""

    IS = "is"
    AT_LEAST = "at_least"


class AttributeSchema(ResponseSchema):
    """Something that runs have."""

    attribute: Annotated[
        str,
        Field(
            description="`agent`, `agent_version`, `status`, `end_reason`, `root_cause`, `failure_code`, `failure_outcome`, "
            "`failure_fingerprint`, `shape`, `nested`, `metadata`, `step`, `failed_step`, `model`, `provider`, `error_class`, "
            "`error_code`, `http_status`, `step_metadata`, `called_agent`; numbers: `latency_ms`, `steps`, `error_steps`, "
            "`failures`, `tokens`, `cost_usd`, `metadata_number`."
        ),
    ]
    key: Annotated[str | None, Field(description="Of metadata.")]
    operator: Operator
    value: Annotated[str, Field(description="Kinds and types stand before a slash. Of a number its bound.")]
    selection: Annotated[int, Field(description="Runs of the selection that have it.")]
    rest: int
    selection_rate: float
    rest_rate: float
    difference: Annotated[float, Field(description="The selection minus the rest.")]
    low: Annotated[float | None, Field(description="Newcombe's interval of the difference.")]
    high: float | None
    p_value: Annotated[float | None, Field(description="Two-sided, by Fisher's exact test.")]
    p_corrected: Annotated[float, Field(description="By Holm's method, for all tests of the answer together.")]
    significant: bool
    filter: Annotated[
        dict[str, str] | None, Field(description="Parameters by which `/v1/runs` lists such runs; null where there are none.")
    ]

    @classmethod
    def of(cls, one: Shared) -> Self:
        """Convert the tested attribute."""
        count, found = one.count, one.difference
        return cls(
            attribute=count.attribute,
            key=count.key,
            operator=Operator.IS if count.bound is None else Operator.AT_LEAST,
            value=count.value if count.bound is None else _number(count.bound),
            selection=count.selection,
            rest=count.rest,
            selection_rate=one.selection_rate,
            rest_rate=one.rest_rate,
            difference=found.value,
            low=found.low,
            high=found.high,
            p_value=found.p_value,
            p_corrected=one.p_corrected,
            significant=one.significant,
            filter=_filter(count),
        )


class ExplanationSchema(ResponseSchema):
    """What a selection of runs shares that the rest does not."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    window: Window
    within: str
    selection: SideSchema
    rest: SideSchema
    confidence: Annotated[float, Field(description="Of each interval.")]
    correction: str
    tested: Annotated[int, Field(description="Tests that `p_corrected` holds for.")]
    attributes: Annotated[list[AttributeSchema], Field(description="The surest first, 100 at most.")]

    @classmethod
    def of(cls, asked: Population, within: str, found: Contrast, attributes: Sequence[Shared], *, tested: int) -> Self:
        """Put the answer together."""
        return cls(
            window=Window(since=asked.since, until=asked.until),
            within=within,
            selection=SideSchema(runs=found.selection, share=found.selection_share),
            rest=SideSchema(runs=found.rest, share=found.rest_share),
            confidence=CONFIDENCE,
            correction="holm",
            tested=tested,
            attributes=[AttributeSchema.of(one) for one in attributes],
        )


def asked_filters(query: SelectingFilters) -> Mapping[str, str]:
    """The filters that were given, as text."""
    return {name: str(value) for name, value in query.model_dump(mode="json", exclude_none=True).items()}


def is_asked(one: AttributeCount, asked: Mapping[str, str]) -> bool:
    """Whether the filters say it themselves: that the selection has it is no finding."""
    if one.attribute in _SINGLE:
        return _SINGLE[one.attribute] in asked
    if one.attribute in _NUMBERS:
        return any(name in asked for name in _NUMBERS[one.attribute])
    if one.attribute in {"metadata", "metadata_number"}:
        said = f"{asked.get('metadata', '')},{asked.get('metadata_range', '')}".split(",")
        return any(pair.partition(":")[0] == one.key for pair in said)
    if one.attribute == "nested":
        return "parent_run_id" in asked
    if one.attribute in {"step", "failed_step"} and "tool" in asked:
        return one.value == f"tool/{asked['tool']}"
    stands_for = _filter(one)
    return stands_for is not None and all(asked.get(name) == value for name, value in stands_for.items())


def _filter(one: AttributeCount) -> dict[str, str] | None:
    name = _SINGLE.get(one.attribute) or _SEVERAL.get(one.attribute)
    if name is not None:
        return {name: one.value}
    if one.attribute in _PAIRS:
        return dict(zip(_PAIRS[one.attribute], one.value.split("/", 1), strict=True))
    if one.attribute in _NUMBERS and one.bound is not None:
        return {_NUMBERS[one.attribute][0]: _number(one.bound)}
    pair = f"{one.key}:{one.value}"
    return {"metadata": pair} if one.attribute == "metadata" and re.fullmatch(METADATA_PAIR, pair) else None


def _number(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else repr(bound)
