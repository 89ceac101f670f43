"""The bounded queue between the agent's threads and the sender's: two lanes, and the counts of all events that entered.

The control lane carries run starts, failures and run ends. When the queue is full, the newest step is dropped first: an
arriving step itself, or for an arriving control event the newest queued step. No network, no thread, no clock.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from agenttracer._events.pending_event import PendingEvent, PendingStep
from agenttracer._events.sink import COMMON_ENTRIES, EVENT_BYTES, extra_bytes
from agenttracer._export.drop_reports import DropReports
from agenttracer._export.waiting import Wakeup
from agenttracer.wire.vocabulary import DropReason

_E = TypeVar("_E")
Position = tuple[int, int]
"""How many events entered the control lane and the steps' lane."""


class Queue:
    """`emitted = accepted + dropped + len(queue)` holds whenever the lock is free.

    A step is appended without the lock while the queue is shorter than `_fast_below`: a deque's append cannot be interrupted.
    Threads that look at the same instant may each put in one more. The lock is reentrant, since a signal handler or finalizer
    may trace while its thread holds it. So a term of a sum is computed before the sum is read, and a lane that was not empty
    may be empty.
    """

    def __init__(
        self,
        *,
        max_events: int,
        max_bytes: int,
        wake_at: int,
        drop_reports: DropReports,
        lock: threading.RLock,
        wakeup: Wakeup,
        start_sender: Callable[[], None],
    ) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._wake_at = wake_at
        self._drop_reports = drop_reports
        self._lock = lock
        self._wakeup = wakeup
        self._start_sender = start_sender
        self._steps: deque[PendingStep] = deque()
        self._control: deque[PendingEvent] = deque()
        self._extra_bytes = 0
        """Memory of the waiting events beyond `EVENT_BYTES` each."""
        self._fast_below = 0
        """With fewer steps waiting, neither the bounds nor the sender need a look."""
        self._woken = False
        """The sender was woken for a full batch and has taken nothing since."""
        self._rejected = 0
        self._taken: Position = (0, 0)
        self._settled: Position = (0, 0)
        self._unattended = True
        self._start_tokens = [None]
        self.closed = False
        self.accepted = 0
        self.in_flight = 0

    def __len__(self) -> int:
        return self.waiting + self.in_flight

    @property
    def waiting(self) -> int:
        """Events in the two lanes."""
        return len(self._steps) + len(self._control)

    @property
    def unattended(self) -> bool:
        """Whether no thread empties this queue: then the next event has to start one."""
        return self._unattended

    @unattended.setter
    def unattended(self, unattended: bool) -> None:
        self._unattended = unattended
        self._start_tokens[:] = [None] if unattended else []
        self._update_fast_below()

    def claim_start(self) -> bool:
        """Whether the caller is to start the thread. Of several callers, one gets True."""
        try:
            self._start_tokens.pop()
        except IndexError:
            return False
        self.unattended = False
        return True

    def totals(self) -> tuple[int, int]:
        """Events that were put into this queue, and those of them that are pending, at one moment."""
        waiting = self.waiting
        return sum(self._taken) + waiting + self._rejected, waiting + self.in_flight

    def _update_fast_below(self) -> None:
        """Compute how far steps may be appended without a look: to where the sender is woken, then to the bounds."""
        if self._unattended or self.closed:
            self._fast_below = 0
            return
        room = min(self._max_events, (self._max_bytes - self._extra_bytes) // EVENT_BYTES)
        self._fast_below = (room if self._woken else min(room, self._wake_at)) - len(self._control)

    def put_step(self, step: PendingStep) -> None:
        """Queue a step, or drop it when the queue is full."""
        steps = self._steps
        metadata = step.metadata
        if len(steps) < self._fast_below and (metadata is None or len(metadata) <= COMMON_ENTRIES):
            steps.append(step)
            return
        with self._lock:
            if self.closed or not self._has_room(step):
                self._reject(step)
                return
            steps.append(step)
            self._entered(step)
        self._attend()

    def put_control(self, event: PendingEvent) -> None:
        """Queue a run start, failure or run end; steps make room for it, the newest first."""
        if len(self._steps) < self._fast_below and event.metadata is None:
            self._fast_below -= 1  # atomic: CPython switches threads at calls and jumps, and there is none
            self._control.append(event)
            return
        with self._lock:
            while not self.closed and not self._has_room(event) and self._drop_newest_step():
                pass
            if self.closed or not self._has_room(event):
                self._reject(event)
                return
            self._control.append(event)
            self._entered(event)
        self._attend()

    def _has_room(self, event: PendingEvent) -> bool:
        waiting = self.waiting + 1
        bytes_then = waiting * EVENT_BYTES + self._extra_bytes + extra_bytes(event)
        return waiting <= self._max_events and bytes_then <= self._max_bytes

    def _entered(self, event: PendingEvent) -> None:
        extra = extra_bytes(event)
        self._extra_bytes += extra
        if self.waiting > self._wake_at and not self._woken:
            self._woken = True
            self._wakeup.set()
        self._update_fast_below()

    def _attend(self) -> None:
        if self._unattended:
            self._start_sender()

    def _drop_newest_step(self) -> bool:
        """False when there is none, or none any more: a signal handler may have dropped the last one."""
        try:
            newest = self._steps.pop()
        except IndexError:
            return False
        self._rejected += 1
        extra = extra_bytes(newest)
        self._extra_bytes -= extra
        self._drop_reports.add(newest.run.run_id, DropReason.QUEUE_FULL)
        return True

    def _reject(self, event: PendingEvent) -> None:
        self._rejected += 1
        self._drop_reports.add(event.run.run_id, DropReason.EXIT if self.closed else DropReason.QUEUE_FULL)

    def take(self, limit: int) -> list[PendingEvent]:
        """Up to `limit` events, control events first; they are in flight until `accept` or `drop`."""
        with self._lock:
            control = _take_first(self._control, limit)
            steps = _take_first(self._steps, limit - len(control))
            taken: list[PendingEvent] = [*control, *steps]
            extra = sum(map(extra_bytes, taken)) if self._extra_bytes else 0
            self._extra_bytes -= extra
            self._taken = (self._taken[0] + len(control), self._taken[1] + len(steps))
            self.in_flight += len(taken)
            self._woken = self.waiting > self._wake_at
            self._update_fast_below()
            return taken

    def accept(self, count: int) -> None:
        """`count` events in flight were accepted."""
        with self._lock:
            if not self.closed:
                self.in_flight -= count
                self.accepted += count

    def drop(self, run_id: str, reason: DropReason) -> None:
        """Drop one event in flight."""
        with self._lock:
            if not self.closed:
                self.in_flight -= 1
                self._drop_reports.add(run_id, reason)

    def drop_unknown(self, count: int, reason: DropReason) -> None:
        """Drop `count` events in flight whose runs are no longer known."""
        with self._lock:
            if not self.closed:
                self.in_flight -= count
                self._drop_reports.add_unknown(count, reason)

    def settle(self) -> None:
        """Everything taken so far has been accepted or dropped."""
        with self._lock:
            self._settled = self._taken

    def position(self) -> Position:
        """The ends of the lanes now, for `is_past`."""
        with self._lock:
            return self._taken[0] + len(self._control), self._taken[1] + len(self._steps)

    def is_past(self, position: Position) -> bool:
        """Whether every event that was queued at `position` is settled."""
        with self._lock:
            # Steps that were dropped from the lane leave it shorter than it was at `position`: then empty is enough.
            reached = self._settled[0] >= position[0] and self._settled[1] >= position[1]
            return reached or len(self) == 0

    def close(self, *, kept: int = 0) -> int:
        """Take nothing more, and drop what is left but for `kept` events in flight. Returns how many were dropped."""
        with self._lock:
            if self.closed:
                return 0
            self.closed = True
            self._update_fast_below()
            kept = min(kept, self.in_flight)
            left = len(self) - kept
            for lane in (self._control, self._steps):
                while lane:
                    self._reject(lane.popleft())
            self._drop_reports.add_unknown(self.in_flight - kept, DropReason.EXIT)
            self._extra_bytes = 0
            self.in_flight = kept
            return left


def _take_first(lane: deque[_E], limit: int) -> list[_E]:
    """Up to `limit` events out of a lane."""
    taken: list[_E] = []
    while len(taken) < limit and lane:  # the lane is checked last: a signal handler may run after any call
        taken.append(lane.popleft())
    return taken
