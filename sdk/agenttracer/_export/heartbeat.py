"""The open runs and their heartbeats, by which the store tells a long run from a dead one. Keeps no run alive."""

import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from agenttracer.wire.events import RunHeartbeat

if TYPE_CHECKING:
    from agenttracer._tracing.recorder import OpenRun


class OpenRuns:
    """Weak references to the open runs.

    A run that the agent no longer references cannot end: it drops out, gets no heartbeats, and is found abandoned. There is
    no lock, since each of these operations on a set is atomic.
    """

    def __init__(self, *, interval_s: float) -> None:
        self.interval_s = interval_s
        self._interval_ns = int(interval_s * 1e9)
        self._runs: set[weakref.ref[OpenRun]] = set()
        self._forget = self._runs.discard
        self._next_beat = time.monotonic() + interval_s

    def add(self, run: "OpenRun") -> None:
        """A run started."""
        run.reference = reference = weakref.ref(run, self._forget)
        self._runs.add(reference)

    def discard(self, run: "OpenRun") -> None:
        """A run ended."""
        self._forget(run.reference)

    @property
    def any(self) -> bool:
        """Whether a run is open."""
        return bool(self._runs)

    def each(self, do: Callable[["OpenRun"], None]) -> None:
        """Call `do` with every open run."""
        for reference in self._runs.copy():
            run = reference()
            if run is not None:
                do(run)

    def due(self) -> list[RunHeartbeat]:
        """The heartbeats to send now: once per interval, of the runs that are open for at least one."""
        if time.monotonic() < self._next_beat:
            return []
        self._next_beat = time.monotonic() + self.interval_s
        beats: list[RunHeartbeat] = []
        now_ns = time.perf_counter_ns()

        def beat(run: "OpenRun") -> None:
            if run.tail_buffer is None and now_ns - run.started_ns >= self._interval_ns:
                beats.append(RunHeartbeat(run_id=run.run_id, at=run.at_us(now_ns)))

        self.each(beat)
        return beats
