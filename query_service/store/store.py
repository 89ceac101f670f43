"""The Protocol of the store: its methods and their promises. No implementation."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from ddl.rollups import Part
from query_service.store.rows import (
    Contrast,
    CountedRuns,
    DrawnCohort,
    FacetCount,
    FailureStory,
    FailureTrend,
    RunChange,
    RunTree,
    Seen,
    StatsCounts,
    StepCount,
    StepPage,
    StoredFailure,
    StoredRun,
    StoredSession,
)

GROUPS_MAX: Final = 100
"""Kinds of failure that statistics list: more than a person reads."""
GROUPS_SORTED: Final = 1_000
"""Kinds of failure of a window that are put in order: the most frequent ones."""
FIGURES_MAX: Final = 200_000
"""Totals and deltas, of runs and of steps each, that statistics are made from. Thirty days are some fifty totals of every key (an
agent, version, step and status), so this is 4,000 keys; more would keep the process busy for seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs to list; None means any. `since` is included, `until` is not; both are about the run's start.

    A failure type, code and fingerprint must meet in one failure of the run. An abandoned run has the failure
    orchestration/abandoned besides those that are stored.
    """

    agent: str | None = None
    agent_version: str | None = None
    status: str | None = None
    failure_type: str | None = None
    failure_code: str | None = None
    fingerprint: str | None = None
    shape: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    min_latency_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSearch:
    """Filters that runs are probed for, beside those of a `RunFilter`; None, or nothing, means any.

    The outcome is of the same failure, and kind, name, model and provider are of one step. `metadata` are keys and the texts of
    their values, `ranges` keys with the least and the greatest number. Tokens and cost are those of all steps, in billionths of a
    US dollar; nothing said is 0. With `active` the window is about when a run was active.
    """

    outcome: str | None = None
    parent_run_id: UUID | None = None
    session: str | None = None
    end_reason: str | None = None
    time_shifted: bool | None = None
    step_kind: str | None = None
    step_name: str | None = None
    model: str | None = None
    provider: str | None = None
    max_latency_us: int | None = None
    completeness: str | None = None
    min_tokens: int | None = None
    max_tokens: int | None = None
    min_cost_nano: int | None = None
    max_cost_nano: int | None = None
    active: bool = False
    metadata: tuple[tuple[str, str], ...] = ()
    ranges: tuple[tuple[str, float, float], ...] = ()


EVERYTHING: Final = RunSearch()


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The runs that samples are drawn from: those that started in the window, `until` not included.

    `expected` is how many these are, as far as statistics know: how large a share is drawn follows from it.
    """

    since: datetime
    until: datetime
    agent: str | None = None
    agent_version: str | None = None
    expected: int


class RunOrder(StrEnum):
    """The order of runs: the newest, or the most, first."""

    STARTED_AT = "started_at"
    LATENCY = "latency"
    FAILURES = "failures"
    STEPS = "steps"


class ActiveIn(StrEnum):
    """Which runs are in a window."""

    STARTED = "started"
    ACTIVE = "active"


class Column(StrEnum):
    """A column of counts that can be told apart."""

    AGENT = "agent"
    AGENT_VERSION = "agent_version"
    STATUS = "status"
    FAILURE_TYPE = "failure_type"
    FAILURE_CODE = "failure_code"
    KIND = "kind"
    NAME = "name"
    MODEL = "model"


EVERY_COLUMN: Final = frozenset(Column) - {Column.MODEL}


@dataclass(frozen=True, slots=True, kw_only=True)
class CountFilter:
    """Which runs and steps to count: those that started in the window, `until` not included. `parts` make up the window.

    Counts are kept apart by the columns in `by`, and by time bucket: `starts` are those of the buckets, the first `since`; none
    for one bucket. No period of a part lies in two of them. Without `histograms` latencies are left out.
    """

    since: datetime
    until: datetime
    parts: Sequence[Part]
    starts: Sequence[datetime] = ()
    by: AbstractSet[Column] = EVERY_COLUMN
    histograms: bool = True
    agent: str | None = None
    agent_version: str | None = None
    failure_type: str | None = None
    failure_code: str | None = None
    kind: str | None = None
    name: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureFilter:
    """Which failures to group: those that occurred in the window, `until` not included. `starts` are those of time buckets."""

    since: datetime
    until: datetime
    starts: Sequence[datetime]
    agent: str | None = None
    agent_version: str | None = None
    failure_type: str | None = None
    failure_code: str | None = None
    outcome: str | None = None


class GroupOrder(StrEnum):
    """The order of groups: the most, or the newest, first."""

    FAILURES = "failures"
    RUNS = "runs"
    LAST_SEEN = "last_seen"
    FIRST_SEEN = "first_seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPosition:
    """A place between two runs of a listing ordered by (started_at, run_id), newest first."""

    started_at: datetime
    run_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPosition:
    """A place between two sessions of a listing ordered by (start of the newest run, session), newest first."""

    started_at: datetime
    session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SortPosition:
    """A place between two runs of a listing ordered by (key, run_id), the most first."""

    key: int
    run_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePosition:
    """A place between two runs of a listing ordered by (received_at, run_id), the earliest first."""

    received_at: datetime
    run_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """A page of runs. `after` is where the next one begins; None: this is the last. It can hold fewer than were asked for."""

    runs: Sequence[StoredRun]
    after: RunPosition | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailPosition:
    """A place between two steps or two failures of a run, ordered by (at, depth, seq, id), oldest first.

    Only steps have a depth (`step_order.py`).
    """

    at: datetime
    seq: int
    id: str
    depth: int = 0


