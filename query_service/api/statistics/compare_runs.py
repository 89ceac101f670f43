"""The route `/v1/compare/runs`: two runs beside each other, step by step."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Annotated, Any, Final, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import ConfigDict, Field

from agenttracer.wire.vocabulary import FailureType, StepKind, StepStatus
from query_service.api.auth import ReadingProject
from query_service.api.error_handlers import ERRORS, NOT_FOUND
from query_service.api.parameters import QueryParameters, described, only
from query_service.api.run_schema import RUN_EXAMPLE, ResponseSchema, RunSchema
from query_service.store.rows import StoredFailure, StoredRun, StoredStep
from query_service.store.store import StoreReader

DETAILS_MAX: Final = 20_000
"""Steps, and failures, of each run that are compared: some hundred milliseconds."""
_CALLS: Final = {"calls": 2, "errors": 1, "latency_ms": 812.5, "tokens": 120, "models": ["gpt-4o"]}
_EXAMPLE: Final[dict[str, Any]] = {
    "a": RUN_EXAMPLE,
    "b": RUN_EXAMPLE,
    "measures": [{"measure": "latency_ms", "a": 2341.5, "b": 900.0, "difference": -1441.5}],
    "diverges_at": 3,
    "steps": [{"kind": "tool", "name": "search", "a": _CALLS, "b": None}],
    "failures": [{"failure_type": "tool", "failure_code": "timeout", "a": 1, "b": 0}],
    "truncated": False,
}


class RunsQuery(QueryParameters):
    """Parameters of `GET /v1/compare/runs`."""

    a: Annotated[UUID, Field(description=described("a"), examples=[RUN_EXAMPLE["run_id"]])]
    b: Annotated[UUID, Field(description=described("b"), examples=[RUN_EXAMPLE["run_id"]])]


class RunMeasureSchema(ResponseSchema):
    """One figure of both runs."""

    measure: Annotated[str, Field(description="`latency_ms`, `steps`, `error_steps`, `failures`, `tokens`, `cost_usd`.")]
    a: Annotated[float | None, Field(description="Null where nobody said it.")]
    b: float | None
    difference: Annotated[float | None, Field(description="B minus A.")]


class CallsSchema(ResponseSchema):
    """The steps of one name in one run."""

    calls: int
    errors: int
    latency_ms: Annotated[float, Field(description="Of all calls together.")]
    tokens: int
    models: list[str]

    @classmethod
    def of(cls, steps: Sequence[StoredStep]) -> Self | None:
        """Add the steps up; None where there are none."""
        if not steps:
            return None
        return cls(
            calls=len(steps),
            errors=sum(step.status == StepStatus.ERROR for step in steps),
            latency_ms=sum(step.duration_us for step in steps) / 1000,
            tokens=sum(_tokens(step) or 0 for step in steps),
            models=sorted({model for step in steps if isinstance(model := step.metadata.get("model"), str)}),
        )


class StepsOfBoth(ResponseSchema):
    """The steps of one name in both runs."""

    kind: StepKind
    name: str
    a: CallsSchema | None
    b: CallsSchema | None


class FailuresOfBoth(ResponseSchema):
    """How often a failure occurred in each run."""

    failure_type: FailureType
    failure_code: str
    a: int
    b: int


class TwoRunsSchema(ResponseSchema):
    """Two runs beside each other."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    a: RunSchema
    b: RunSchema
    measures: list[RunMeasureSchema]
    diverges_at: Annotated[
        int | None, Field(description="Place, from 0, of the first step whose kind, name or status differs; null: the same path.")
    ]
    steps: Annotated[list[StepsOfBoth], Field(description="By kind and name, in the order in which they began.")]
    failures: list[FailuresOfBoth]
    truncated: Annotated[bool, Field(description="True: a run has more than 20,000 steps or failures; the first are compared.")]


