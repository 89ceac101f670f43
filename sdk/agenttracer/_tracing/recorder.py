"""The small view that runs and steps have of their tracer's pipeline, and the pipeline of them. Types only."""

import threading
from typing import TYPE_CHECKING, Protocol

from agenttracer._events.pending_event import PendingEvent, PendingRunEnd
from agenttracer._events.sanitize import Sanitizer
from agenttracer._events.sink import EventSink
from agenttracer._events.traceparent import Origin

if TYPE_CHECKING:
    import weakref


class RunBuffer(EventSink, Protocol):
    """Keeps the events of a run that is not sampled until the run's end decides whether they are sent."""

    def end(self, end: PendingRunEnd, sink: EventSink) -> bool:
        """Take the run's end; true if the run is sent after all: then its events are in `sink`."""

    def abandon(self) -> None:
        """Forget the events uncounted. For a forked child: they are the parent's."""


class OpenRun(PendingEvent, Protocol):
    """A run that has not ended. As a pending event it is its own start."""

    started_ns: int
    origin: Origin | None
    tail_buffer: RunBuffer | None
    """Set by the recorder for a run that is not sampled."""
    reference: "weakref.ref[OpenRun]"
    """Set by the recorder, which must not keep the run alive."""

    @property
    def run_id(self) -> str:
        """The id of the run."""

    @property
    def sink(self) -> EventSink:
        """Where the run's events go now."""

    def at_us(self, moment_ns: int) -> int:
        """Unix time in microseconds at a reading of the monotonic clock."""

    def end_at_exit(self) -> None:
        """End as `exited`: the process ends, and nobody has ended the run."""

    def reset_after_fork(self) -> None:
        """Restart the counts of events and step ids, as those of another producer."""


class Recorder(Protocol):
    """Takes the events of runs. The tracer's pipeline is one."""

    lock: threading.RLock
    sanitizer: Sanitizer
    sink: EventSink
    strict: bool
    abandon_after_s: int | None
    fingerprint_key: bytes | None
    read_errors: bool
    """Whether texts are read for the code of an error."""

    def run_started(self, run: OpenRun) -> None:
        """A run started."""

    def run_ended(self, run: OpenRun, end: PendingRunEnd) -> None:
        """A run ended. Called once per run."""

    def guard(self, error: Exception, *, quietly: bool = False) -> None:
        """Count an error of the SDK; raise it when strict, unless `quietly`."""
