"""From queue to spool, and from spool to courier: what the sender does besides when events are kept on disk."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from agenttracer._batch import Parcel
from agenttracer._courier import Courier, Lot
from agenttracer._queue import Queue
from agenttracer._spool import Spool
from agenttracer.wire.vocabulary import DropReason

if TYPE_CHECKING:
    from agenttracer._adoption import Adopted


class Legacy:
    """The account of events that dead processes left behind. They were emitted there, and are in no figure of this process."""

    def __init__(self) -> None:
        self.accepted = 0
        self.lost = 0

    def accept(self, count: int) -> None:
        """`count` of them have arrived."""
        self.accepted += count

    def drop(self, _run_id: str, _reason: DropReason) -> None:
        """One of them is given up."""
        self.lost += 1


_ROUNDS_MAX: Final = 1_000
"""Batches of own events before the dead have a turn."""


class Handover:
    """Used by the sender's thread, apart from `keep`, which the thread that ends the process may call as well."""

    def __init__(self, *, spool: Spool, queue: Queue, courier: Courier, producer: bytes, batch_max_events: int) -> None:
        self.spool = spool
        self.legacy = Legacy()
        self._queue = queue
        self._courier = courier
        self._producer = producer
        self._batch_max_events = batch_max_events
        self._adopted: Adopted | None = None
        spool.recipient = courier.recipient

    def keep(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Write events to the spool; the answer is those that it did not take."""
        return self.spool.append(parcels)

    def deliver(self) -> bool:
        """Deliver what this process spooled, oldest first. False when the end of the process, or a pause, came first."""
        for _ in range(_ROUNDS_MAX):
            self.spool.done()
            parcels = self.spool.next_lot(max_events=self._batch_max_events)
            unreadable = self.spool.take_unreadable()
            if unreadable:
                self._queue.lose(unreadable, DropReason.INTERNAL)
            if parcels is None:
                return True
            if not self._courier.deliver(Lot(parcels=parcels, producer=self._producer, account=self._queue, kept=True)):
                return False
        return True

    def adopt(self) -> bool:
        """Deliver one batch that a dead process left behind. Whether there may be more."""
        if self._adopted is not None:
            self.spool.adopted_done(self._adopted)
        self._adopted = self.spool.adopt(max_events=self._batch_max_events)
        if self._adopted is None:
            return False
        _, parcels, _, damaged = self._adopted
        self.legacy.lost += damaged
        lot = Lot(parcels=parcels, producer=self._adopted.producer, account=self.legacy, kept=True)
        if parcels and not self._courier.deliver(lot):
            return False
        self.spool.adopted_done(self._adopted)
        self._adopted = None
        return True
