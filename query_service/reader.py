"""The edge to the store: what the service asks of it and what it is promised. No implementation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from query_service.stored import Counts, Failure, Run, Steps

GROUPS_MAX: Final = 100
"""Kinds of failure that statistics list: more than anybody reads."""
FIGURES_MAX: Final = 100_000
"""Rows of counts, of runs and of steps each, that statistics are made from: each bucket of latencies is one. Twenty agents of 25
steps in two versions have 80,000; more keep the whole process busy for seconds."""


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
class CountFilter:
    """Which runs and steps to count: those that started in the window, whole minutes, `until` not included."""

    since: datetime
    until: datetime
    agent: str | None = None
    agent_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPosition:
    """A place between two runs of a listing ordered by (started_at, run_id), newest first."""

    started_at: datetime
    run_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailPosition:
    """A place between two steps or two failures of a run, ordered by (at, seq, id), oldest first."""

    at: datetime
    seq: int
    id: str


class StoreReader(Protocol):
    """Reads one project's part of the store.

    Every call sees one moment of the store, gives rows of `project` alone, in the order that the position type names,
    at most `limit` of them, and only those beyond `after`. Reading changes nothing, so every call may be repeated.
    Raises UnavailableError (its subclass says why) when the store cannot answer now; never blocks for longer than the
    settings allow, twice over.
    """

    async def ready(self) -> str | None:
        """None when the next question will be answered, else a code that says why not. Raises nothing."""

    async def list_runs(self, project: str, which: RunFilter, *, after: RunPosition | None, limit: int) -> Sequence[Run]:
        """A page of runs."""

    async def run(self, project: str, run_id: UUID) -> Run:
        """One run. Raises RunNotFoundError."""

    async def list_steps(self, project: str, run_id: UUID, *, after: DetailPosition | None, limit: int) -> Steps:
        """A page of one run's steps. Raises RunNotFoundError."""

    async def list_failures(self, project: str, run_id: UUID, *, after: DetailPosition | None, limit: int) -> Sequence[Failure]:
        """A page of one run's failures; the silence of an abandoned run is among them. Raises RunNotFoundError."""

    async def counts(self, project: str, which: CountFilter) -> Counts:
        """What happened in the window: runs and steps from rollups, and the `GROUPS_MAX` most frequent kinds of failure.

        Raises TooManyFiguresError beyond `FIGURES_MAX` rows of either.
        """
