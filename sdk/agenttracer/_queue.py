"""The bounded queue between the agent's threads and the sender's: two lanes, and the account of every event that entered.

The reserved lane carries run starts, failures and run ends. When the queue is full the newest step detail goes first: an
arriving step is dropped, an arriving reserved event pushes the newest queued step out. No network, no thread, no clock.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from agenttracer._draft import Draft, StepDraft
from agenttracer._losses import Losses
from agenttracer._patience import Bell
from agenttracer.wire.vocabulary import DropReason

ENTRY_BYTES: Final = 160
"""Memory of one metadata entry, at most: keys and labels are cut off at 64 characters before they get here."""
COMMON_ENTRIES: Final = 6
"""Metadata entries that every draft is charged for, whether it has them or not: then a draft need not be measured."""
DRAFT_BYTES: Final = 640 + COMMON_ENTRIES * ENTRY_BYTES
"""Memory of a queued draft, at most: the object with its numbers (measured with tracemalloc, rounded up) and its metadata."""

_D = TypeVar("_D")
Position = tuple[int, int]
"""How many events entered the reserved lane and the steps' lane."""


class Outlet(Protocol):
    """The queue, a capture for tests, or nowhere."""

    def detail(self, draft: StepDraft) -> None:
        """Take a step. Never blocks, never raises."""

    def reserved(self, draft: Draft) -> None:
        """Take anything else. Never blocks, never raises."""


class Nowhere:
    """Forgets everything."""

    def detail(self, draft: StepDraft) -> None:
        """Forget a step."""

    def reserved(self, draft: Draft) -> None:
        """Forget anything else."""


