"""Delivery from the spool: this process's events first, then those that dead processes left behind."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from agenttracer._export.delivery import Delivery, SendBatch
from agenttracer._export.queue import Queue
from agenttracer._spool.recovery import Recovery
from agenttracer._spool.spool import Spool
from agenttracer.wire.vocabulary import DropReason

if TYPE_CHECKING:
    from agenttracer._spool.recovery import RecoveredBatch


class RecoveredEvents:
    """Counts events that dead processes left behind. They were emitted there, and are in no other figure of this process."""

    def __init__(self) -> None:
        self.accepted = 0
        self.lost = 0

    def accept(self, count: int) -> None:
        """`count` of them were accepted."""
        self.accepted += count

    def drop(self, _run_id: str, _reason: DropReason) -> None:
        """One of them is dropped."""
        self.lost += 1


_ROUNDS_MAX: Final = 1_000
"""Batches of own events before a batch of recovered ones."""


class SpoolDelivery:
    """Used by the sender's thread; `close` and the counts also by the agent's threads."""

    def __init__(
        self, *, spool: Spool, queue: Queue, delivery: Delivery, producer: Callable[[], bytes], batch_max_events: int
    ) -> None:
        self.recovered = RecoveredEvents()
        self._spool = spool
        self._directory = spool.directory
        self._recovery = Recovery(spool.directory)
        self._queue = queue
        self._delivery = delivery
        self._producer = producer
        self._batch_max_events = batch_max_events
        self._batch: RecoveredBatch | None = None

    @property
    def events(self) -> int:
        """Events of this process on disk that are not settled."""
        return self._spool.events

    @property
    def failures(self) -> int:
        """Errors of the disk."""
        return self._directory.failures

    def deliver(self) -> bool:
        """Deliver the events that this process spooled, oldest first.

        False if the end of the process, or a pause, came first.
        """
        for _ in range(_ROUNDS_MAX):
            self._spool.done()
            events = self._spool.next_batch(max_events=self._batch_max_events)
            unreadable = self._spool.take_unreadable()
            if unreadable:
                self._queue.drop_unknown(unreadable, DropReason.INTERNAL)
            if events is None:
                return True
            if not self._delivery.deliver(SendBatch(events=events, producer=self._producer(), account=self._queue, kept=True)):
                return False
        return True

    def deliver_recovered(self) -> bool:
        """Deliver one batch that a dead process left behind. True if there may be more."""
        if self._batch is not None:
            self._recovery.done(self._batch)
        self._batch = self._recovery.next_batch(max_events=self._batch_max_events)
        if self._batch is None:
            return False
        producer, events, _, damaged = self._batch
        self.recovered.lost += damaged
        batch = SendBatch(events=events, producer=producer, account=self.recovered, kept=True)
        if events and not self._delivery.deliver(batch):
            return False
        self._recovery.done(self._batch)
        self._batch = None
        return True

    def close(self, by: float) -> int:
        """Leave the events that are not settled to a later process. Returns how many of this process's they are.

        The disk may be slow: after `by` (of `now`) the files stay open, and the system unlocks them at the end of the process.
        """
        self._directory.closed = True
        if not self._directory.hold(by):
            return self._spool.events
        try:
            self._recovery.close()
            return self._spool.close()
        finally:
            self._directory.release()

    def disown(self) -> None:
        """In a forked child: every segment is the parent's. Takes no lock, since a thread of the parent may hold it."""
        self._spool.disown()
        self._recovery.close()
