"""The bounded queue between the agent's threads and the sender's: two lanes, and the account of every event that entered.

The reserved lane carries run starts, failures and run ends. When the queue is full the newest step detail goes first: an
arriving step is dropped, an arriving reserved event pushes the newest queued step out. No network, no thread, no clock.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from agenttracer._bell import Bell
from agenttracer._draft import Draft, StepDraft
from agenttracer._losses import Losses
from agenttracer.wire.vocabulary import DropReason

DRAFT_BYTES: Final = 640
"""Memory of a queued draft without metadata: the object with its numbers. Measured with tracemalloc, rounded up."""
ENTRY_BYTES: Final = 160
"""Memory of one metadata entry, at most: keys and labels are cut off at 64 characters before they get here."""

Position = tuple[int, int]
"""How many events entered the reserved lane and the steps' lane."""


class Queue:
    """`emitted = accepted + dropped + len(queue)` holds whenever the lock is free.

    The lock is reentrant, since a signal handler or finalizer may trace while its thread holds it.
    """

    def __init__(
        self,
        *,
        max_events: int,
        max_bytes: int,
        wake_at: int,
        losses: Losses,
        lock: threading.RLock,
        bell: Bell,
        rouse: Callable[[], None],
    ) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._wake_at = wake_at
        self._losses = losses
        self._lock = lock
        self._bell = bell
        self._rouse = rouse
        self._steps: deque[StepDraft] = deque()
        self._reserved: deque[Draft] = deque()
        self._bytes = 0
        self._taken: Position = (0, 0)
        self._settled: Position = (0, 0)
        self.unattended = True
        """No thread empties this queue: whoever puts something in has to rouse one."""
        self.closed = False
        self.emitted = 0
        self.accepted = 0
        self.in_flight = 0

    def __len__(self) -> int:
        return len(self._steps) + len(self._reserved) + self.in_flight

    @property
    def waiting(self) -> int:
        """Events in the two lanes."""
        return len(self._steps) + len(self._reserved)

    def detail(self, draft: StepDraft) -> None:
        """Queue a step, or drop it when the queue is full."""
        metadata = draft.metadata
        size = DRAFT_BYTES if metadata is None else DRAFT_BYTES + ENTRY_BYTES * len(metadata)
        with self._lock:
            self.emitted += 1
            steps = self._steps
            waiting = len(steps) + len(self._reserved)
            if waiting >= self._max_events or self._bytes + size > self._max_bytes or self.closed:
                self._refuse(draft)
                return
            steps.append(draft)
            self._bytes += size
        if waiting == self._wake_at:
            self._bell.ring()
        if self.unattended:
            self._rouse()

    def reserved(self, draft: Draft) -> None:
        """Queue a run start, failure or run end; steps make room for it, the newest first."""
        size = _size(draft)
        with self._lock:
            self.emitted += 1
            while self._is_full(size) and self._steps and not self.closed:
                self._push_out()
            if self.closed or self._is_full(size):
                self._refuse(draft)
                return
            self._reserved.append(draft)
            self._bytes += size
            waiting = self.waiting
        if waiting == self._wake_at:
            self._bell.ring()
        if self.unattended:
            self._rouse()

    def _is_full(self, size: int) -> bool:
        return self.waiting >= self._max_events or self._bytes + size > self._max_bytes

    def _push_out(self) -> None:
        newest = self._steps.pop()
        size = _size(newest)
        self._bytes -= size  # computed before: a signal handler that traces may run inside the call
        self._losses.add(newest.run.run_id, DropReason.QUEUE_FULL)

    def _refuse(self, draft: Draft) -> None:
        self._losses.add(draft.run.run_id, DropReason.EXIT if self.closed else DropReason.QUEUE_FULL)

    def take(self, limit: int) -> list[Draft]:
        """Up to `limit` drafts, reserved ones first; they are in flight until `accept` or `drop`."""
        with self._lock:
            reserved = [self._reserved.popleft() for _ in range(min(limit, len(self._reserved)))]
            steps = [self._steps.popleft() for _ in range(min(limit - len(reserved), len(self._steps)))]
            taken: list[Draft] = [*reserved, *steps]
            size = sum(map(_size, taken))
            self._bytes -= size
            self._taken = (self._taken[0] + len(reserved), self._taken[1] + len(steps))
            self.in_flight += len(taken)
            return taken

    def accept(self, count: int) -> None:
        """`count` events in flight have arrived."""
        with self._lock:
            if not self.closed:
                self.in_flight -= count
                self.accepted += count

    def drop(self, run_id: str, reason: DropReason) -> None:
        """One event in flight is given up."""
        with self._lock:
            if not self.closed:
                self.in_flight -= 1
                self._losses.add(run_id, reason)

    def lose(self, count: int, reason: DropReason) -> None:
        """`count` events in flight are given up, nobody knows of which runs."""
        with self._lock:
            if not self.closed:
                self.in_flight -= count
                self._losses.add_unknown(count, reason)

    def settle(self) -> None:
        """Everything taken so far has been accepted or dropped."""
        with self._lock:
            self._settled = self._taken

    def position(self) -> Position:
        """Where the ends of the lanes are now, for `is_past`."""
        with self._lock:
            return self._taken[0] + len(self._reserved), self._taken[1] + len(self._steps)

    def is_past(self, position: Position) -> bool:
        """Whether every event that was queued at `position` is settled."""
        with self._lock:
            # Steps that were pushed out leave the lane shorter than it was at `position`: then empty is enough.
            reached = self._settled[0] >= position[0] and self._settled[1] >= position[1]
            return reached or len(self) == 0

    def close(self, *, kept: int = 0) -> int:
        """Take nothing more, and give up what is left but for `kept` events in flight; the answer is how many were given up."""
        with self._lock:
            if self.closed:
                return 0
            self.closed = True
            kept = min(kept, self.in_flight)
            left = len(self) - kept
            for draft in (*self._reserved, *self._steps):
                self._losses.add(draft.run.run_id, DropReason.EXIT)
            self._losses.add_unknown(self.in_flight - kept, DropReason.EXIT)
            self._reserved.clear()
            self._steps.clear()
            self._bytes = 0
            self.in_flight = kept
            return left


def _size(draft: Draft) -> int:
    metadata = getattr(draft, "metadata", None)
    return DRAFT_BYTES + ENTRY_BYTES * len(metadata) if metadata else DRAFT_BYTES