class _Read:
    """A run with its details."""

    def __init__(self, run: StoredRun, steps: Sequence[StoredStep], failures: Sequence[StoredFailure]) -> None:
        self.run = run
        self.steps = steps[:DETAILS_MAX]
        self.failures = Counter((failure.failure_type, failure.failure_code) for failure in failures[:DETAILS_MAX])
        self.truncated = max(len(steps), len(failures)) > DETAILS_MAX

    def figures(self) -> Mapping[str, float | None]:
        """By measure."""
        run = self.run
        tokens = [said for step in self.steps if (said := _tokens(step)) is not None]
        costs = [step.cost_nano for step in self.steps if step.cost_nano is not None and step.cost_currency == "USD"]
        return {
            "latency_ms": None if run.latency_us is None else run.latency_us / 1000,
            "steps": run.step_count,
            "error_steps": run.error_step_count,
            "failures": run.failure_count,
            "tokens": sum(tokens) if tokens else None,
            "cost_usd": sum(costs) / 1e9 if costs else None,
        }


def compare_runs_router(*, store: StoreReader, project_of: ReadingProject) -> APIRouter:
    """The route. `project_of` names the project that a request may read."""
    router = APIRouter(tags=["statistics"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]

    @router.get(
        "/v1/compare/runs", summary="Two runs", responses=NOT_FOUND, dependencies=[Depends(only(*RunsQuery.model_fields))]
    )
    async def compared(query: Annotated[RunsQuery, Query()], project: project_type) -> TwoRunsSchema:
        """Their figures, where their paths part, and their steps and failures by name."""
        a, b = [await _read(store, project, run_id) for run_id in (query.a, query.b)]
        return await asyncio.to_thread(_compared, a, b)  # the event loop serves others meanwhile

    return router


async def _read(store: StoreReader, project: str, run_id: UUID) -> _Read:
    run = await store.run(project, run_id)
    steps = await store.list_steps(project, run_id, after=None, limit=DETAILS_MAX + 1)
    return _Read(run, steps.steps, await store.list_failures(project, run_id, after=None, limit=DETAILS_MAX + 1))


def _compared(a: _Read, b: _Read) -> TwoRunsSchema:
    return TwoRunsSchema(
        a=RunSchema.of(a.run),
        b=RunSchema.of(b.run),
        measures=list(_measures(a.figures(), b.figures())),
        diverges_at=_parting(a.steps, b.steps),
        steps=list(_steps(a.steps, b.steps)),
        failures=[
            FailuresOfBoth(failure_type=FailureType(kind), failure_code=code, a=a.failures[kind, code], b=b.failures[kind, code])
            for kind, code in sorted({*a.failures, *b.failures})
        ],
        truncated=a.truncated or b.truncated,
    )


def _measures(a: Mapping[str, float | None], b: Mapping[str, float | None]) -> Iterator[RunMeasureSchema]:
    for name in a:
        of_a, of_b = a[name], b[name]
        known = of_a is not None and of_b is not None
        yield RunMeasureSchema(measure=name, a=of_a, b=of_b, difference=(of_b or 0) - (of_a or 0) if known else None)


def _parting(a: Sequence[StoredStep], b: Sequence[StoredStep]) -> int | None:
    for place, (one, other) in enumerate(zip_longest(a, b)):
        if one is None or other is None or (one.kind, one.name, one.status) != (other.kind, other.name, other.status):
            return place
    return None


def _steps(a: Sequence[StoredStep], b: Sequence[StoredStep]) -> Iterator[StepsOfBoth]:
    sides: dict[tuple[str, str], tuple[list[StoredStep], list[StoredStep]]] = {}
    for place, steps in enumerate((a, b)):
        for step in steps:
            sides.setdefault((step.kind, step.name), ([], []))[place].append(step)
    for (kind, name), (of_a, of_b) in sides.items():
        yield StepsOfBoth(kind=StepKind(kind), name=name, a=CallsSchema.of(of_a), b=CallsSchema.of(of_b))


def _tokens(step: StoredStep) -> int | None:
    said = [step.metadata.get(name) for name in ("input_tokens", "output_tokens")]
    known = [value for value in said if isinstance(value, int) and not isinstance(value, bool) and value >= 0]
    return sum(known) if known else None
