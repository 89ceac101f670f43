"""Takes events from the queue, encodes them, and writes them to the spool if there is one."""

from collections.abc import Sequence
from time import sleep
from typing import TYPE_CHECKING, Final

from agenttracer._clock import now
from agenttracer._events.encode import EncodedEvent, encode_event
from agenttracer._events.pending_event import PendingEvent
from agenttracer._events.sanitize import Sanitizer
from agenttracer._export.counters import Counters
from agenttracer._export.queue import Queue
from agenttracer.wire.vocabulary import DropReason

if TYPE_CHECKING:
    from agenttracer._spool.spool import Spool  # loaded only by tracers with a spool

_YIELD_EVERY: Final = 8
"""Events encoded before other threads get the interpreter: about a tenth of a millisecond, against its own 5."""


class QueueReader:
    """Used by the sender's thread. `move_to_spool` may also be called by the thread that ends the process."""

    def __init__(
        self, *, queue: Queue, spool: "Spool | None", sanitizer: Sanitizer, counters: Counters, batch_max_events: int
    ) -> None:
        self._queue = queue
        self._spool = spool
        self._sanitizer = sanitizer
        self._counters = counters
        self._batch_max_events = batch_max_events
        self._unspooled: list[EncodedEvent] = []
        """Taken from the queue, and neither in the spool nor in a batch."""

    @property
    def has_unspooled(self) -> bool:
        """Whether there are events for `hand_over`."""
        return bool(self._unspooled)

    def hand_over(self) -> list[EncodedEvent]:
        """The events that the spool did not take. The caller delivers them."""
        events, self._unspooled = self._unspooled, []
        return events

    def take_batch(self) -> int:
        """Take one batch from the queue, into the spool if there is one. Returns its number of events."""
        taken = self._queue.take(self._batch_max_events)
        events = self._encode(taken)
        self._unspooled += events if self._spool is None else self._spool.append(events)
        return len(taken)

    def move_to_spool(self, by: float | None = None) -> None:
        """Move the waiting events to the spool, while it has room, until `by` (of `now`)."""
        spool = self._spool
        while spool is not None and self._queue.waiting and not self._unspooled and spool.hold(by):
            try:
                if not spool.has_room:
                    return
                self.take_batch()
            finally:
                spool.release()
            if by is not None and now() >= by:
                return

    def _encode(self, taken: Sequence[PendingEvent]) -> list[EncodedEvent]:
        encoded: list[EncodedEvent] = []
        for number, event in enumerate(taken, start=1):
            try:
                encoded.append(encode_event(event.build(self._sanitizer)))
            except Exception:  # noqa: BLE001 - one event that cannot be built must not cost the others
                self._counters.internal_error()
                self._queue.drop(event.run.run_id, DropReason.INTERNAL)
            if number % _YIELD_EVERY == 0:
                sleep(0)
        return encoded
