"""The values that the store returns, in its own words and units. No JSON, no SQL, no judgement.

Times are aware datetimes in UTC, durations and offsets whole microseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from agenttracer.wire.events import MetadataValue

ABANDONED_ID: Final = "abandoned"
"""Failure id of a silence. It is no step id, so it meets none that is stored."""
ABANDONED_RULE: Final = "silence"
ABANDONED_SEQ: Final = 2**31 - 1
"""A silence comes after everything that happened at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailure:
    """The failure that a run is known by."""

    failure_type: str
    failure_code: str
    failure_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerAccount:
    """One process's part of a run: `stored` events, between the first and last of which `gaps` numbers are missing.

    `emitted` is None before it ended the run, `stored` when it does not number its events; `declared` is by reason.
    """

    producer: str
    emitted: int | None
    stored: int | None
    gaps: int
    declared: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run as it stands now. `status` is the effective one: an open run that was silent for too long is `abandoned`.

    `end_reason` is what its end said. `time_shift_us` is by how much all its times differ from what its events said.
    `truncated`: it has more steps or failures than were looked at for what is said of it as a
    whole.
    """

    run_id: UUID
    agent: str
    agent_version: str
    status: str
    started_at: datetime
    ended_at: datetime | None
    latency_us: int | None
    end_reason: str | None
    session_digest: str | None
    step_count: int
    error_step_count: int
    failure_count: int
    recorded_failure_count: int
    failure: RunFailure | None
    root_cause: RunFailure | None
    shape: str | None
    truncated: bool
    parent_run_id: UUID | None
    parent_step_id: str | None
    metadata: Mapping[str, MetadataValue]
    last_received_at: datetime
    time_shift_us: int
    start_seen: bool
    emitted: int | None
    producers: Sequence[ProducerAccount]


class RunChange(NamedTuple):
    """A run, when something of it was last received, and whether it has ended."""

    run_id: UUID
    received_at: datetime
    over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """The runs of one session that started in a window."""

    session: str
    runs: int
    failed: int
    agents: Sequence[str]
    first_started_at: datetime
    last_started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetCount:
    """Runs that are alike, by their status now and first failure; '' for none."""

    agent: str
    agent_version: str
    status: str
    failure_type: str
    failure_code: str
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeCount:
    """How many runs of two sides have something: a value, or a number that reaches `bound`. `key` is one of metadata."""

    attribute: str
    key: str | None = None
    value: str = ""
    bound: float | None = None
    selection: int
    rest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Two sides of runs, and what these have. A share below 1 says that so much of a side was drawn by the hash of run ids."""

    selection: int
    rest: int
    selection_share: float
    rest_share: float
    attributes: Sequence[AttributeCount]


@dataclass(frozen=True, slots=True)
class Moments:
    """How many values there are, their sum, and that of their squares."""

    n: int
    total: int
    squares: int

    @property
    def mean(self) -> float:
        """0 of none."""
        return self.total / self.n if self.n else 0.0

    @property
    def variance(self) -> float:
        """Of the values as a sample, in whole numbers until the last step; 0 of fewer than two."""
        return (self.n * self.squares - self.total**2) / (self.n * (self.n - 1)) if self.n > 1 else 0.0


