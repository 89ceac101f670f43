"""A run without the calls of the agent, which `Run` adds: its ids, clocks, counters and errors. Steps see only this.

`TraceScope` is what runs and steps have in common: code can be in either.
"""

import os
from contextvars import Token
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, Self, cast

from agenttracer._events.pending_event import PendingRunEnd, RunHead
from agenttracer._ids import RUN_BITS, random_bits, run_value, step_id, uuid_text
from agenttracer._tracing.error_history import ErrorHistory
from agenttracer.errors import UsageError
from agenttracer.wire.vocabulary import EndReason, RunEnd

if TYPE_CHECKING:
    import weakref

    from agenttracer._events.pending_event import PendingFailure
    from agenttracer._events.sanitize import Sanitizer
    from agenttracer._events.sink import EventSink
    from agenttracer._events.traceparent import Origin
    from agenttracer._tracing.recorder import OpenRun, Recorder, RunBuffer
    from agenttracer.wire.events import RunStarted
    from agenttracer.wire.metadata import MetadataValue

_STRIDE: Final = 0x9E37_79B9_7F4A_7C15
"""Odd, so that the ids of a run's first 2^64 steps all differ: 2^64 divided by the golden ratio."""
_64_BITS: Final = (1 << 64) - 1


class _NoMoreEvents:
    """In place of an ended run's count of events, so that a run that goes on pays for no check."""

    def __add__(self, _count: int) -> int:
        raise UsageError("a step or failure came after the end of its run")


NO_MORE_EVENTS: Final = cast("int", _NoMoreEvents())
_NONE_LEFT: Final[frozenset[int]] = frozenset()


class OpenVisit(Protocol):
    """The call of a decorated generator."""

    def finish(self, error: BaseException | None) -> None:
        """The call ended, with `error` if that is not None. Later calls do nothing."""


class TraceScope(Protocol):
    """A run, or a step of one. A scope that is not its own run is a step."""

    failures: int
    token: "ScopeToken | None"

    @property
    def run(self) -> "TracedRun":
        """The run that it belongs to; a run is its own."""

    outer: "TraceScope | None"
    """The scope that this one was entered in."""

    @property
    def over(self) -> bool:
        """Whether it has ended, or its run has: then it is nobody's context."""

    @property
    def bits(self) -> int:
        """The step's id as a number; 0 for a run."""

    @property
    def seq(self) -> int:
        """The step's number; 0 for a run."""


ScopeToken = Token["TraceScope | None"]


