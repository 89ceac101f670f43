"""The runs that are open, and the heartbeats by which the store tells a long run from a dead one. Holds no run alive."""

import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from agenttracer.wire.events import RunHeartbeat

if TYPE_CHECKING:
    from agenttracer._run import Run


class OpenRuns:
    """A run that the agent lost hold of cannot end any more: it falls out, gets no heartbeats, and is found abandoned.

    Without a lock: each of these operations on a set is one that no other thread can get into.
    """

    def __init__(self, *, interval_s: float) -> None:
        self._interval_ns = int(interval_s * 1e9)
        self._interval_s = interval_s
        self._runs: set[weakref.ref[Run]] = set()
        self._next_beat = time.monotonic() + interval_s

    def add(self, run: "Run") -> None:
        """A run began."""
        runs = self._runs
        run.reference = weakref.ref(run, runs.discard)
        runs.add(run.reference)

    def discard(self, run: "Run") -> None:
        """A run ended."""
        self._runs.discard(run.reference)

    def each(self, do: Callable[["Run"], None]) -> None:
        """Call `do` with every open run."""
        for reference in self._runs.copy():
            run = reference()
            if run is not None:
                do(run)

    def due(self) -> list[RunHeartbeat]:
        """The heartbeats to send now: none but once an interval, and for runs that are open for at least one."""
        if time.monotonic() < self._next_beat:
            return []
        self._next_beat = time.monotonic() + self._interval_s
        beats: list[RunHeartbeat] = []
        now_ns = time.perf_counter_ns()

        def beat(run: "Run") -> None:
            if run.held is None and now_ns - run.started_ns >= self._interval_ns:
                beats.append(RunHeartbeat(run_id=run.run_id, at=run.at_us(now_ns)))

        self.each(beat)
        return beats