class StoreReader(Protocol):
    """Reads one project's part of the store.

    Every call sees one moment of the store, gives rows of `project` alone, in the order that the position type names,
    at most `limit` of them, and only those beyond `after`. Reading changes nothing, so every call may be repeated.
    Raises UnavailableError (its subclass says why) when the store cannot answer now; never blocks for longer than the
    settings allow, twice over.
    """

    async def ready(self) -> str | None:
        """None when the store can answer, else a code that says why not. Raises nothing."""

    async def complete_to(self) -> datetime | None:
        """All that gateways received until then, of any project, is in every answer to a later call; None while unknown."""

    async def list_runs(self, project: str, which: RunFilter, *, after: RunPosition | None, limit: int) -> Sequence[StoredRun]:
        """A page of runs."""

    async def run(self, project: str, run_id: UUID) -> StoredRun:
        """One run. Raises RunNotFoundError."""

    async def list_steps(self, project: str, run_id: UUID, *, after: DetailPosition | None, limit: int) -> StepPage:
        """A page of one run's steps. Raises RunNotFoundError."""

    async def list_failures(
        self, project: str, run_id: UUID, *, after: DetailPosition | None, limit: int
    ) -> Sequence[StoredFailure]:
        """A page of one run's failures; the silence of an abandoned run is among them. Raises RunNotFoundError."""

    async def counts(self, project: str, which: CountFilter) -> StatsCounts:
        """The figures of the window: runs and steps from rollups, and the `GROUPS_MAX` most frequent kinds of failure.

        Raises TooManyFiguresError beyond `FIGURES_MAX` totals and deltas of either.
        """

    async def run_counts(self, project: str, which: CountFilter) -> CountedRuns:
        """Runs of the window from rollups, and those that fell silent. The filters of steps do not matter.

        Raises TooManyFiguresError beyond `FIGURES_MAX` totals and deltas.
        """

    async def step_counts(self, project: str, which: CountFilter) -> Sequence[StepCount]:
        """Steps of the window from rollups. The filters of failures do not matter. Raises TooManyFiguresError likewise."""

    async def seen(self, project: str, *, agent: str | None) -> Sequence[Seen]:
        """Every agent and version that statistics know, with when they were first and last seen."""

    async def failure_groups(
        self, project: str, which: FailureFilter, *, order: GroupOrder, limit: int
    ) -> Sequence[FailureTrend]:
        """Kinds of failure of the window, of its `GROUPS_SORTED` most frequent ones, in this order."""

    async def failure_story(self, project: str, fingerprint: str, which: FailureFilter) -> FailureStory:
        """One kind of failure: by window and agent version, its newest runs whenever they were. Raises FailureNotFoundError."""

    async def children(self, project: str, run_id: UUID, *, after: RunPosition | None, limit: int) -> Sequence[StoredRun]:
        """The runs that a run started, in the order in which they began. Raises RunNotFoundError."""

    async def step(self, project: str, run_id: UUID, step_id: str) -> StepPage:
        """One step of a run. Raises RunNotFoundError or StepNotFoundError."""

    async def tree(self, project: str, run_id: UUID) -> RunTree:
        """A run as a whole, with the runs that it started. Raises RunNotFoundError."""

    async def scan_runs(
        self, project: str, which: RunFilter, search: RunSearch, *, after: RunPosition | None, limit: int
    ) -> RunPage:
        """A page of runs, newest first, by any filters. Where too many runs had to be looked at, it is short and goes on."""

    async def sort_runs(
        self, project: str, which: RunFilter, search: RunSearch, *, order: RunOrder, after: SortPosition | None, limit: int
    ) -> Sequence[StoredRun]:
        """A page of runs by latency, failures or steps, by any filters. Give a window: all runs in it are put in order."""

    async def count_facets(self, project: str, which: RunFilter, search: RunSearch) -> tuple[Sequence[FacetCount], bool]:
        """How runs are told apart, the newest ones where they are too many; and whether all were counted."""

    async def list_sessions(
        self, project: str, *, since: datetime, until: datetime, after: SessionPosition | None, limit: int
    ) -> Sequence[StoredSession]:
        """Sessions with a run that started in the window, the one with the newest run first."""

    async def contrast(self, project: str, which: RunFilter, search: RunSearch, *, within: Population) -> Contrast:
        """What the runs of these filters have and the others of the population have not, of samples where they are many."""

    async def draw_cohort(self, project: str, which: RunFilter, search: RunSearch, *, within: Population) -> DrawnCohort:
        """The runs of a population that pass these filters, with their steps added up, of a sample where they are many."""

    async def list_changes(self, project: str, *, after: ChangePosition, limit: int) -> Sequence[RunChange]:
        """A page of runs by when something of them was last received, the earliest first."""

    async def pick_runs(self, project: str, run_ids: Sequence[UUID], which: RunFilter, search: RunSearch) -> Sequence[StoredRun]:
        """Those of these runs that pass the filters, newest first."""
