"""A run, as the agent's code sees it: how it starts and ends, its steps, and the failures that the agent records."""

from collections.abc import Mapping
from sys import _getframe
from time import perf_counter_ns
from types import FrameType, TracebackType
from typing import ClassVar, Final, Self, cast

from agenttracer import _warn
from agenttracer._events.evidence import evidence_of
from agenttracer._events.pending_event import MetadataInput
from agenttracer._events.sanitize import require_member, require_metadata, require_name, require_traceparent
from agenttracer._events.traceparent import Origin, formatted
from agenttracer._tracing.context import (
    GENERATOR,
    current_scope,
    enter_scope,
    enter_stream,
    entered_scope,
    leave,
    leave_scope,
    leave_stream,
    step_within,
)
from agenttracer._tracing.ending import ENDED_WELL, ending_of
from agenttracer._tracing.failure import failure_of, fingerprint_of
from agenttracer._tracing.step import Step, StreamedStep
from agenttracer._tracing.traced_run import NO_MORE_EVENTS, TracedRun
from agenttracer._tracing.untraced import untraced
from agenttracer.errors import UsageError
from agenttracer.wire.form import NAME_MAX_CHARS, is_name
from agenttracer.wire.vocabulary import INVALID_NAME, EndReason, RunEnd, StepKind

_KINDS: Final[Mapping[str, StepKind]] = {str(kind): kind for kind in StepKind}
_NAMES: Final[dict[str, str]] = {}
"""Step names that fit, each as its own value: an agent uses the same few names over and over. Bounded."""
_NAMES_MAX: Final = 4_096


