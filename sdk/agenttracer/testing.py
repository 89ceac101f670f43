"""For the tests of agents: collects the events that would be sent. The SDK itself imports nothing from here."""

from collections.abc import Iterator
from contextlib import contextmanager

from agenttracer._events.pending_event import PendingEvent, PendingStep
from agenttracer._events.sanitize import Sanitizer
from agenttracer._export import process_lifecycle
from agenttracer.wire.events import Event


class _CapturingSink:
    """An event sink that builds each event at once, on the agent's thread."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._sanitizer = Sanitizer(lambda _rule: None)

    def put_step(self, step: PendingStep) -> None:
        """Keep a step."""
        self.events.append(step.build(self._sanitizer))

    def put_control(self, event: PendingEvent) -> None:
        """Keep any other event."""
        self.events.append(event.build(self._sanitizer))


@contextmanager
def capture_events() -> Iterator[list[Event]]:
    """Collect the events of all tracers in the list it yields, as objects of `agenttracer.wire.events`, and send none.

    A step is there as soon as its block is left. Events that were queued before the block are sent as usual.
    """
    sink = _CapturingSink()
    outer = process_lifecycle.captured_sink
    process_lifecycle.capture(sink)
    try:
        yield sink.events
    finally:
        process_lifecycle.capture(outer)
