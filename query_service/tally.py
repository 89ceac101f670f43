"""Adds the store's counts up to statistics of agents and steps. Pure: counts in, figures out, in a fixed order."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from agenttracer.wire.vocabulary import FailureCode, FailureType, RunStatus, StepStatus
from query_service.stored import AbandonedCount, Counts, RunCount, StepCount


@dataclass(slots=True, kw_only=True)
class AgentTally:
    """Runs of one agent and version. `failures` counts runs by their first failure, `buckets` by latency."""

    agent: str
    agent_version: str
    by_status: Counter[str] = field(default_factory=Counter)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    buckets: Counter[int] = field(default_factory=Counter)

    @property
    def runs(self) -> int:
        """All of them, however they stand."""
        return self.by_status.total()

    @property
    def failure_rate(self) -> float | None:
        """Of the runs that are over, the part that failed or was abandoned; None while none is over."""
        over = self.runs - self.by_status[RunStatus.RUNNING]
        return (self.by_status[RunStatus.FAILURE] + self.by_status[RunStatus.ABANDONED]) / over if over else None


@dataclass(slots=True, kw_only=True)
class StepTally:
    """Steps of one agent, version, kind and name."""

    agent: str
    agent_version: str
    kind: str
    name: str
    steps: int = 0
    errors: int = 0
    buckets: Counter[int] = field(default_factory=Counter)

    @property
    def error_rate(self) -> float:
        """The part of the steps that ended in an error."""
        return self.errors / self.steps if self.steps else 0.0


def agents(counts: Counts) -> Sequence[AgentTally]:
    """One tally an agent and version, ordered by both."""
    tallies: dict[tuple[str, str], AgentTally] = {}
    for row in counts.runs:
        _add_runs(_agent(tallies, row), row)
    for silent in counts.abandoned:
        _move_abandoned(_agent(tallies, silent), silent)
    return [tallies[key] for key in sorted(tallies)]


def steps(counts: Counts) -> Sequence[StepTally]:
    """One tally an agent, version, kind and name, ordered by all four."""
    grouped: dict[tuple[str, str, str, str], list[StepCount]] = defaultdict(list)
    for row in counts.steps:
        grouped[row.agent, row.agent_version, row.kind, row.name].append(row)
    return [_step(rows) for _, rows in sorted(grouped.items())]


def _agent(tallies: dict[tuple[str, str], AgentTally], row: RunCount | AbandonedCount) -> AgentTally:
    key = (row.agent, row.agent_version)
    return tallies.setdefault(key, AgentTally(agent=row.agent, agent_version=row.agent_version))


def _add_runs(tally: AgentTally, row: RunCount) -> None:
    tally.by_status[row.status] += row.runs
    tally.buckets[row.latency_bucket] += row.runs
    if row.failure_type:
        tally.failures[row.failure_type, row.failure_code] += row.runs


def _move_abandoned(tally: AgentTally, silent: AbandonedCount) -> None:
    """The store counts them as running, since nobody writes when nothing happens."""
    tally.by_status[RunStatus.RUNNING] -= silent.runs
    tally.by_status[RunStatus.ABANDONED] += silent.runs
    if silent.unexplained:
        tally.failures[FailureType.ORCHESTRATION, FailureCode.ABANDONED] += silent.unexplained


def _step(rows: Sequence[StepCount]) -> StepTally:
    first = rows[0]
    tally = StepTally(agent=first.agent, agent_version=first.agent_version, kind=first.kind, name=first.name)
    for row in rows:
        tally.steps += row.steps
        tally.errors += row.steps if row.status == StepStatus.ERROR else 0
        tally.buckets[row.latency_bucket] += row.steps
    return tally
