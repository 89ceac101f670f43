"""The sender: the background thread that empties the queue into batches. How a batch is delivered is the courier's business."""

from collections.abc import Sequence
from time import sleep
from typing import Final

from agenttracer._batch import Parcel, packed, parcel_of
from agenttracer._counters import Counters
from agenttracer._courier import Courier, Lot
from agenttracer._draft import Draft
from agenttracer._fit import Fit
from agenttracer._handover import Handover
from agenttracer._heartbeat import OpenRuns
from agenttracer._losses import Losses
from agenttracer._patience import Bell, Patience, now
from agenttracer._queue import Position, Queue
from agenttracer.wire.vocabulary import DropReason

_REPORTS_MAX: Final = 500
"""Drop reports that ride on one batch."""
_YIELD_EVERY: Final = 8
"""Events encoded before other threads are let in: about a tenth of a millisecond, against the interpreter's own 5."""


class Sender:
    """`run` is the thread; `wait_past` is for the threads of the agent."""

    def __init__(
        self,
        *,
        queue: Queue,
        losses: Losses,
        open_runs: OpenRuns,
        courier: Courier,
        handover: Handover | None,
        producer: bytes,
        patience: Patience,
        counters: Counters,
        fit: Fit,
        flush_interval_s: float,
        batch_max_events: int,
    ) -> None:
        self._queue = queue
        self._losses = losses
        self._open_runs = open_runs
        self._courier = courier
        self._handover = handover
        self._producer = producer
        self._patience = patience
        self._counters = counters
        self._fit = fit
        self._wake_every_s = min(flush_interval_s, open_runs._interval_s)  # noqa: SLF001 - heartbeats wait for no flush
        self._batch_max_events = batch_max_events
        self._rest: list[Parcel] = []
        """Taken from the queue, and neither in the spool nor in the courier's hands."""
        if handover is not None:
            patience.meanwhile = self.spill
            patience.meanwhile_every_s = flush_interval_s

    def run(self) -> None:
        """Send until stopped. What goes wrong inside is counted; the thread goes on."""
        try:
            while True:
                self._attend()
                if self._patience.stopping:
                    return
                self._patience.bell.wait(self._wake_every_s)
        finally:
            self._queue.unattended = True
            self._courier.close()

    def wait_past(self, position: Position, *, timeout_s: float) -> bool:
        """Hurry, and wait until everything queued at `position` is settled and drops are reported.

        False when it took too long or cannot be.
        """
        deadline = now() + timeout_s
        settled = Bell()
        self._patience.listeners.append(settled)
        try:
            self._patience.bell.ring()
            while not (self._queue.is_past(position) and self._losses.all_told):
                left_s = deadline - now()
                if left_s <= 0 or self._courier.paused or self._queue.closed:
                    return False
                settled.wait(left_s)
            return True
        finally:
            self._patience.listeners.remove(settled)

    def _attend(self) -> None:
        """Send what is there: everything when hurried, else until less than a batch is left for the next interval."""
        goes_on = not self._courier.paused
        if not goes_on:
            self.spill()
        while goes_on:
            try:
                goes_on = self._round()
            except Exception:  # noqa: BLE001 - the thread must survive whatever it meets
                self._counters.internal_error()
                goes_on = False
            for listener in list(self._patience.listeners):
                listener.ring()

    def _round(self) -> bool:
        """Send one batch. Whether another should follow at once."""
        if not self._courier.finish():  # what a thread that died had in hand
            return False
        busy = self._take() > 0
        handover = self._handover
        if handover is not None and not handover.deliver():
            return False
        beats = map(parcel_of, self._open_runs.due())
        reports = map(parcel_of, self._losses.reports(limit=_REPORTS_MAX))
        parcels, self._rest = [*self._rest, *beats, *reports], []
        if not self._courier.deliver(*self._lots(parcels)):
            return False
        left_behind = handover is not None and handover.adopt()
        more = self._settle()
        hurried = self._patience.hurried and (more > 0 or busy or bool(parcels))
        return not self._courier.paused and (more >= self._batch_max_events or hurried or left_behind)

    def _take(self) -> int:
        """Take one batch from the queue, into the spool if there is one. How many events it had."""
        drafts = self._queue.take(self._batch_max_events)
        parcels = self._parcels(drafts)
        self._rest += parcels if self._handover is None else self._handover.keep(parcels)
        return len(drafts)

    def spill(self, by: float | None = None) -> None:
        """Move what waits in the queue to the spool, as long as that takes it, until `by` (of `now`)."""
        spool = None if self._handover is None else self._handover.spool
        while spool is not None and self._queue.waiting and not self._rest and spool.hold(by):
            try:
                if not spool.has_room:
                    return
                self._take()
            finally:
                spool.let_go()
            if by is not None and now() >= by:
                return

    def _settle(self) -> int:
        """Say that everything taken is accounted for, if it is. How many events are left to send."""
        spooled = 0 if self._handover is None else self._handover.spool.events
        if not spooled and not self._rest:
            self._queue.settle()
        return 0 if self._queue.closed else self._queue.waiting + spooled

    def _lots(self, parcels: Sequence[Parcel]) -> list[Lot]:
        lots = packed(parcels, max_events=self._batch_max_events + _REPORTS_MAX)
        return [Lot(parcels=lot, producer=self._producer, account=self._queue) for lot in lots]

    def _parcels(self, drafts: Sequence[Draft]) -> list[Parcel]:
        parcels: list[Parcel] = []
        for number, draft in enumerate(drafts, start=1):
            try:
                parcels.append(parcel_of(draft.event(self._fit)))
            except Exception:  # noqa: BLE001 - one event that cannot be built must not cost the others
                self._counters.internal_error()
                self._queue.drop(draft.run.run_id, DropReason.INTERNAL)
            if number % _YIELD_EVERY == 0:
                sleep(0)
        return parcels