class DrawnRun(NamedTuple):
    """One run as it stands now, with its first failure; '' for none."""

    status: str
    failure_type: str
    failure_code: str
    latency_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStep:
    """One step of a run."""

    step_id: str
    parent_step_id: str | None
    """A step of the run."""
    unknown_parent_id: str | None
    """The parent that was said, where the run has no step of that id."""
    cause_step_id: str | None
    kind: str
    name: str
    status: str
    attempt: int
    depth: int
    """How many steps that began in the same moment it stands under."""
    seq: int
    started_at: datetime
    duration_us: int
    error_class: str | None
    error_code: str | None
    http_status: int | None
    work_digest: str | None
    returned_code: str | None
    returned_http_status: int | None
    returned_exit_status: int | None
    returned_error_class: str | None
    own_agent: str | None
    own_agent_version: str | None
    own_end_reason: str | None
    session_digest: str | None
    redacted: int | None
    cost_nano: int | None
    cost_currency: str | None
    metadata: Mapping[str, MetadataValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFailure:
    """One failure of a run. A silence has neither rank nor taxonomy version: it is judged when the run is read.

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
class StepPage:
    """A page of steps, with the start of their run to count offsets from."""

    run_started_at: datetime
    steps: Sequence[StoredStep]


class TreeStep(NamedTuple):
    """One step of a run that is read as a whole, in the columns of its statement."""

    step_id: str
    parent_step_id: str | None
    cause_step_id: str | None
    kind: str
    name: str
    status: str
    attempt: int
    started_at: datetime
    duration_us: int
    error_class: str | None
    error_code: str | None
    http_status: int | None
    model: str | None


class TreeFailure(NamedTuple):
    """One stored failure of such a run."""

    run_id: UUID
    failure_id: str
    step_id: str | None
    occurred_at: datetime
    failure_type: str
    failure_code: str
    outcome: str | None
    caused_by: str | None
    fingerprint: str | None
    rule_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTree:
    """A run, and the runs that it started, level by level; `parents` are their ids, `steps` those of each run.

    Each `more` says that something lies beyond a limit.
    """

    runs: Sequence[StoredRun]
    parents: Sequence[UUID | None]
    steps: Sequence[Sequence[TreeStep]]
    failures: Sequence[TreeFailure]
    runs_more: bool
    steps_more: bool
    failures_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCount:
    """Runs that are alike. Status as stored; '' for no failure. The histogram counts them by latency bucket, -1 for none yet.

    `bucket` is the place of their time bucket. A column that is not told apart is ''.
    """

    bucket: int = 0
    agent: str
    agent_version: str
    status: str
    failure_type: str
    failure_code: str
    runs: int
    histogram: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCount:
    """Steps that are alike. The histogram counts them by latency bucket; `bucket` is the place of their time bucket.

    `model` is '' where a step names none. Cost is in billionths of a US dollar, as the senders said it.
    """

    bucket: int = 0
    agent: str
    agent_version: str
    kind: str
    name: str
    status: str
    model: str = ""
    steps: int
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0
    histogram: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnCohort:
    """Runs that were drawn, their steps by kind, name and status, and what their means follow from."""

    share: float
    runs: Sequence[DrawnRun]
    steps: Sequence[StepCount]
    steps_per_run: Moments
    tokens_per_run: Moments


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonedCount:
    """Runs that are stored as running and are abandoned now. Those without any other failure have '' for its type and code."""

    bucket: int = 0
    agent: str
    agent_version: str
    failure_type: str
    failure_code: str
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """When the first and the last run of an agent's version began, as precisely as statistics of their time are kept."""

    agent: str
    agent_version: str
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StepName:
    """What a step is called, and its kind."""

    kind: str
    name: str


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
class FailureTrend(FailureGroup):
    """A kind of failure over time: `trend` counts it by time bucket; it occurred first, of all that is stored, at `first`.

    Rule and step are those of the newest failure; the step is None where it happened to the run as a whole.
    """

    fatal: int
    rule_id: str
    taxonomy_version: int
    versions: Sequence[str]
    first_occurred_at: datetime
    step: StepName | None
    trend: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFailures:
    """Failures of one kind in one version, and in how many of its runs."""

    agent_version: str
    failures: int
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceCount:
    """Failures of one kind with the same evidence."""

    error_class: str | None
    error_code: str | None
    http_status: int | None
    rule_id: str
    taxonomy_version: int
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureStory:
    """All that is told of one kind of failure. `path` leads from the run to the failed step of the newest failure."""

    group: FailureTrend
    by_version: Sequence[VersionFailures]
    evidence: Sequence[EvidenceCount]
    path: Sequence[StepName]
    runs: Sequence[StoredRun]
    peer_run_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedRuns:
    """Counts of runs as of one moment."""

    runs: Sequence[RunCount]
    abandoned: Sequence[AbandonedCount]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsCounts(CountedRuns):
    """All that statistics are made from, as of one moment."""

    steps: Sequence[StepCount]
    groups: Sequence[FailureGroup]
