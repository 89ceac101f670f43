"""The store as a pure function of the topic: what every table must contain, in plain Python.

The workers' SQL must give the same, row for row, whatever the order, duplication, batching, worker count or crashes;
tests, `verify` and `rebuild` compare the two. Keys and column order are those of the tables in ddl/.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agenttracer.wire.envelope import Record
from stream_workers.core.account import ProducerRow
from stream_workers.core.assemble import Rows, assemble
from stream_workers.core.deletions import NOTHING_DELETED, Deletions
from stream_workers.core.diagnosis import (
    HEALTHY,
    NOT_JUDGED,
    Diagnosis,
    RunKey,
    Standing,
    Verdict,
    diagnoses,
    grouped,
    truncated,
)
from stream_workers.core.histogram import latency_bucket
from stream_workers.core.rows import RANK_DERIVED, RANK_RECORDED, FailureRow, LossRow, StepRow
from stream_workers.core.run import ABANDON_AFTER_S, Json, RunState

MINUTE_US: Final = 60_000_000
SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Counts:
    """What is counted of a run's rows."""

    steps: int
    error_steps: int
    failures: int
    recorded_failures: int


@dataclass(frozen=True, slots=True)
class Tables:
    """The store's tables by key. Rollups map a key to (count, summed latency in us); zero rows are left out.

    Runs and failures come with what is derived of them from all rows of the run (`diagnosis.py`).
    """

    runs: dict[tuple[str, str], tuple[RunState, Counts, Standing]]
    steps: dict[tuple[str, str, str, int], StepRow]
    failures: dict[tuple[str, str, str], tuple[FailureRow, Verdict]]
    losses: dict[tuple[str, str, str, str], LossRow]
    producers: dict[tuple[str, str, str], ProducerRow]
    run_rollups: dict[tuple[Any, ...], tuple[int, int]]
    step_rollups: dict[tuple[Any, ...], tuple[int, int]]


def fold(records: Iterable[Record], json: Json, deletions: Deletions = NOTHING_DELETED) -> Tables:
    """The tables that these records amount to, in any order and however often repeated, without what was deleted."""
    return tables_of(deletions.left_of(assemble(records, json)))


def tables_of(rows: Rows) -> Tables:
    """The tables of rows that are settled, one a key, and without derived ones."""
    return tables_with(rows, diagnoses(rows.runs, grouped(rows.steps), grouped(rows.failures)))


def tables_with(rows: Rows, found: Mapping[RunKey, Diagnosis]) -> Tables:
    """As `tables_of`, of runs that were diagnosed before."""
    failures = [*rows.failures, *(loop for one in found.values() for loop in one.loops)]
    counts = _counts(rows.steps, failures)
    none = Counts(0, 0, 0, 0)
    runs = {state.key: (state, counts.get(state.key, none), found.get(state.key, HEALTHY).standing) for state in rows.runs}
    return Tables(
        runs=runs,
        steps={row.key: row for row in rows.steps},
        failures={row.key: (row, found[row.key[:2]].verdicts.get(row.failure_id, NOT_JUDGED)) for row in failures},
        losses={row.key: row for row in rows.losses},
        producers={row.key: row for row in rows.producers},
        run_rollups=_sums((run_rollup_key(state, standing), latency_us(state) or 0) for state, _, standing in runs.values()),
        step_rollups=_sums((step_rollup_key(row), row.duration_us) for row in rows.steps),
    )


def truncated_runs(tables: Tables) -> frozenset[RunKey]:
    """Runs of which more is stored than their diagnosis looks at: no column says so, since the rows do."""
    said = Counter(row.key[:2] for row, _ in tables.failures.values() if row.failure_rank != RANK_DERIVED)
    return frozenset(key for key, (_, counts, _) in tables.runs.items() if truncated(counts.steps, said[key]))


def started_at(state: RunState) -> int:
    """When a run began: as its start said, else its earliest event."""
    return state.first_event_at if state.start is None else state.start.declared_started_at


def latency_us(state: RunState) -> int | None:
    """From start to end; None without an end, 0 where the clocks of start and end disagree."""
    return None if state.end is None else max(0, state.end.ended_at - started_at(state))


def silent_after(state: RunState) -> int:
    """When the run counts as abandoned unless it is heard of again."""
    return state.last_received_at + (state.abandon_after_s or ABANDON_AFTER_S) * SECOND_US


def run_rollup_key(state: RunState, standing: Standing) -> tuple[Any, ...]:
    """The one row of `run_rollups` in which a run counts. A derived failure stands for a run that has no other one."""
    latency = latency_us(state)
    failure = state.first_failure or standing.root
    return (
        state.project,
        started_at(state) // MINUTE_US * MINUTE_US,
        state.who.agent,
        state.who.agent_version,
        "running" if state.end is None else state.end.end_status,
        "" if failure is None else failure.failure_type,
        "" if failure is None else failure.failure_code,
        -1 if latency is None else latency_bucket(latency),
    )


def step_rollup_key(row: StepRow) -> tuple[Any, ...]:
    """The one row of `step_rollups` in which a step counts."""
    minute = row.started_at // MINUTE_US * MINUTE_US
    return (row.project, minute, row.agent, row.agent_version, row.kind, row.name, row.status, row.latency_bucket)


def _counts(steps: Iterable[StepRow], failures: Iterable[FailureRow]) -> dict[tuple[str, str], Counts]:
    found: Counter[tuple[str, str, str]] = Counter()
    for row in steps:
        found[row.project, row.run_id, "steps"] += 1
        found[row.project, row.run_id, "errors"] += row.status == "error"
    for failure in failures:
        found[failure.project, failure.run_id, "failures"] += 1
        found[failure.project, failure.run_id, "recorded"] += failure.failure_rank == RANK_RECORDED
    return {
        (project, run_id): Counts(*(found[project, run_id, what] for what in ("steps", "errors", "failures", "recorded")))
        for project, run_id, _ in found
    }


def _sums(contributions: Iterable[tuple[tuple[Any, ...], int]]) -> dict[tuple[Any, ...], tuple[int, int]]:
    sums: dict[tuple[Any, ...], tuple[int, int]] = {}
    for key, latency in contributions:
        count, total = sums.get(key, (0, 0))
        sums[key] = (count + 1, total + latency)
    return sums