class Queue:
    """`emitted = accepted + dropped + len(queue)` holds whenever the lock is free.

    A step is appended without the lock as long as nothing has to be looked at, which `_free_below` says: a deque's append
    cannot be interrupted. Threads that ask at the same instant may each put in one more. The lock is reentrant, since a signal
    handler or finalizer may trace while its thread holds it: so what is computed for a sum is computed before the sum is read,
    and a lane that was not empty may be.
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
        self._extra_bytes = 0
        """What the waiting drafts take beyond `DRAFT_BYTES` each."""
        self._free_below = 0
        """With fewer steps waiting, neither a bound nor the sender has to be thought of."""
        self._woken = False
        """The bell was rung for a full batch, and nothing was taken since."""
        self._turned_away = 0
        self._taken: Position = (0, 0)
        self._settled: Position = (0, 0)
        self._unattended = True
        self._vacancy = [None]
        self.closed = False
        self.accepted = 0
        self.in_flight = 0

    def __len__(self) -> int:
        return self.waiting + self.in_flight

    @property
    def waiting(self) -> int:
        """Events in the two lanes."""
        return len(self._steps) + len(self._reserved)

    @property
    def unattended(self) -> bool:
        """No thread empties this queue: whoever puts something in has to rouse one."""
        return self._unattended

    @unattended.setter
    def unattended(self, unattended: bool) -> None:
        self._unattended = unattended
        self._vacancy[:] = [None] if unattended else []
        self._look_ahead()

    def claim(self) -> bool:
        """Whether the caller is to start the thread: of all who ask, one."""
        try:
            self._vacancy.pop()
        except IndexError:
            return False
        self.unattended = False
        return True

    def account(self) -> tuple[int, int]:
        """Events that were given to this queue, and those of them that are pending, of one moment."""
        waiting = self.waiting
        return sum(self._taken) + waiting + self._turned_away, waiting + self.in_flight

    def _look_ahead(self) -> None:
        """Find anew how far steps may be appended without a look: to where the sender is woken, then to the bounds."""
        if self._unattended or self.closed:
            self._free_below = 0
            return
        room = min(self._max_events, (self._max_bytes - self._extra_bytes) // DRAFT_BYTES)
        self._free_below = (room if self._woken else min(room, self._wake_at)) - len(self._reserved)

    def detail(self, draft: StepDraft) -> None:
        """Queue a step, or drop it when the queue is full."""
        steps, metadata = self._steps, draft.metadata
        if len(steps) < self._free_below and (metadata is None or len(metadata) <= COMMON_ENTRIES):
            steps.append(draft)
            return
        with self._lock:
            if self.closed or not self._has_room(draft):
                self._refuse(draft)
                return
            steps.append(draft)
            self._entered(draft)
        self._wake()

    def reserved(self, draft: Draft) -> None:
        """Queue a run start, failure or run end; steps make room for it, the newest first."""
        if len(self._steps) < self._free_below and draft.metadata is None:
            self._free_below -= 1  # in one go: CPython changes threads at calls and jumps, and there is none
            self._reserved.append(draft)
            return
        with self._lock:
            while not self.closed and not self._has_room(draft) and self._push_out():
                pass
            if self.closed or not self._has_room(draft):
                self._refuse(draft)
                return
            self._reserved.append(draft)
            self._entered(draft)
        self._wake()

    def _has_room(self, draft: Draft) -> bool:
        waiting = self.waiting + 1
        bytes_then = waiting * DRAFT_BYTES + self._extra_bytes + _extra_bytes(draft)
        return waiting <= self._max_events and bytes_then <= self._max_bytes

    def _entered(self, draft: Draft) -> None:
        extra_bytes = _extra_bytes(draft)
        self._extra_bytes += extra_bytes
        if self.waiting > self._wake_at and not self._woken:
            self._woken = True
            self._bell.ring()
        self._look_ahead()

    def _wake(self) -> None:
        if self._unattended:
            self._rouse()

    def _push_out(self) -> bool:
        """Give up the newest step; False when there is none, any more: a signal's handler may have pushed out the last one."""
        try:
            newest = self._steps.pop()
        except IndexError:
            return False
        self._turned_away += 1
        extra_bytes = _extra_bytes(newest)
        self._extra_bytes -= extra_bytes
        self._losses.add(newest.run.run_id, DropReason.QUEUE_FULL)
        return True

    def _refuse(self, draft: Draft) -> None:
        self._turned_away += 1
        self._losses.add(draft.run.run_id, DropReason.EXIT if self.closed else DropReason.QUEUE_FULL)

    def take(self, limit: int) -> list[Draft]:
        """Up to `limit` drafts, reserved ones first; they are in flight until `accept` or `drop`."""
        with self._lock:
            reserved = _first(self._reserved, limit)
            steps = _first(self._steps, limit - len(reserved))
            taken: list[Draft] = [*reserved, *steps]
            extra_bytes = sum(map(_extra_bytes, taken)) if self._extra_bytes else 0
            self._extra_bytes -= extra_bytes
            self._taken = (self._taken[0] + len(reserved), self._taken[1] + len(steps))
            self.in_flight += len(taken)
            self._woken = self.waiting > self._wake_at
            self._look_ahead()
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
            self._look_ahead()
            kept = min(kept, self.in_flight)
            left = len(self) - kept
            for lane in (self._reserved, self._steps):
                while lane:
                    self._refuse(lane.popleft())
            self._losses.add_unknown(self.in_flight - kept, DropReason.EXIT)
            self._extra_bytes = 0
            self.in_flight = kept
            return left


def _first(lane: deque[_D], limit: int) -> list[_D]:
    """Up to `limit` drafts out of a lane."""
    taken: list[_D] = []
    while len(taken) < limit and lane:  # the lane last: a handler may come after any call, and none is between look and take
        taken.append(lane.popleft())
    return taken


def size_of(draft: Draft) -> int:
    """Bytes of memory that a queued draft is charged for."""
    return DRAFT_BYTES + _extra_bytes(draft)


def _extra_bytes(draft: Draft) -> int:
    metadata = getattr(draft, "metadata", None)
    return ENTRY_BYTES * max(0, len(metadata) - COMMON_ENTRIES) if metadata else 0
