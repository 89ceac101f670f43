"""How the fake store adds rows up: what statements with GROUP BY do on PostgreSQL."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from agenttracer.wire.vocabulary import RunStatus
from query_service.errors import TooManyFiguresError
from query_service.store.contrast import HAVING_MIN, QUANTILES
from query_service.store.rows import (
    AbandonedCount,
    AttributeCount,
    DrawnCohort,
    DrawnRun,
    FacetCount,
    FailureGroup,
    Moments,
    RunFailure,
    StepCount,
    StoredSession,
)
from query_service.store.store import FIGURES_MAX, GROUPS_MAX, Column, CountFilter, RunSearch
from query_service.testing_rows import FailureSeed, RunRollupSeed, RunSeed, StepRollupSeed, StepSeed

_SUMS = ("runs", "steps", "input_tokens", "output_tokens", "cost")


def merged(target: Any, rows: Sequence[RunRollupSeed | StepRollupSeed], which: CountFilter) -> list[Any]:  # noqa: ANN401 - either count
    """Counts that are told apart by time bucket and the filter's columns. Raises TooManyFiguresError."""
    if len(rows) > FIGURES_MAX:
        raise TooManyFiguresError
    named = [f.name for f in fields(target) if f.name in set(Column)]
    summed = [f.name for f in fields(target) if f.name in _SUMS]
    histograms: defaultdict[tuple[Any, ...], Counter[int]] = defaultdict(Counter)
    sums: defaultdict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for row in rows:
        key = (_bucket(row.minute, which), *(getattr(row, name) if name in which.by else "" for name in named))
        histograms[key].update(row.histogram if which.histograms else {})
        sums[key].update({name: getattr(row, name) for name in summed})
    return [
        target(bucket=key[0], **dict(zip(named, key[1:], strict=True)), **_all(sums[key], summed), histogram=histogram)
        for key, histogram in histograms.items()
        if sums[key][summed[0]] > 0
    ]


def abandoned(rows: Sequence[RunSeed], which: CountFilter) -> list[AbandonedCount]:
    """Runs that fell silent, by time bucket, agent and version as far as these are told apart, and failure."""
    counted: Counter[tuple[Any, ...]] = Counter(
        (
            _bucket(row.started_at, which),
            row.agent if Column.AGENT in which.by else "",
            row.agent_version if Column.AGENT_VERSION in which.by else "",
            row.failure.failure_type if row.failure else "",
            row.failure.failure_code if row.failure else "",
        )
        for row in rows
    )
    names = [f.name for f in fields(AbandonedCount) if f.name != "runs"]
    return [AbandonedCount(**dict(zip(names, key, strict=True)), runs=runs) for key, runs in counted.items()]


def _bucket(at: datetime, which: CountFilter) -> int:
    return sum(at >= start for start in which.starts[1:])


def _all(sums: Counter[str], names: Sequence[str]) -> dict[str, int]:
    return {name: sums[name] for name in names}


def groups(rows: Sequence[FailureSeed]) -> list[FailureGroup]:
    """Kinds of failure, the most frequent first."""
    grouped: dict[tuple[Any, ...], list[FailureSeed]] = {}
    for row in rows:
        grouped.setdefault((row.fingerprint, row.agent, row.failure_type, row.failure_code, row.error_class), []).append(row)
    found = [_group(key, alike) for key, alike in grouped.items()]
    return sorted(found, key=lambda group: (-group.failures, group.fingerprint))[:GROUPS_MAX]


def _group(key: tuple[Any, ...], rows: Sequence[FailureSeed]) -> FailureGroup:
    last = max(rows, key=lambda row: (row.occurred_at, row.run_id))
    fingerprint, agent, failure_type, failure_code, error_class = key
    return FailureGroup(
        fingerprint=fingerprint,
        agent=agent,
        failure_type=failure_type,
        failure_code=failure_code,
        error_class=error_class,
        failures=len(rows),
        recovered=sum(row.outcome == "recovered" for row in rows),
        runs=len({row.run_id for row in rows}),
        last_occurred_at=last.occurred_at,
        last_run_id=last.run_id,
    )


