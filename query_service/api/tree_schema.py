"""The JSON form of a run that is read as a whole: columns of numbers beside a list of texts, so that 100,000 steps stay small."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import ConfigDict, Field

from agenttracer.wire.vocabulary import StepKind, StepStatus
from query_service.api.run_schema import RUN_EXAMPLE, ResponseSchema, RunSchema
from query_service.store.rows import RunTree, TreeFailure, TreeStep
from query_service.store.run_tree import TREE_FAILURES_MAX, TREE_RUNS_MAX, TREE_STEPS_MAX

NONE: Final = -1
"""Of a place: there is none."""
_KINDS: Final = tuple(StepKind)
_OUTCOMES: Final[Mapping[str | None, int]] = {None: 0, "recovered": 1, "fatal": 2, "unrecovered": 3}
_EXAMPLE: Final[dict[str, Any]] = {
    "runs": [RUN_EXAMPLE],
    "runs_parent": [NONE],
    "runs_step": [NONE],
    "kinds": list(_KINDS),
    "strings": ["search_orders", "ReadTimeout", "tool", "timeout", "9ae0c8f1d2b34567", "timeout.class"],
    "steps": {
        "id": ["00f067aa0ba902b7"],
        "run": [0],
        "parent": [NONE],
        "cause": [NONE],
        "kind": [2],
        "name": [0],
        "error": [1],
        "attempt": [1],
        "start_us": [120000],
        "duration_us": [1500250],
        "error_class": [1],
        "error_code": [NONE],
        "http_status": [None],
        "model": [NONE],
    },
    "failures": {
        "id": ["00f067aa0ba902b7"],
        "run": [0],
        "step": [0],
        "type": [2],
        "code": [3],
        "outcome": [2],
        "caused_by": [NONE],
        "root": [1],
        "fingerprint": [4],
        "rule": [5],
        "at_us": [1620250],
    },
    "steps_total": 1,
    "truncated_diagnosis": False,
    "runs_more": False,
    "steps_more": False,
    "failures_more": False,
}


class StepColumns(ResponseSchema):
    """Steps, a row each, run by run and in the order in which they began. A place is a row; -1 is none."""

    id: list[str]
    run: Annotated[list[int], Field(description="Place of its run in `runs`.")]
    parent: Annotated[list[int], Field(description="Place of the step around it.")]
    cause: Annotated[list[int], Field(description="Place of the nested step whose error only passed through.")]
    kind: Annotated[list[int], Field(description="Place in `kinds`.")]
    name: Annotated[list[int], Field(description="Place in `strings`, as of all texts.")]
    error: Annotated[list[int], Field(description="1 where the step ended in an error.")]
    attempt: list[int]
    start_us: Annotated[
        list[int], Field(description="Microseconds from the start of the first run; below 0 where clocks disagree.")
    ]
    duration_us: list[int]
    error_class: list[int]
    error_code: list[int]
    http_status: list[int | None]
    model: list[int]


class FailureColumns(ResponseSchema):
    """Stored failures in the order in which they occurred. The silence of an abandoned run is in its `failure` alone."""

    id: list[str]
    run: list[int]
    step: Annotated[list[int], Field(description="Place of its step; -1 where the run as a whole failed.")]
    type: Annotated[list[int], Field(description="Place in `strings`.")]
    code: list[int]
    outcome: Annotated[list[int], Field(description="0 not judged, 1 recovered, 2 fatal, 3 unrecovered.")]
    caused_by: Annotated[list[int], Field(description="Row of the nested failure that it followed from.")]
    root: Annotated[list[int], Field(description="1 for the root cause of its run.")]
    fingerprint: list[int]
    rule: list[int]
    at_us: list[int]


class TreeSchema(ResponseSchema):
    """A run as a whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    runs: Annotated[list[RunSchema], Field(description="The run, then the runs that it started, level by level.")]
    runs_parent: Annotated[list[int], Field(description="For each run the place of the run that started it.")]
    runs_step: Annotated[list[int], Field(description="For each run the row of the step in which it was started.")]
    kinds: list[str]
    strings: list[str]
    steps: StepColumns
    failures: FailureColumns
    steps_total: Annotated[int, Field(description="Steps of these runs, listed or not.")]
    truncated_diagnosis: Annotated[bool, Field(description="Whether one of these runs is `truncated`.")]
    runs_more: Annotated[bool, Field(description=f"Whether more than {TREE_RUNS_MAX} runs belong to it.")]
    steps_more: Annotated[bool, Field(description=f"Whether more than {TREE_STEPS_MAX:,} steps do.")]
    failures_more: Annotated[bool, Field(description=f"Whether more than {TREE_FAILURES_MAX:,} failures do.")]


