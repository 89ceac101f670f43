"""Event sinks: where a run puts its events, and the memory that a waiting event is charged for."""

from typing import Final, Protocol

from agenttracer._events.pending_event import PendingEvent, PendingStep

ENTRY_BYTES: Final = 160
"""Memory of one metadata entry, at most: keys and labels are cut off at 64 characters before they get here."""
COMMON_ENTRIES: Final = 6
"""Metadata entries that every event is charged for, whether it has them or not: then most events need not be measured."""
EVENT_BYTES: Final = 640 + COMMON_ENTRIES * ENTRY_BYTES
"""Memory of a pending event, at most: the object with its numbers (measured with tracemalloc, rounded up) and its metadata."""


class EventSink(Protocol):
    """Takes the events of runs: the queue, the buffer of a run that is not sampled, or a list in a test."""

    def put_step(self, step: PendingStep) -> None:
        """Take a step. Never blocks, never raises."""

    def put_control(self, event: PendingEvent) -> None:
        """Take a run start, failure or run end. Never blocks, never raises."""


class NullSink:
    """Discards every event. The sink of a disabled tracer."""

    def put_step(self, step: PendingStep) -> None:
        """Discard a step."""

    def put_control(self, event: PendingEvent) -> None:
        """Discard any other event."""


def size_of(event: PendingEvent) -> int:
    """Bytes of memory that a pending event is charged for."""
    return EVENT_BYTES + extra_bytes(event)


def extra_bytes(event: PendingEvent) -> int:
    """The part of `size_of` beyond `EVENT_BYTES`."""
    metadata = getattr(event, "metadata", None)
    return ENTRY_BYTES * max(0, len(metadata) - COMMON_ENTRIES) if metadata else 0