def facets(rows: Sequence[tuple[RunSeed, str]]) -> list[FacetCount]:
    """Runs with their status now, by what they are told apart by."""
    counted: Counter[tuple[str, ...]] = Counter()
    for row, status in rows:
        silent = status == RunStatus.ABANDONED
        failure = row.failure or (
            RunFailure(failure_type="orchestration", failure_code="abandoned", failure_id="") if silent else None
        )
        names = (failure.failure_type, failure.failure_code) if failure else ("", "")
        counted[(row.agent, row.agent_version, status, *names)] += 1
    return [
        FacetCount(agent=key[0], agent_version=key[1], status=key[2], failure_type=key[3], failure_code=key[4], runs=runs)
        for key, runs in counted.items()
    ]


def has_searched(row: RunSeed, search: RunSearch, steps: Sequence[StepSeed]) -> bool:
    """Whether a run with these steps passes the filters that runs are probed for, but for the outcome."""
    said = row.metadata or {}
    by_step = any((search.step_kind, search.step_name, search.model, search.provider))
    return (
        search.parent_run_id in {None, row.parent_run_id}
        and search.session in {None, row.session_digest}
        and search.end_reason in {None, row.end_reason or _DERIVED.get(row.end_status or "")}
        and (search.max_latency_us is None or (row.latency_us is not None and row.latency_us <= search.max_latency_us))
        and search.time_shifted in {None, row.time_shift_us != 0}
        and all(key in said and _text(said[key]) == text for key, text in search.metadata)
        and all(_number(said.get(key), low, high) for key, low, high in search.ranges)
        and (not by_step or any(_is_step(step, search) for step in steps))
        and _spent(search, steps)
    )


def _spent(search: RunSearch, steps: Sequence[StepSeed]) -> bool:
    tokens = sum((step.input_tokens or 0) + (step.output_tokens or 0) for step in steps)
    cost = sum(step.cost_nano or 0 for step in steps if step.cost_currency == "USD")
    return (
        (search.min_tokens or 0) <= tokens
        and (search.max_tokens is None or tokens <= search.max_tokens)
        and (search.min_cost_nano or 0) <= cost
        and (search.max_cost_nano is None or cost <= search.max_cost_nano)
    )


_DERIVED = {"success": "completed", "partial": "completed", "failure": "error"}
"""The reasons of ends that give none."""


def _is_step(step: StepSeed, search: RunSearch) -> bool:
    said = step.metadata or {}
    return (
        search.step_kind in {None, step.kind}
        and search.step_name in {None, step.name}
        and search.model in {None, said.get("model")}
        and search.provider in {None, said.get("provider")}
    )


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value)


