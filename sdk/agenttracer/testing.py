"""For the tests of agents: look at what would be sent. Nothing here is imported by the SDK itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from agenttracer import _lifecycle
from agenttracer._draft import Draft, StepDraft
from agenttracer._fit import Fit
from agenttracer.wire.events import Event


class _Capture:
    """An outlet that builds each event at once, on the agent's thread."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._fit = Fit(lambda _rule: None)

    def detail(self, draft: StepDraft) -> None:
        """Keep a step."""
        self.events.append(draft.event(self._fit))

    def reserved(self, draft: Draft) -> None:
        """Keep anything else."""
        self.events.append(draft.event(self._fit))


@contextmanager
def capture_events() -> Iterator[list[Event]]:
    """Collect the events of all tracers in the list it yields, as objects of `agenttracer.wire.events`, and send none.

    A step is there as soon as its block is left. Events that were queued before the block are sent as usual.
    """
    capture = _Capture()
    outer = _lifecycle.captured
    _lifecycle.capture(capture)
    try:
        yield capture.events
    finally:
        _lifecycle.capture(outer)
