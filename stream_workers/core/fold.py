"""The store as a pure function of the topic: what every table must contain, in plain Python.

The workers' SQL must give the same, row for row, whatever the order, duplication, batching, worker count or crashes;
tests, `verify` and `rebuild` compare the two. Keys and column order are those of the tables in ddl/.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from agenttracer.wire.envelope import Record
from agenttracer.wire.events import COUNT_MAX
from stream_workers.core.assemble import Rows, assemble
from stream_workers.core.deletions import NOTHING_DELETED, Deletions
from stream_workers.core.diagnosis import (
    HEALTHY,
    NOT_JUDGED,
    Diagnosis,
    FailureVerdict,
    RunKey,
    RunVerdict,
    diagnoses,
    grouped,
    truncated,
)
from stream_workers.core.effective_time import listed, time_shift_us
from stream_workers.core.histogram import latency_bucket
from stream_workers.core.rows import RANK_DERIVED, RANK_RECORDED, RUN_OF, FailureRow, LossRow, StepRow
from stream_workers.core.run import ABANDON_AFTER_S, Json, RunState
from stream_workers.core.sequence_ranges import ProducerRow

DAY_US: Final = 86_400_000_000
SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class RunCounts:
    """The counts of a run's rows. They stop at the greatest number that the contract has."""

    steps: int
    error_steps: int
    failures: int
    recorded_failures: int


