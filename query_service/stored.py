"""What the store hands over: plain values in the store's own words and units. No JSON, no SQL, no judgement.

Times are aware datetimes in UTC, durations and offsets whole microseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from agenttracer.wire.events import MetadataValue

ABANDONED_ID: Final = "abandoned"
"""Failure id of a silence. It is no step id, so it meets none that is stored."""
ABANDONED_RULE: Final = "silence"
ABANDONED_SEQ: Final = 2**31 - 1
"""A silence comes after everything that happened at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstFailure:
    """The failure that a run is known by."""

    failure_type: str
    failure_code: str
    failure_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    """What one process said of a run: `stored` events, between the first and last of which `gaps` numbers are missing.

    `emitted` is None before it ended the run, `stored` when it does not number its events; `declared` is by reason.
    """

    producer: str
    emitted: int | None
    stored: int | None
    gaps: int
    declared: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as it stands now. `status` is the effective one: an open run that was silent for too long is `abandoned`.

    `truncated`: it has more steps or failures than were looked at for what is said of it as a whole.
    """

    run_id: UUID
    agent: str
    agent_version: str
    status: str
    started_at: datetime
    ended_at: datetime | None
    latency_us: int | None
    step_count: int
    error_step_count: int
    failure_count: int
    recorded_failure_count: int
    failure: FirstFailure | None
    root_cause: FirstFailure | None
    shape: str | None
    truncated: bool
    parent_run_id: UUID | None
    metadata: Mapping[str, MetadataValue]
    last_received_at: datetime
    start_seen: bool
    emitted: int | None
    producers: Sequence[Producer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a run."""

    step_id: str
    parent_step_id: str | None
    cause_step_id: str | None
    kind: str
    name: str
    status: str
    attempt: int
    seq: int
    started_at: datetime
    duration_us: int
    error_class: str | None
    error_code: str | None
    http_status: int | None
    metadata: Mapping[str, MetadataValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failure of a run. A silence has neither rank nor taxonomy version: it is judged when somebody looks.

    `outcome` is None of what was not judged, `caused_by` the id of the failure that it only followed from.
    """

    failure_id: str
    failure_rank: int | None
    failure_type: str
    failure_code: str
    rule_id: str
    taxonomy_version: int | None
    occurred_at: datetime
    seq: int
    step_id: str | None
    attempt: int | None
    error_class: str | None
    error_code: str | None
    http_status: int | None
    errno: int | None
    retry_after_s: int | None
    message_chars: int | None
    message_fingerprint: str | None
    outcome: str | None
    caused_by: str | None
    fingerprint: str | None
    is_root: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A page of steps, with the start of their run to count offsets from."""

    run_started_at: datetime
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCount:
    """Runs that are alike. Status as stored; '' for no failure, bucket -1 for no latency yet."""

    agent: str
    agent_version: str
    status: str
    failure_type: str
    failure_code: str
    latency_bucket: int
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCount:
    """Steps that are alike."""

    agent: str
    agent_version: str
    kind: str
    name: str
    status: str
    latency_bucket: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonedCount:
    """Runs that are stored as running and are abandoned now; `unexplained` ones have no other failure."""

    agent: str
    agent_version: str
    runs: int
    unexplained: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failures of one fingerprint that occurred within the window. The run is that of the newest one."""

    fingerprint: str
    agent: str
    failure_type: str
    failure_code: str
    error_class: str | None
    failures: int
    recovered: int
    runs: int
    last_occurred_at: datetime
    last_run_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """All that statistics are made from, as of one moment."""

    runs: Sequence[RunCount]
    steps: Sequence[StepCount]
    abandoned: Sequence[AbandonedCount]
    groups: Sequence[FailureGroup]