def _number(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def sessions(runs: Sequence[RunSeed]) -> list[StoredSession]:
    """These runs by session."""
    alike: dict[str, list[RunSeed]] = {}
    for run in runs:
        alike.setdefault(run.session_digest or "", []).append(run)
    return [
        StoredSession(
            session=session,
            runs=len(of_session),
            failed=sum(run.end_status == RunStatus.FAILURE for run in of_session),
            agents=sorted({run.agent for run in of_session}),
            first_started_at=min(run.started_at for run in of_session),
            last_started_at=max(run.started_at for run in of_session),
        )
        for session, of_session in alike.items()
    ]


def cohort(runs: Sequence[tuple[RunSeed, str]], steps: Sequence[StepSeed]) -> DrawnCohort:
    """These runs, each with its status now, and their steps."""
    ids = {run.run_id for run, _ in runs}
    own = [step for step in steps if step.run_id in ids]
    tokens = Counter({run.run_id: 0 for run, _ in runs})
    for step in own:
        tokens[step.run_id] += (step.input_tokens or 0) + (step.output_tokens or 0)
    return DrawnCohort(
        share=1.0,
        runs=[DrawnRun(status, *_first_failure(run, status), run.latency_us) for run, status in runs],
        steps=[_step_count(step) for step in own],
        steps_per_run=_moments([run.step_count for run, _ in runs]),
        tokens_per_run=_moments([tokens[run.run_id] for run, _ in runs]),
    )


def _first_failure(run: RunSeed, status: str) -> tuple[str, str]:
    if run.failure is not None:
        return run.failure.failure_type, run.failure.failure_code
    return ("orchestration", "abandoned") if status == RunStatus.ABANDONED else ("", "")


def _step_count(step: StepSeed) -> StepCount:
    return StepCount(
        agent="",
        agent_version="",
        kind=step.kind,
        name=step.name,
        status=step.status,
        steps=1,
        input_tokens=step.input_tokens or 0,
        output_tokens=step.output_tokens or 0,
        cost=(step.cost_nano or 0) if step.cost_currency == "USD" else 0,
        histogram={step.latency_bucket: 1},
    )


def _moments(values: Sequence[int]) -> Moments:
    return Moments(len(values), sum(values), sum(value * value for value in values))


def attributes(
    sides: Sequence[tuple[RunSeed, str, bool]], steps: Sequence[StepSeed], failures: Sequence[FailureSeed]
) -> list[AttributeCount]:
    """What runs have, each with its status now and whether it is of the selection."""
    counted: dict[tuple[str, str | None, str], Counter[bool]] = {}
    numbers: dict[tuple[str, str | None], list[tuple[float, bool]]] = {}
    for run, status, selected in sides:
        own = [step for step in steps if step.run_id == run.run_id]
        has = {*_has(run, status), *_steps_have(own)}
        for failure in failures:
            if failure.run_id == run.run_id:
                has.add(("failure_code", None, f"{failure.failure_type}/{failure.failure_code}"))
                has |= {("failure_outcome", None, failure.outcome), ("failure_fingerprint", None, failure.fingerprint)}
        for attribute, key, value in has:
            if value is not None:
                counted.setdefault((attribute, key, value), Counter())[selected] += 1
        for attribute, key, number in _numbers(run, own):
            numbers.setdefault((attribute, key), []).append((number, selected))
    return [
        AttributeCount(attribute=name, key=key, value=value, selection=sums[True], rest=sums[False])
        for (name, key, value), sums in counted.items()
        if sums.total() >= HAVING_MIN
    ] + [one for name, said in numbers.items() if len(said) >= HAVING_MIN for one in _reached(*name, said)]


def _has(run: RunSeed, status: str) -> list[tuple[str, str | None, str | None]]:
    root = run.root_cause
    return [
        ("agent", None, run.agent),
        ("agent_version", None, run.agent_version),
        ("status", None, status),
        ("end_reason", None, run.end_reason or _DERIVED.get(run.end_status or "")),
        ("root_cause", None, f"{root.failure_type}/{root.failure_code}" if root else None),
        ("shape", None, run.shape),
        ("nested", None, "true" if run.parent_run_id else None),
        *(("metadata", key, _text(said)) for key, said in (run.metadata or {}).items() if isinstance(said, str | bool)),
    ]


def _steps_have(steps: Sequence[StepSeed]) -> list[tuple[str, str | None, str | None]]:
    found: list[tuple[str, str | None, str | None]] = []
    for step in steps:
        said = {key: _text(value) for key, value in (step.metadata or {}).items() if isinstance(value, str | bool)}
        name = f"{step.kind}/{step.name}"
        found += [
            ("step", None, name),
            ("failed_step", None, name if step.status == "error" else None),
            ("model", None, said.pop("model", None)),
            ("provider", None, said.pop("provider", None)),
            ("error_class", None, step.error_class),
            ("error_code", None, step.error_code),
            ("http_status", None, None if step.http_status is None else str(step.http_status)),
            ("called_agent", None, step.own_agent),
            *(("step_metadata", key, value) for key, value in said.items()),
        ]
    return found


def _numbers(run: RunSeed, steps: Sequence[StepSeed]) -> list[tuple[str, str | None, float]]:
    tokens = [said for step in steps for said in (step.input_tokens, step.output_tokens) if said is not None]
    costs = [step.cost_nano for step in steps if step.cost_nano is not None and step.cost_currency == "USD"]
    said = (run.metadata or {}).items()
    return [
        *([] if run.latency_us is None else [("latency_ms", None, run.latency_us / 1000)]),
        ("steps", None, run.step_count),
        ("error_steps", None, run.error_step_count),
        ("failures", None, run.failure_count),
        *([("tokens", None, sum(tokens))] if tokens else []),
        *([("cost_usd", None, sum(costs) / 1e9)] if costs else []),
        *(
            ("metadata_number", key, value)
            for key, value in said
            if isinstance(value, int | float) and not isinstance(value, bool)
        ),
    ]


def _reached(attribute: str, key: str | None, said: Sequence[tuple[float, bool]]) -> list[AttributeCount]:
    ordered = sorted(number for number, _ in said)
    bounds = {ordered[math.ceil(quantile * len(ordered)) - 1] for quantile in QUANTILES}
    return [
        AttributeCount(
            attribute=attribute,
            key=key,
            bound=bound,
            selection=sum(selected and number >= bound for number, selected in said),
            rest=sum(not selected and number >= bound for number, selected in said),
        )
        for bound in sorted(bounds)
        if bound > ordered[0] or key is not None
    ]
