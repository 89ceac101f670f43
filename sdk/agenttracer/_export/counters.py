"""The SDK's counters of itself, and their public form: the results of `AgentTracer.stats()` and `flush()`."""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from agenttracer.wire.vocabulary import DropReason


class Stats(NamedTuple):
    """One moment of a tracer. `emitted = accepted + sum(dropped) + pending`, always; events are those with a `seq`."""

    emitted: int
    accepted: int
    """Accepted by the gateway, which answers only when they are durable."""
    pending: int
    """Queued, in the spool, or being sent."""
    spooled: int
    """Those of `pending` that are on disk: a later process sends them if this one cannot."""
    dropped: Mapping[DropReason, int]
    misfits: Mapping[str, int]
    """Values left out or replaced because they did not fit the contract, by rule. Their events were kept."""
    internal_errors: int
    """Errors of the SDK itself that were kept from the agent."""
    misuses: int
    """Calls in a wrong order, such as metadata for a step that has ended; they changed nothing."""
    sender_restarts: int
    sampled_out: int
    """Events of runs that sampling left out; they are in no other figure."""
    unreported_drops: int
    """Drops whose runs were too many to report each to the gateway; contained in `dropped`."""
    adopted: int = 0
    """Events that earlier processes left in the spool and this one delivered; in no other figure, like the following."""
    adopted_lost: int = 0
    """Events of earlier processes that were refused, or torn or damaged on disk."""
    spool_failures: int = 0
    """Errors of the disk. After the first one the spool takes nothing more."""
    untraced: int = 0
    """Calls of decorated functions outside any run, by the whole process: they ran, and nothing is known of them."""


class FlushResult(NamedTuple):
    """The result of a flush. `complete`: every event emitted before the call is accepted or dropped, none waits."""

    complete: bool
    accepted: int
    """Of the tracer's whole life, like `dropped`."""
    dropped: int
    pending: int


class Counters:
    """Rare occurrences, by name. The queue counts everything on the hot path."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self.misfits: Counter[str] = Counter()
        self.internal_errors = 0
        self.misuses = 0
        self.sender_restarts = 0

    def misfit(self, rule: str) -> None:
        """A value did not fit the contract."""
        with self._lock:
            self.misfits[rule] += 1

    def internal_error(self) -> None:
        """The SDK failed, and the error was kept from the agent."""
        with self._lock:
            self.internal_errors += 1

    def misuse(self) -> None:
        """A call came in a wrong order."""
        with self._lock:
            self.misuses += 1

    def sender_restarted(self) -> None:
        """The sender thread had died and was started again."""
        with self._lock:
            self.sender_restarts += 1