class Run(TracedRun):
    """One execution of an agent. Made by `AgentTracer.start_run`; leaving its `with` (or `async with`) block, or `end`, ends it.

    Usable from any number of threads and tasks. An exception that leaves the block makes the run a failure and goes on
    unchanged. The other attributes belong to the SDK.
    """

    __slots__ = ()

    _usual_step_class: ClassVar[type] = Step

    def begin(self, metadata: MetadataInput | None, traceparent: str | None, session: object = None) -> None:
        """Record the run's start. The tracer calls this once."""
        recorder = self.recorder
        if recorder.strict:
            require_metadata({} if metadata is None else metadata)
            require_traceparent(traceparent)
        try:
            scope = self.outer = current_scope()
            if traceparent is not None:
                self.origin = recorder.sanitizer.traceparent(traceparent)
            elif scope is not None:
                self.origin = Origin(scope.run.run_id, scope.bits, sampled=scope.run.tail_buffer is None)
            if session is not None:
                self.session_digest = self._digest_of_session(session)
            if metadata:
                self.metadata = recorder.sanitizer.waiting_metadata(metadata)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(error)
        recorder.run_started(self)

    def _digest_of_session(self, session: object) -> str | None:
        key = self.recorder.fingerprint_key
        if key is None:
            _warn.once("session", "session= needs a fingerprint_key, the same in all processes; without one it is left out")
            return None
        return fingerprint_of(f"session:{session}", key=key)

    def __enter__(self, frame: FrameType | None = None) -> Self:
        frame = frame or _getframe(1)
        try:
            if self.token is not None or self.emitted is NO_MORE_EVENTS:
                raise UsageError("a run can be entered once; ask the tracer for a new one")  # noqa: TRY301 - one guard for all
            if entered_scope() is not self.outer:
                self.outer = current_scope()
            self.token = enter_scope(self)
            if frame.f_code.co_flags & GENERATOR:
                self.stream_key = enter_stream(self, frame)
                self.step_class = StreamedStep
                self.untraced_before = untraced.calls
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(error)
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None) -> None:
        try:
            if self.token is not None:
                if self.stream_key:
                    leave_stream(self, self.stream_key)
                if entered_scope() is not self and not self.over:
                    self._end_left_steps()
                try:
                    leave_scope(self.token)  # `leave`, without the cost of a call
                except ValueError:
                    leave(self, self.token)
                self.token = None
            self._end(error)
        except Exception as internal:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(internal, quietly=error is not None)

    async def __aenter__(self) -> Self:
        return self.__enter__(_getframe(1))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def step(self, kind: str, name: str, *, attempt: int | None = None, key: object = None) -> Step:
        """A step to enter with `with` or `async with`. `kind` is one of `plan`, `retrieve`, `tool`, `respond`, `other`.

        `key` tells calls of the same name apart, such as the arguments of a tool; it is hashed as by `Step.identify`.
        Without `attempt` it is one more than that of the last failed step of the same work, key, kind, name and place, which
        had ended before this one began; else 1.
        """
        try:
            try:
                known, name = _KINDS[kind], _NAMES[name]
            except (KeyError, TypeError):  # not seen before, or not hashable
                known, name = self._sanitized(kind, name)
            number = 1 if attempt is None else -self._bounded_attempt(attempt)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(error)
            known, name, number = StepKind.OTHER, INVALID_NAME, 1
        new = self.step_class  # first into a variable: calling an attribute looks for a method
        step: Step = new()  # filled here: a constructor would cost the agent another call
        step.run = self
        step.kind = known
        step.name = name
        step.attempt = number
        self.last_seq = step.seq = self.last_seq + 1  # `next_seq`, likewise
        step.parent = step.evidence = step.metadata = step.token = step.facts = None
        step.ended_ns = step.began_ns = 0
        if key is not None:
            step.identify(key)
        return step

    def _bounded_attempt(self, attempt: int) -> int:
        try:
            return min(max(int(attempt), 1), 10_000)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(error)
            return 1

    def _sanitized(self, kind: str, name: str) -> tuple[StepKind, str]:
        """Kind and name as they may wait in the queue, or MisfitError when strict."""
        recorder = self.recorder
        if recorder.strict:
            require_member(StepKind, kind, field="kind")
            require_name(name, field="name")
        if type(name) is not str or len(name) > NAME_MAX_CHARS or not is_name(name):
            name = recorder.sanitizer.waiting_name(name, field="step name")
        elif len(_NAMES) < _NAMES_MAX:
            _NAMES[name] = name
        return _KINDS.get(kind) or recorder.sanitizer.kind(kind), name

    def start_step(
        self, kind: str, name: str, *, attempt: int | None = None, parent: Step | None = None, key: object = None
    ) -> Step:
        """A step that has begun, for code that cannot use a block: `Step.end` ends it, from any thread or task.

        It does not become the current step; to nest something in it, name it as `parent`. Its own parent is `parent` or
        else the current step.
        """
        step = self.step(kind, name, attempt=attempt, key=key)
        try:
            step.start(parent)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(error)
        return step

    def end(self, *, error: BaseException | None = None) -> None:
        """End the run now, from any thread or task, and say whether `error` ended it. For code that cannot use a block."""
        try:
            self._end(error)
        except Exception as internal:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(internal)

    def traceparent(self) -> str:
        """The W3C header `traceparent` for calls to other processes: `start_run(traceparent=…)` there makes a child run.

        It names the step that the calling code is in, if any.
        """
        step = step_within(self)
        return formatted(Origin(self.run_id, 0 if step is None else step.bits, sampled=self.tail_buffer is None))

    def record_failure(self, *, failure_type: str, failure_code: str, message: str | None = None) -> None:
        """Say what failed; this takes precedence over what classification finds in exceptions. The run ends as `failure`.

        `failure_type` is one of `tool`, `model`, `retrieval`, `orchestration`; `failure_code` is yours, such as
        `timeout`, in lower case. The text of `message` stays in this process: its length is sent and, where the tracer
        has a `fingerprint_key`, a keyed hash of it.
        """
        try:
            scope = step_within(self) or self
            self.put_failure(failure_of(scope, failure_type=failure_type, failure_code=failure_code, message=message))
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(error)

    def set_status(self, status: str) -> None:
        """Say how the run ends, `success`, `partial` or `failure`, instead of what its steps say. An exception still wins."""
        try:
            if self.recorder.strict:
                require_member(RunEnd, status, field="status")
            self.set_end = self.recorder.sanitizer.run_end(status) or self.set_end
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(error)

    def set_end_reason(self, reason: str) -> None:
        """Say why the run ends: `limit_steps`, `limit_time`, `limit_tokens`, `limit_cost`, `cancelled`, `interrupted`.

        A limit makes the run a failure, the others neither a success nor a failure. An error that leaves the run still wins.
        """
        try:
            if self.recorder.strict:
                require_member(EndReason, reason, field="reason")
            self.set_reason = self.recorder.sanitizer.end_reason(reason) or self.set_reason
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(error)

    def _end(self, error: BaseException | None) -> None:
        if self.open_visits is not None and not self.over:
            for visit in tuple(self.open_visits):
                visit.finish(None)
        if not self.claim_end():
            raise UsageError("a run can end once")
        usual = (
            error is None and self.set_reason is None and self.set_end is None and not self._failed and self.error_history is None
        )
        ending = ENDED_WELL if usual else ending_of(self, error)
        end = self.new_end(perf_counter_ns(), ending.status, ending.reason)
        if self.stream_key:  # its context may have been lost: then calls that were to be its steps ran untraced
            end.emitted += untraced.calls - self.untraced_before
        if error is not None and ending.is_error:
            end.evidence = evidence_of(error, read_text=self.recorder.read_errors)
            try:
                end.cause_bits = self.ensure_error_history().paths.origin(error, scope=0)
            except Exception as internal:  # noqa: BLE001 - telemetry never harms the agent
                self.guard(internal, quietly=True)
        self.error_history = None  # the run itself waits in the queue, and must not hold it there
        self.recorder.run_ended(self, end)

    def _end_left_steps(self) -> None:
        """End the steps that this context is still in: of streams that their consumer left early, and nobody has closed."""
        scope, left = entered_scope(), []
        while scope is not None and scope is not self:
            if scope.run is self and not scope.over:
                left.append(cast("Step", scope))
            scope = scope.outer
        if scope is self:
            for step in left:
                step.end()
            self.left_open = frozenset(step.seq for step in left)
