"""Adds up the store's counts to statistics of agents and steps. Pure; the order of the results is fixed."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from agenttracer.wire.vocabulary import FailureCode, FailureType, RunStatus, StepStatus
from query_service.percentiles import NO_LATENCY
from query_service.store.rows import AbandonedCount, CountedRuns, RunCount, StatsCounts, StepCount
from query_service.store.store import Column, CountFilter


@dataclass(slots=True, kw_only=True)
class RunTotals:
    """Runs by status, and those that ended by latency bucket."""

    by_status: Counter[str] = field(default_factory=Counter)
    buckets: Counter[int] = field(default_factory=Counter)

    @property
    def runs(self) -> int:
        """All runs, of any status."""
        return self.by_status.total()

    @property
    def over(self) -> int:
        """Runs that are not running."""
        return self.runs - self.by_status[RunStatus.RUNNING]

    @property
    def failed(self) -> int:
        """Runs that failed or were abandoned."""
        return self.by_status[RunStatus.FAILURE] + self.by_status[RunStatus.ABANDONED]

    @property
    def failure_rate(self) -> float | None:
        """The share of ended runs that failed or were abandoned; None while no run has ended."""
        return self.failed / self.over if self.over else None

    def add(self, row: RunCount) -> None:
        """Count these runs too."""
        self.by_status[row.status] += row.runs
        for bucket, runs in row.histogram.items():
            self.buckets[bucket] += runs


@dataclass(slots=True, kw_only=True)
class AgentTotals(RunTotals):
    """Runs of one agent and version. `failures` counts runs by their first failure."""

    agent: str
    agent_version: str
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(slots=True, kw_only=True)
class StepSums:
    """Steps and the errors among them, with latencies, tokens, and cost in billionths of a US dollar."""

    steps: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0
    buckets: Counter[int] = field(default_factory=Counter)

    @property
    def error_rate(self) -> float | None:
        """The share of steps that ended in an error; None without any step."""
        return self.errors / self.steps if self.steps else None

    def add(self, row: StepCount) -> None:
        """Count these steps too."""
        self.steps += row.steps
        self.errors += row.steps if row.status == StepStatus.ERROR else 0
        self.input_tokens += row.input_tokens
        self.output_tokens += row.output_tokens
        self.cost += row.cost
        for bucket, steps in row.histogram.items():
            self.buckets[bucket] += steps


@dataclass(slots=True, kw_only=True)
class StepTotals(StepSums):
    """Steps of one agent, version, kind and name."""

    agent: str
    agent_version: str
    kind: str
    name: str


def added(totals: Iterable[RunTotals]) -> RunTotals:
    """The sum of totals."""
    found = RunTotals()
    for total in totals:
        found.by_status.update(total.by_status)
        found.buckets.update(total.buckets)
    return found


def settled(counts: CountedRuns, which: CountFilter) -> Iterator[RunCount]:
    """The counts, and signed ones that move runs from `running` to `abandoned` where they fell silent.

    Their failure is orchestration/abandoned where they have no other. `which` are the filter and columns that were counted by.
    """
    yield from counts.runs
    by_failure = which.failure_type is not None or which.failure_code is not None
    for silent in counts.abandoned:
        if silent.failure_type or not by_failure:  # else the rollups' rows, without a failure, are left out already
            yield _signed(silent, which, status=RunStatus.RUNNING, runs=-silent.runs)
        yield _signed(silent, which, status=RunStatus.ABANDONED, runs=silent.runs)


def _signed(silent: AbandonedCount, which: CountFilter, *, status: RunStatus, runs: int) -> RunCount:
    failure_type, failure_code = silent.failure_type, silent.failure_code
    if status is RunStatus.ABANDONED and not failure_type:
        failure_type, failure_code = FailureType.ORCHESTRATION, FailureCode.ABANDONED
    return RunCount(
        bucket=silent.bucket,
        agent=silent.agent,
        agent_version=silent.agent_version,
        status=status,
        failure_type=failure_type if Column.FAILURE_TYPE in which.by else "",
        failure_code=failure_code if Column.FAILURE_CODE in which.by else "",
        runs=runs,
        histogram={NO_LATENCY: runs},
    )


def agents(counts: StatsCounts, which: CountFilter) -> Sequence[AgentTotals]:
    """Totals for each agent and version, ordered by both."""
    totals: dict[tuple[str, str], AgentTotals] = {}
    for row in settled(counts, which):
        key = row.agent, row.agent_version
        total = totals.setdefault(key, AgentTotals(agent=row.agent, agent_version=row.agent_version))
        total.add(row)
        if row.failure_type:
            total.failures[row.failure_type, row.failure_code] += row.runs
    for total in totals.values():
        total.failures = +total.failures  # those that were moved away to nothing are none
    return [totals[key] for key in sorted(totals)]


def steps(counts: StatsCounts) -> Sequence[StepTotals]:
    """Totals for each agent, version, kind and name, ordered by all four."""
    totals: dict[tuple[str, str, str, str], StepTotals] = {}
    for row in counts.steps:
        key = row.agent, row.agent_version, row.kind, row.name
        total = totals.setdefault(key, StepTotals(agent=row.agent, agent_version=row.agent_version, kind=row.kind, name=row.name))
        total.add(row)
    return [total for _, total in sorted(totals.items())]