class Rollup(NamedTuple):
    """The statistics of one key."""

    counted: int
    latency_us: int
    histogram: tuple[tuple[int, int], ...]
    """Latency bucket and count, ordered by bucket; -1 stands for no latency yet."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0
    """In billionths of `COST_CURRENCY`. Of steps alone, as tokens are."""


_NOTHING: Final = Rollup(0, 0, ())
COST_CURRENCY: Final = "USD"
"""Statistics add up cost in this one currency; the statements name it, too."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The store's tables by key, and what its statistics amount to by day, key and latency bucket; zero rows are left out.

    How statistics lie in deltas and in totals of several spans is the store's own business (`ddl/rollups.py`). Runs and failures
    come with what is derived of them from all rows of the run (`diagnosis.py`).
    """

    runs: dict[tuple[str, str], tuple[RunState, RunCounts, RunVerdict]]
    steps: dict[tuple[str, str, str, int], StepRow]
    failures: dict[tuple[str, str, str], tuple[FailureRow, FailureVerdict]]
    losses: dict[tuple[str, str, str, str], LossRow]
    producers: dict[tuple[str, str, str], ProducerRow]
    run_rollups: dict[tuple[Any, ...], Rollup]
    step_rollups: dict[tuple[Any, ...], Rollup]


def fold(records: Iterable[Record], json: Json, deletions: Deletions = NOTHING_DELETED) -> Tables:
    """The tables of these records, in any order and however often repeated, without deleted runs."""
    return tables_of(deletions.left_of(assemble(records, json)))


def tables_of(rows: Rows) -> Tables:
    """The tables of rows that are settled, one a key, and without derived ones."""
    return tables_with(rows, diagnoses(rows.runs, grouped(rows.steps), grouped(rows.failures)))


def tables_with(rows: Rows, found: Mapping[RunKey, Diagnosis]) -> Tables:
    """As `tables_of`, of runs that were diagnosed before."""
    failures = [*rows.failures, *(loop for one in found.values() for loop in one.loops)]
    shifts = {state.key: shift for state in rows.runs if (shift := time_shift_us(state.receipt))}
    counts = _counts(rows.steps, failures)
    none = RunCounts(0, 0, 0, 0)
    runs = {state.key: (state, counts.get(state.key, none), found.get(state.key, HEALTHY).run_verdict) for state in rows.runs}
    return Tables(
        runs=runs,
        steps={row.key: row for row in rows.steps},
        failures={
            row.key: (listed(row, shifts), found[row.key[:2]].verdicts.get(row.failure_id, NOT_JUDGED)) for row in failures
        },
        losses={row.key: row for row in rows.losses},
        producers={row.key: row for row in rows.producers},
        run_rollups=rollups_of(
            (run_rollup_key(state, run_verdict), Rollup(1, latency_us(state) or 0, ((_bucket(state), 1),)))
            for state, _, run_verdict in runs.values()
        ),
        step_rollups=rollups_of((step_rollup_key(row, shifts.get(RUN_OF(row), 0)), step_rollup(row)) for row in rows.steps),
    )


def truncated_runs(tables: Tables) -> frozenset[RunKey]:
    """Runs of which more is stored than their diagnosis looks at: no column says so, since the rows do."""
    said = Counter(row.key[:2] for row, _ in tables.failures.values() if row.failure_rank != RANK_DERIVED)
    return frozenset(key for key, (_, counts, _) in tables.runs.items() if truncated(counts.steps, said[key]))


def started_at(state: RunState) -> int:
    """When a run began, by the time that counts for it: as its start said, else its earliest event."""
    return _said_started_at(state) + time_shift_us(state.receipt)


def _said_started_at(state: RunState) -> int:
    return state.first_event_at if state.start is None else state.start.declared_started_at


def latency_us(state: RunState) -> int | None:
    """From start to end; None without an end, 0 where the clocks of start and end disagree."""
    return None if state.end is None else max(0, state.end.ended_at - _said_started_at(state))


def silent_after(state: RunState) -> int:
    """When the run counts as abandoned unless it is heard of again."""
    return state.last_received_at + (state.abandon_after_s or ABANDON_AFTER_S) * SECOND_US


def run_rollup_key(state: RunState, run_verdict: RunVerdict) -> tuple[Any, ...]:
    """The one key of statistics that counts a run. A derived failure stands for a run that has no other one."""
    failure = state.first_failure or run_verdict.root
    return (
        state.project,
        started_at(state) // DAY_US * DAY_US,
        state.identity.agent,
        state.identity.agent_version,
        "running" if run_verdict.status is None else run_verdict.status,
        "" if failure is None else failure.failure_type,
        "" if failure is None else failure.failure_code,
    )


def step_rollup_key(row: StepRow, shift_us: int = 0) -> tuple[Any, ...]:
    """The one key of statistics that counts a step. Its last member is the model, empty where the step names none."""
    day = (row.started_at + shift_us) // DAY_US * DAY_US
    return (row.project, day, row.agent, row.agent_version, row.kind, row.name, row.status, row.model or "")


def step_rollup(row: StepRow) -> Rollup:
    """What a step adds to its key."""
    cost = row.cost_nano if row.cost_currency == COST_CURRENCY else None
    return Rollup(1, row.duration_us, ((row.latency_bucket, 1),), row.input_tokens or 0, row.output_tokens or 0, cost or 0)


def rollups_of(contributions: Iterable[tuple[tuple[Any, ...], Rollup]]) -> dict[tuple[Any, ...], Rollup]:
    """Statistics by key, added up from contributions to keys. A bucket may stand in a histogram more than once."""
    alike: defaultdict[tuple[Any, ...], list[Rollup]] = defaultdict(list)
    for key, one in contributions:
        alike[key].append(one)
    sums = {key: _sum(rollups) for key, rollups in alike.items()}
    return {key: one for key, one in sums.items() if one != _NOTHING}


def _sum(rollups: Sequence[Rollup]) -> Rollup:
    histogram: Counter[int] = Counter()
    for one in rollups:
        for bucket, n in one.histogram:
            histogram[bucket] += n
    return Rollup(
        counted=sum(one.counted for one in rollups),
        latency_us=sum(one.latency_us for one in rollups),
        histogram=tuple(sorted((bucket, n) for bucket, n in histogram.items() if n)),
        input_tokens=sum(one.input_tokens for one in rollups),
        output_tokens=sum(one.output_tokens for one in rollups),
        cost=sum(one.cost for one in rollups),
    )


def _bucket(state: RunState) -> int:
    latency = latency_us(state)
    return -1 if latency is None else latency_bucket(latency)


def _counts(steps: Iterable[StepRow], failures: Iterable[FailureRow]) -> dict[tuple[str, str], RunCounts]:
    found: Counter[tuple[str, str, str]] = Counter()
    for row in steps:
        found[row.project, row.run_id, "steps"] += 1
        found[row.project, row.run_id, "errors"] += row.status == "error"
    for failure in failures:
        found[failure.project, failure.run_id, "failures"] += 1
        found[failure.project, failure.run_id, "recorded"] += failure.failure_rank == RANK_RECORDED
    return {
        (project, run_id): RunCounts(
            *(min(found[project, run_id, what], COUNT_MAX) for what in ("steps", "errors", "failures", "recorded"))
        )
        for project, run_id, _ in found
    }