class TracedRun(RunHead):
    """An `OpenRun` of the recorder. As a pending event it is its own start."""

    __slots__ = (
        "__weakref__",
        "_drawn",
        "_failed",
        "_first_id",
        "_inherited",
        "_open",
        "_salt",
        "_text",
        "emitted",
        "error_history",
        "failures",
        "last_seq",
        "left_open",
        "metadata",
        "open_visits",
        "origin",
        "outer",
        "recorder",
        "reference",
        "session_digest",
        "set_end",
        "set_reason",
        "step_class",
        "stream_key",
        "tail_buffer",
        "token",
        "untraced_before",
    )

    reference: "weakref.ref[OpenRun]"
    bits: ClassVar[int] = 0
    """A run is no step's parent step."""
    seq: ClassVar[int] = 0
    """A run's start is its first event."""
    _usual_step_class: ClassVar[type] = object
    """`Run` says which."""

    def __init__(self, recorder: "Recorder") -> None:
        now_ns = time_ns()
        self._drawn = random_bits(RUN_BITS)
        self._text: str | None = None
        self.started_us = now_ns // 1_000
        self.started_ns = perf_counter_ns()
        self.recorder = recorder
        self.last_seq = 0
        """The number of its last event. See `emitted`."""
        self.emitted = 1
        """Events so far, its start included. Adding is atomic: CPython switches threads at calls and jumps, and there is none."""
        self._first_id = random_bits(64)
        self._inherited: tuple[tuple[int, int], ...] = ()
        """In a forked child: pairs (seq, first id). Step ids below that `seq` are counted from that id, as in the parent."""
        self.error_history: ErrorHistory | None = None
        """None until the first error."""
        self.tail_buffer: RunBuffer | None = None
        """Takes the events until the run's end, if the run is not sampled."""
        self.origin: Origin | None = None
        self.metadata: dict[str, MetadataValue] | None = None
        self._open = True
        """Deleted at the run's end: a deletion succeeds once, in whichever thread."""
        self.failures = 0
        self._failed = False
        self.set_end: RunEnd | None = None
        """The end that the agent named."""
        self.set_reason: EndReason | None = None
        """The reason that the agent named."""
        self.session_digest: str | None = None
        self._salt: bytes | None = None
        self.token: ScopeToken | None = None
        """Resets the context variable when the run's block is left."""
        self.outer: TraceScope | None = None
        self.step_class: type = self._usual_step_class
        """Another one in a run that a generator's body entered."""
        self.stream_key = 0
        self.untraced_before = 0
        self.open_visits: set[OpenVisit] | None = None
        """Decorated generators of the run that are not at their end."""
        self.left_open = _NONE_LEFT
        """Numbers of the steps that the run's end had to end."""

    @property
    def run_id(self) -> str:  # formatted when first asked for: the agent's threads seldom do
        """The id under which the run is stored: a UUID."""
        text = self._text
        if text is None:
            text = self._text = uuid_text(run_value(self.started_us, self._drawn))
        return text

    @run_id.setter
    def run_id(self, text: str) -> None:
        self._text = text

    def build(self, sanitizer: "Sanitizer") -> "RunStarted":
        """The run's start as the contract has it."""
        from agenttracer.wire import events  # noqa: PLC0415 - loaded by the first tracer, not by importing the SDK

        origin = self.origin
        return events.RunStarted(
            run_id=self.run_id,
            seq=self.seq,
            started_at=self.at_us(self.started_ns),
            parent_run_id=None if origin is None else origin.run_id,
            parent_step_id=None if origin is None or not origin.bits else step_id(origin.bits),
            abandon_after_s=self.recorder.abandon_after_s,
            session_digest=self.session_digest,
            metadata=sanitizer.metadata(self.metadata),
        )

    def step_bits(self, seq: int) -> int:
        """The id of the step with this number: never 0, and counted from a random start, so that no two processes agree."""
        for below, first_id in self._inherited:
            if seq < below:
                return (first_id + seq * _STRIDE) & _64_BITS or 1
        return (self._first_id + seq * _STRIDE) & _64_BITS or 1

    def ensure_error_history(self) -> ErrorHistory:
        """The run's error history, made at the first call."""
        with self.recorder.lock:
            history = self.error_history
            if history is None:
                history = self.error_history = ErrorHistory()
            return history

    @property
    def run(self) -> Self:
        """Itself: a run and its steps are scopes, and every scope knows its run."""
        return self

    def put_failure(self, failure: "PendingFailure") -> None:
        """Queue a failure of the run or of one of its steps. The run then ends as `failure`."""
        self.emitted += 1
        self._failed = True
        self.sink.put_control(failure)

    @property
    def sink(self) -> "EventSink":
        """Where its events go now."""
        return self.tail_buffer or self.recorder.sink

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return not hasattr(self, "_open")

    def work_salt(self) -> bytes:
        """The key of the digests of its work, known to nobody else. It is the system's: ids tell much of their own source."""
        with self.recorder.lock:
            if self._salt is None:
                self._salt = os.urandom(16)
            return self._salt

    def claim_end(self) -> bool:
        """Mark the run as ended; False if it was already. When two threads end the run at once, one of them gets True."""
        try:
            del self._open
        except AttributeError:
            return False
        return True

    def next_seq(self) -> int:
        """The number of a further event."""
        self.last_seq = seq = self.last_seq + 1
        return seq

    def new_end(self, ended_ns: int, status: RunEnd, reason: EndReason) -> PendingRunEnd:
        """The run's last event. From here on there is none: `emitted += 1` raises."""
        emitted, self.emitted = self.emitted, NO_MORE_EVENTS
        end = PendingRunEnd()
        end.run = self
        end.seq = self.next_seq()
        end.ended_ns = ended_ns
        end.status = status
        end.reason = reason
        end.emitted = emitted + 1
        end.evidence = None
        end.cause_bits = 0
        return end

    def end_at_exit(self) -> None:
        """The process ends as usual, and nobody has ended the run."""
        if self.claim_end():
            status, reason = (RunEnd.PARTIAL, EndReason.EXITED)
            if self.told_to_fail:
                status, reason = (RunEnd.FAILURE, EndReason.ERROR)
            self.recorder.run_ended(self, self.new_end(perf_counter_ns(), status, reason))

    @property
    def told_to_fail(self) -> bool:
        """Whether the agent's code said that it failed."""
        return self._failed or self.set_end is RunEnd.FAILURE

    def derived_end(self) -> RunEnd:
        """How the run ends according to its recorded failures and its steps."""
        if self._failed:
            return RunEnd.FAILURE
        return RunEnd.PARTIAL if self.error_history is not None and self.error_history.steps.unrepaired else RunEnd.SUCCESS

    def reset_after_fork(self) -> None:
        """Restart the counts of events and step ids: a forked child is another producer."""
        self.emitted = 0
        self._inherited = (*self._inherited, (self.last_seq + 1, self._first_id))
        self._first_id = random_bits(64)

    def guard(self, error: Exception, *, quietly: bool = False) -> None:
        """Keep an error of the SDK from the agent, and count it; see `Recorder.guard`."""
        self.recorder.guard(error, quietly=quietly)
