"""The sender: the background thread that sends the queue's events, with heartbeats and drop reports, batch by batch."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from agenttracer._clock import now
from agenttracer._events.encode import EncodedEvent, encode_event, split_into_bodies
from agenttracer._events.sanitize import load_rules
from agenttracer._export.counters import Counters
from agenttracer._export.delivery import Delivery, SendBatch
from agenttracer._export.drop_reports import DropReports
from agenttracer._export.heartbeat import OpenRuns
from agenttracer._export.queue import Position, Queue
from agenttracer._export.queue_reader import QueueReader
from agenttracer._export.waiting import Waiter, Wakeup

if TYPE_CHECKING:
    from agenttracer._export.spool_delivery import SpoolDelivery  # loaded only by tracers with a spool

_REPORTS_MAX: Final = 500
"""Drop reports that are added to one batch."""


class Sender:
    """`run` is the thread; `wait_past` is for the threads of the agent."""

    def __init__(
        self,
        *,
        queue: Queue,
        reader: QueueReader,
        drop_reports: DropReports,
        open_runs: OpenRuns,
        delivery: Delivery,
        spool_delivery: "SpoolDelivery | None",
        producer: Callable[[], bytes],
        waiter: Waiter,
        counters: Counters,
        flush_interval_s: float,
        batch_max_events: int,
    ) -> None:
        self._queue = queue
        self._reader = reader
        self._drop_reports = drop_reports
        self._open_runs = open_runs
        self._delivery = delivery
        self._spool_delivery = spool_delivery
        self._producer = producer
        self._waiter = waiter
        self._counters = counters
        self._wake_every_s = min(flush_interval_s, open_runs.interval_s)  # heartbeats wait for no flush
        self._batch_max_events = batch_max_events

    def run(self) -> None:
        """Send until stopped. Errors are counted; the thread goes on."""
        try:
            load_rules()
            while True:
                self._send_waiting()
                if self._waiter.stopping:
                    return
                self._waiter.wakeup.wait(self._wake_every_s)
        finally:
            self._queue.unattended = True
            self._delivery.close()

    def wait_past(self, position: Position, *, timeout_s: float) -> bool:
        """Hurry, and wait until everything queued at `position` is settled and drops are reported.

        False when it took too long, or when the gateway refuses the API key.
        """
        deadline = now() + timeout_s
        settled = Wakeup()
        self._waiter.listeners.append(settled)
        try:
            self._waiter.wakeup.set()
            while not (self._queue.is_past(position) and self._drop_reports.all_reported):
                left_s = deadline - now()
                if left_s <= 0 or self._delivery.paused or self._queue.closed:
                    return False
                settled.wait(left_s)
            return True
        finally:
            self._waiter.listeners.remove(settled)

    def _send_waiting(self) -> None:
        """Send everything when hurried, else until less than a batch is left for the next interval."""
        goes_on = not self._delivery.paused
        if not goes_on:
            self._reader.move_to_spool()
        while goes_on:
            try:
                goes_on = self._send_batch()
            except Exception:  # noqa: BLE001 - the thread must survive every error
                self._counters.internal_error()
                goes_on = False
            for listener in list(self._waiter.listeners):
                listener.set()

    def _send_batch(self) -> bool:
        """Send one batch. True if another should follow at once."""
        if not self._delivery.finish():  # batches that a thread that died left open
            return False
        busy = self._reader.take_batch() > 0
        spool_delivery = self._spool_delivery
        if spool_delivery is not None and not spool_delivery.deliver():
            return False
        beats = map(encode_event, self._open_runs.due())
        reports = map(encode_event, self._drop_reports.take(limit=_REPORTS_MAX))
        added = [*beats, *reports]
        events = [*self._reader.hand_over(), *added]
        if not self._delivery.deliver(*self._batches(events)):
            return False
        more_recovered = spool_delivery is not None and spool_delivery.deliver_recovered()
        left = self._settle()
        hurried = self._waiter.hurried and (left > 0 or busy or bool(events))
        return not self._delivery.paused and (left >= self._batch_max_events or hurried or more_recovered)

    def _settle(self) -> int:
        """Settle everything taken if it is accepted or dropped. Returns how many events are left to send."""
        spooled = 0 if self._spool_delivery is None else self._spool_delivery.events
        if not spooled and not self._reader.has_unspooled:
            self._queue.settle()
        return 0 if self._queue.closed else self._queue.waiting + spooled

    def _batches(self, events: Sequence[EncodedEvent]) -> list[SendBatch]:
        bodies = split_into_bodies(events, max_events=self._batch_max_events + _REPORTS_MAX)
        return [SendBatch(events=body, producer=self._producer(), account=self._queue) for body in bodies]