class _Strings:
    """Texts by their place, each once."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    def place(self, text: str | None) -> int:
        return NONE if text is None else self.places.setdefault(text, len(self.places))

    def column(self, texts: Iterable[str | None]) -> list[int]:
        return [self.place(text) for text in texts]


def tree_document(tree: RunTree) -> dict[str, Any]:
    """The members of a `TreeSchema`. Plain lists: 100,000 steps are not validated one by one."""
    strings = _Strings()
    origin = tree.runs[0].started_at
    runs = {run.run_id: place for place, run in enumerate(tree.runs)}
    rows = _rows(tree.steps)
    steps = _step_columns(tree.steps, rows, strings, origin=origin)
    failures = _failure_columns(tree, runs, rows, strings, origin=origin)
    return {
        "runs": [RunSchema.of(run).model_dump(mode="json") for run in tree.runs],
        "runs_parent": [NONE if parent is None else runs[parent] for parent in tree.parents],
        "runs_step": [
            NONE if parent is None else rows[runs[parent]].get(run.parent_step_id or "", NONE)
            for run, parent in zip(tree.runs, tree.parents, strict=True)
        ],
        "kinds": list(_KINDS),
        "strings": list(strings.places),
        "steps": steps,
        "failures": failures,
        "steps_total": sum(run.step_count for run in tree.runs),
        "truncated_diagnosis": any(run.truncated for run in tree.runs),
        "runs_more": tree.runs_more,
        "steps_more": tree.steps_more,
        "failures_more": tree.failures_more,
    }


def _rows(steps: Sequence[Sequence[TreeStep]]) -> list[dict[str, int]]:
    """For each run its steps' rows by id."""
    found, row = [], 0
    for of_run in steps:
        found.append({step.step_id: place for place, step in enumerate(of_run, start=row)})
        row += len(of_run)
    return found


def _step_columns(
    steps: Sequence[Sequence[TreeStep]], rows: Sequence[Mapping[str, int]], strings: _Strings, *, origin: datetime
) -> dict[str, list[Any]]:
    kinds = {kind.value: place for place, kind in enumerate(_KINDS)}
    every = [step for of_run in steps for step in of_run]
    of_run = [place for place, each in enumerate(steps) for _ in each]
    return {
        "id": [step.step_id for step in every],
        "run": of_run,
        "parent": [rows[run].get(step.parent_step_id or "", NONE) for step, run in zip(every, of_run, strict=True)],
        "cause": [rows[run].get(step.cause_step_id or "", NONE) for step, run in zip(every, of_run, strict=True)],
        "kind": [kinds[step.kind] for step in every],
        "name": strings.column(step.name for step in every),
        "error": [int(step.status == StepStatus.ERROR) for step in every],
        "attempt": [step.attempt for step in every],
        "start_us": [_us(step.started_at - origin) for step in every],
        "duration_us": [step.duration_us for step in every],
        "error_class": strings.column(step.error_class for step in every),
        "error_code": strings.column(step.error_code for step in every),
        "http_status": [step.http_status for step in every],
        "model": strings.column(step.model for step in every),
    }


def _failure_columns(
    tree: RunTree, runs: Mapping[UUID, int], rows: Sequence[Mapping[str, int]], strings: _Strings, *, origin: datetime
) -> dict[str, list[Any]]:
    failures = [failure for failure in tree.failures if failure.run_id in runs]
    places = {(failure.run_id, failure.failure_id): place for place, failure in enumerate(failures)}
    roots = {(run.run_id, run.root_cause.failure_id) for run in tree.runs if run.root_cause is not None}

    def cause(failure: TreeFailure) -> int:
        return NONE if failure.caused_by is None else places.get((failure.run_id, failure.caused_by), NONE)

    return {
        "id": [failure.failure_id for failure in failures],
        "run": [runs[failure.run_id] for failure in failures],
        "step": [rows[runs[failure.run_id]].get(failure.step_id or "", NONE) for failure in failures],
        "type": strings.column(failure.failure_type for failure in failures),
        "code": strings.column(failure.failure_code for failure in failures),
        "outcome": [_OUTCOMES[failure.outcome] for failure in failures],
        "caused_by": [cause(failure) for failure in failures],
        "root": [int((failure.run_id, failure.failure_id) in roots) for failure in failures],
        "fingerprint": strings.column(failure.fingerprint for failure in failures),
        "rule": strings.column(failure.rule_id for failure in failures),
        "at_us": [_us(failure.occurred_at - origin) for failure in failures],
    }


def _us(elapsed: timedelta) -> int:
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds
