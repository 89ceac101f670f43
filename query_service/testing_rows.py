"""Rows of the store's tables, for tests on the fake and on Postgres. Columns that Postgres derives are properties here.

Every column has a default, so that a test names only what it is about.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final
from uuid import UUID

import asyncpg

from agenttracer.wire.events import MetadataValue
from agenttracer.wire.vocabulary import RunStatus
from ddl.rollups import pack
from query_service.store.rows import RunFailure

NOON: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
"""The default time of every event."""
NEVER: Final = datetime(2099, 1, 1, tzinfo=UTC)
DEFAULT_RUN: Final = UUID("019ab0de-7c1e-7000-8000-000000000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSeed:
    """A row of `runs`. By default it is never abandoned."""

    TABLE: ClassVar[str] = "runs"
    project: str = "default"
    run_id: UUID = DEFAULT_RUN
    identity_rank: int = 0
    agent: str = "support-bot"
    agent_version: str = "1.0"
    declared_started_at: datetime | None = NOON
    parent_run_id: UUID | None = None
    parent_step_id: str | None = None
    metadata: Mapping[str, MetadataValue] | None = None
    ended_at: datetime | None = None
    end_status: str | None = None
    emitted: int | None = None
    end_reason: str | None = None
    session_digest: str | None = None
    first_event_at: datetime = NOON
    last_event_at: datetime = NOON + timedelta(days=1)
    last_received_at: datetime = NOON
    first_received_at: datetime | None = None
    first_sent_at: datetime | None = None
    silent_after: datetime = NEVER
    step_count: int = 0
    error_step_count: int = 0
    failure_count: int = 0
    recorded_failure_count: int = 0
    failure_type: str | None = None
    failure_code: str | None = None
    failure_id: str | None = None
    root_failure_type: str | None = None
    root_failure_code: str | None = None
    root_failure_id: str | None = None
    shape: str | None = None

    @property
    def time_shift_us(self) -> int:
        """As the store derives it."""
        if self.first_received_at is None or self.first_sent_at is None:
            return 0
        behind = self.first_received_at - self.first_sent_at
        believed = timedelta(minutes=-10) <= behind <= timedelta(days=30)
        return 0 if believed else behind // timedelta(microseconds=1)

    @property
    def time_shift(self) -> timedelta:
        """By how much its times move."""
        return timedelta(microseconds=self.time_shift_us)

    @property
    def started_at(self) -> datetime:
        """As the store derives it."""
        return (self.declared_started_at or self.first_event_at) + self.time_shift

    @property
    def latency_us(self) -> int | None:
        """As the store derives it."""
        return (
            None
            if self.ended_at is None
            else max(0, (self.ended_at + self.time_shift - self.started_at) // timedelta(microseconds=1))
        )

    @property
    def failure(self) -> RunFailure | None:
        """The failure that the run is known by: its own, else the root cause."""
        return _failure(self.failure_type, self.failure_code, self.failure_id) or self.root_cause

    @property
    def root_cause(self) -> RunFailure | None:
        """The root cause, from its three columns."""
        return _failure(self.root_failure_type, self.root_failure_code, self.root_failure_id)

    def status_at(self, now: datetime) -> str:
        """As the store's view `runs_now` derives it."""
        if self.end_status is None:
            return RunStatus.ABANDONED if self.silent_after < now else RunStatus.RUNNING
        return self.end_status


