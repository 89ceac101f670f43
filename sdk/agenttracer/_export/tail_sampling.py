"""Sampling: which runs are sent from their start, and a buffer for the others until it is known whether they failed.

A run is sampled as a whole, and every process that knows its id decides alike: of the id's last 56 bits, which are random in
a UUIDv7, a share of `sample_rate` is sampled. That is OpenTelemetry's rule for consistent probability sampling. A child run
follows its parent. The events of a run that is not sampled are buffered, and sent after all if it does not end as a success.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from agenttracer._events.sink import size_of
from agenttracer.wire.vocabulary import RunEnd

if TYPE_CHECKING:
    import threading

    from agenttracer._events.pending_event import PendingEvent, PendingRunEnd, PendingStep
    from agenttracer._events.sink import EventSink
    from agenttracer._events.traceparent import Origin

BUFFERED_STEPS_MAX: Final = 100
"""Of one run. The oldest are dropped first: the last steps are nearest to the reason of a failure."""
BUFFERED_CONTROL_MAX: Final = 50
"""Starts and recorded failures of one run."""
_RANDOM: Final = 1 << 56


def is_id_sampled(run_id: str, *, rate: float) -> bool:
    """Whether a run without a parent is sampled. The same in every process, and still true at a higher rate."""
    return int(run_id.replace("-", "")[-14:], 16) >= round((1.0 - rate) * _RANDOM)


def is_sampled(run_id: str, origin: "Origin | None", *, rate: float) -> bool:
    """Whether a run is sampled: as its parent is, if it has one.

    Not to be called at a rate of 1: there every run is sent, whatever a caller's header says.
    """
    return is_id_sampled(run_id, rate=rate) if origin is None else origin.sampled


class TailBudget:
    """The memory that the tail buffers of one tracer share, and the count of events that sampling left out."""

    def __init__(self, lock: "threading.RLock", *, max_bytes: int) -> None:
        self._lock = lock
        self._left_bytes = max_bytes
        self.sampled_out = 0

    def reserve(self, event: "PendingEvent") -> bool:
        """Reserve room for one event; False when there is none."""
        size = size_of(event)
        with self._lock:
            if self._left_bytes < size:
                return False
            self._left_bytes -= size
            return True

    def release(self, event: "PendingEvent") -> None:
        """The room of one event is free again."""
        size = size_of(event)
        with self._lock:
            self._left_bytes += size

    def leave_out(self, count: int = 1) -> None:
        """Count events that will not be sent."""
        with self._lock:
            self.sampled_out += count


class TailBuffer:
    """An event sink that keeps the events of one run, within bounds. Used from any of the agent's threads."""

    def __init__(self, budget: TailBudget, lock: "threading.RLock") -> None:
        self._budget = budget
        self._lock = lock
        self._control: list[PendingEvent] = []
        self._steps: deque[PendingStep] = deque()
        self._ended = False

    def put_step(self, step: "PendingStep") -> None:
        """Keep a step; the run's oldest steps make room for it."""
        with self._lock:
            steps = self._steps
            if len(steps) >= BUFFERED_STEPS_MAX:
                self._leave_out_oldest()
            while not self._ended:
                if self._budget.reserve(step):
                    steps.append(step)
                    return
                if not steps:
                    break
                self._leave_out_oldest()
            self._budget.leave_out()

    def _leave_out_oldest(self) -> None:
        self._budget.release(self._steps.popleft())
        self._budget.leave_out()

    def put_control(self, event: "PendingEvent") -> None:
        """Keep a start or failure."""
        with self._lock:
            if not self._ended and len(self._control) < BUFFERED_CONTROL_MAX and self._budget.reserve(event):
                self._control.append(event)
            else:
                self._budget.leave_out()

    def end(self, end: "PendingRunEnd", sink: "EventSink") -> bool:
        """Take the run's end. Unless it is a success, put the buffered events and the end, which counts them, into `sink`.

        True if they are in `sink`.
        """
        with self._lock:
            control, steps = self._control, self._steps
            self._control, self._steps, self._ended = [], deque(), True
        for event in (*control, *steps):
            self._budget.release(event)
        count = len(control) + len(steps) + 1
        if end.status is RunEnd.SUCCESS:
            self._budget.leave_out(count)
            return False
        for event in control:
            sink.put_control(event)
        for step in steps:
            sink.put_step(step)
        end.emitted = count
        sink.put_control(end)
        return True

    def abandon(self) -> None:
        """In a forked child: the buffered events are the parent's. Takes no lock, since a thread of the parent may hold it."""
        self._control, self._steps = [], deque()

    def __del__(self) -> None:
        buffered = (*self._control, *self._steps)
        for event in buffered:  # the agent dropped its last reference to a run that had not ended
            self._budget.release(event)
        if buffered:
            self._budget.leave_out(len(buffered))
