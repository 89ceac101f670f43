"""The runs that are open, and the heartbeats by which the store tells a long run from a dead one. Holds no run alive."""

import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from agenttracer.wire.events import RunHeartbeat

if TYPE_CHECKING:
    from agenttracer._run import Run


class OpenRuns:
    """A run that the agent lost hold of cannot end any more: it falls out, gets no heartbeats, and is found abandoned."""

    def __init__(self, lock: threading.RLock, *, interval_s: float) -> None:
        self._lock = lock
        self._interval_ns = int(interval_s * 1e9)
        self._interval_s = interval_s
        self._runs: dict[int, weakref.ref[Run]] = {}
        self._next_beat = time.monotonic() + interval_s

    def add(self, run: "Run") -> None:
        """A run began."""
        key, runs = id(run), self._runs
        with self._lock:
            runs[key] = weakref.ref(run, lambda _: runs.pop(key, None))

    def discard(self, run: "Run") -> None:
        """A run ended."""
        with self._lock:
            self._runs.pop(id(run), None)

    def each(self, do: Callable[["Run"], None]) -> None:
        """Call `do` with every open run."""
        with self._lock:
            held = [reference() for reference in list(self._runs.values())]
        for run in held:
            if run is not None:
                do(run)

    def renew(self, lock: threading.RLock, do: Callable[["Run"], None]) -> None:
        """In a forked child, where the old lock may be held by a thread that does not exist: call `do` with every open run."""
        self._lock = lock
        self.each(do)

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