def _failure(failure_type: str | None, failure_code: str | None, failure_id: str | None) -> RunFailure | None:
    if failure_type is None or failure_code is None or failure_id is None:
        return None
    return RunFailure(failure_type=failure_type, failure_code=failure_code, failure_id=failure_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSeed:
    """A row of `steps`."""

    TABLE: ClassVar[str] = "steps"
    project: str = "default"
    run_id: UUID = DEFAULT_RUN
    step_id: str = "0" * 15 + "1"
    started_at: datetime = NOON
    duration_us: int = 1_000
    seq: int = 1
    http_status: int | None = None
    latency_bucket: int = 111
    attempt: int = 1
    kind: str = "tool"
    name: str = "search"
    status: str = "ok"
    agent: str = "support-bot"
    agent_version: str = "1.0"
    parent_step_id: str | None = None
    cause_step_id: str | None = None
    error_class: str | None = None
    error_code: str | None = None
    metadata: Mapping[str, MetadataValue] | None = None
    work_digest: str | None = None
    returned_code: str | None = None
    returned_http_status: int | None = None
    returned_exit_status: int | None = None
    returned_error_class: str | None = None
    own_agent: str | None = None
    own_agent_version: str | None = None
    own_end_reason: str | None = None
    session_digest: str | None = None
    redacted: int | None = None
    cost_nano: int | None = None
    cost_currency: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureSeed:
    """A row of `failures`."""

    TABLE: ClassVar[str] = "failures"
    project: str = "default"
    run_id: UUID = DEFAULT_RUN
    failure_id: str = "0" * 15 + "1"
    failure_rank: int = 1
    occurred_at: datetime = NOON
    failure_type: str = "tool"
    failure_code: str = "timeout"
    rule_id: str = "timeout.class"
    taxonomy_version: int = 1
    step_id: str | None = None
    attempt: int | None = None
    error_class: str | None = None
    error_code: str | None = None
    http_status: int | None = None
    errno: int | None = None
    retry_after_s: int | None = None
    message_chars: int | None = None
    message_fingerprint: str | None = None
    seq: int = 1
    agent: str = "support-bot"
    agent_version: str = "1.0"
    outcome: str | None = None
    caused_by: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerSeed:
    """A row of `run_producers`. `seen` are ranges of sequence numbers, each without its end."""

    TABLE: ClassVar[str] = "run_producers"
    project: str = "default"
    run_id: UUID = DEFAULT_RUN
    producer: str = "p1"
    seen: Sequence[tuple[int, int]] = ((0, 1),)
    emitted: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSeed:
    """A row of `declared_losses`."""

    TABLE: ClassVar[str] = "declared_losses"
    project: str = "default"
    run_id: UUID = DEFAULT_RUN
    producer: str = "p1"
    reason: str = "queue_full"
    total: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRollupSeed:
    """A row of `run_rollup_deltas`, whose runs all have one latency bucket."""

    TABLE: ClassVar[str] = "run_rollup_deltas"
    project: str = "default"
    minute: datetime = NOON
    agent: str = "support-bot"
    agent_version: str = "1.0"
    status: str = "success"
    failure_type: str = ""
    failure_code: str = ""
    latency_bucket: int = 111
    runs: int = 1
    latency_us: int = 0

    @property
    def histogram(self) -> Mapping[int, int]:
        """Its runs by latency bucket."""
        return {self.latency_bucket: self.runs}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRollupSeed:
    """A row of `step_rollup_deltas`, whose steps all have one latency bucket."""

    TABLE: ClassVar[str] = "step_rollup_deltas"
    project: str = "default"
    minute: datetime = NOON
    agent: str = "support-bot"
    agent_version: str = "1.0"
    kind: str = "tool"
    name: str = "search"
    status: str = "ok"
    model: str = ""
    latency_bucket: int = 111
    steps: int = 1
    latency_us: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0

    @property
    def histogram(self) -> Mapping[int, int]:
        """Its steps by latency bucket."""
        return {self.latency_bucket: self.steps}


Row = RunSeed | StepSeed | FailureSeed | ProducerSeed | LossSeed | RunRollupSeed | StepRollupSeed


def insertion(row: Row) -> tuple[str, Sequence[object]]:
    """The statement, with numbered parameters, and the values that put `row` into its table."""
    values = {f.name: getattr(row, f.name) for f in fields(row)}
    if values.get("metadata") is not None:
        values["metadata"] = json.dumps(values["metadata"])
    if isinstance(row, ProducerSeed):
        values["seen"] = [asyncpg.Range(*seen) for seen in row.seen]
    if isinstance(row, RunRollupSeed | StepRollupSeed):
        del values["latency_bucket"]
        values["histogram"] = pack(row.histogram)
    numbers = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    return f"INSERT INTO {row.TABLE} ({', '.join(values)}) VALUES ({numbers})", list(values.values())  # noqa: S608 - names of our own
