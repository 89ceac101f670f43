"""Rows of the store's tables, as tests give them to the fake and to Postgres alike. What Postgres derives stands as properties.

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
from query_service.stored import FirstFailure

NOON: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
"""When things happen unless a test says otherwise."""
NEVER: Final = datetime(2099, 1, 1, tzinfo=UTC)
DEFAULT_RUN: Final = UUID("019ab0de-7c1e-7000-8000-000000000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A row of `runs`. Without `silent_after` it is never abandoned."""

    TABLE: ClassVar[str] = "runs"
    project: str = "default"
    run_id: UUID = DEFAULT_RUN
    identity_rank: int = 0
    agent: str = "support-bot"
    agent_version: str = "1.0"
    declared_started_at: datetime | None = NOON
    parent_run_id: UUID | None = None
    metadata: Mapping[str, MetadataValue] | None = None
    ended_at: datetime | None = None
    end_status: str | None = None
    emitted: int | None = None
    first_event_at: datetime = NOON
    last_event_at: datetime = NOON + timedelta(days=1)
    last_received_at: datetime = NOON
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
    def started_at(self) -> datetime:
        """As the store derives it."""
        return self.declared_started_at or self.first_event_at

    @property
    def latency_us(self) -> int | None:
        """As the store derives it."""
        return None if self.ended_at is None else max(0, (self.ended_at - self.started_at) // timedelta(microseconds=1))

    @property
    def failure(self) -> FirstFailure | None:
        """Its columns together. A derived failure stands for a run that has no other one."""
        return _failure(self.failure_type, self.failure_code, self.failure_id) or self.root_cause

    @property
    def root_cause(self) -> FirstFailure | None:
        """Its columns together."""
        return _failure(self.root_failure_type, self.root_failure_code, self.root_failure_id)

    def status_at(self, now: datetime) -> str:
        """As the store's view `runs_now` derives it."""
        if self.end_status is None:
            return RunStatus.ABANDONED if self.silent_after < now else RunStatus.RUNNING
        return self.end_status


def _failure(failure_type: str | None, failure_code: str | None, failure_id: str | None) -> FirstFailure | None:
    if failure_type is None or failure_code is None or failure_id is None:
        return None
    return FirstFailure(failure_type=failure_type, failure_code=failure_code, failure_id=failure_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRow:
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
class ProducerRow:
    """A row of `run_producers`. `seen` are ranges of sequence numbers, each without its end."""

    TABLE: ClassVar[str] = "run_producers"
    project: str = "default"
    run_id: UUID = DEFAULT_RUN
    producer: str = "p1"
    seen: Sequence[tuple[int, int]] = ((0, 1),)
    emitted: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRow:
    """A row of `declared_losses`."""

    TABLE: ClassVar[str] = "declared_losses"
    project: str = "default"
    run_id: UUID = DEFAULT_RUN
    producer: str = "p1"
    reason: str = "queue_full"
    total: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRollupRow:
    """A row of `run_rollups`."""

    TABLE: ClassVar[str] = "run_rollups"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRollupRow:
    """A row of `step_rollups`."""

    TABLE: ClassVar[str] = "step_rollups"
    project: str = "default"
    minute: datetime = NOON
    agent: str = "support-bot"
    agent_version: str = "1.0"
    kind: str = "tool"
    name: str = "search"
    status: str = "ok"
    latency_bucket: int = 111
    steps: int = 1
    latency_us: int = 0


Row = RunRow | StepRow | FailureRow | ProducerRow | LossRow | RunRollupRow | StepRollupRow


def insertion(row: Row) -> tuple[str, Sequence[object]]:
    """The statement, with numbered parameters, and the values that put `row` into its table."""
    values = {f.name: getattr(row, f.name) for f in fields(row)}
    if values.get("metadata") is not None:
        values["metadata"] = json.dumps(values["metadata"])
    if isinstance(row, ProducerRow):
        values["seen"] = [asyncpg.Range(*seen) for seen in row.seen]
    numbers = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    return f"INSERT INTO {row.TABLE} ({', '.join(values)}) VALUES ({numbers})", list(values.values())  # noqa: S608 - names of our own
