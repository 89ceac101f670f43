"""A step of a run, as the agent's code sees it. It runs on the agent's threads: every line here costs the agent time.

Timing and nesting happen at once; checking, building and encoding are left to the sender's thread.
"""

from sys import _getframe
from time import perf_counter_ns
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Final, Self, cast

from agenttracer._events.evidence import evidence_of
from agenttracer._events.pending_event import MetadataInput, PendingStep, StepFacts
from agenttracer._events.sanitize import require_metadata
from agenttracer._ids import step_id
from agenttracer._tracing.context import (
    GENERATOR,
    current_scope,
    enter_scope,
    enter_stream,
    entered_scope,
    leave,
    leave_scope,
    leave_stream,
    step_around,
)
from agenttracer._tracing.ending import says_nothing
from agenttracer._tracing.error_history import Call
from agenttracer._tracing.failure import failure_of, returned_error_of
from agenttracer._tracing.work_digest import digest_of
from agenttracer.errors import UsageError
from agenttracer.wire.metadata import MAX_KEYS, metadata_rule

if TYPE_CHECKING:
    from agenttracer._tracing.error_history import ErrorHistory
    from agenttracer._tracing.traced_run import ScopeToken, TracedRun, TraceScope

_PLAIN: Final = frozenset({bool, int, float})
_KEYS: Final[set[str]] = set()
"""Metadata keys that fit: an agent uses the same few over and over. Bounded."""
_KEYS_MAX: Final = 4_096


class Step(PendingStep):
    """One step, timed from its start to its end: a `with` (or `async with`) block, or `Run.start_step` and `end`.

    Made by `Run.step`. An exception that leaves the block marks the step and goes on unchanged. The other attributes belong
    to the SDK.
    """

    __slots__ = ("outer", "parent", "token")

    run: "TracedRun"
    outer: "TraceScope | None"
    """The scope that it was entered in, which may be of another run."""

    parent: int | None
    """Number of the step that it nests in; None for the run itself."""
    token: "ScopeToken | None"

    @property
    def bits(self) -> int:  # type: ignore[override]  # computed when it is sent: the agent's threads seldom need it
        """Its id as a number."""
        return self.run.step_bits(self.seq)

    @property
    def parent_bits(self) -> int:  # type: ignore[override]  # likewise
        """The id of the step that it nests in, 0 for the run itself."""
        return 0 if self.parent is None else self.run.step_bits(self.parent)

    @property
    def step_id(self) -> str:
        """The id under which this step is stored: 16 hex digits."""
        return step_id(self.bits)

    @property
    def failures(self) -> int:
        """How many failures the agent recorded for it."""
        return 0 if self.facts is None else self.facts.failures

    @failures.setter
    def failures(self, count: int) -> None:
        self._ensure_facts().failures = count

    @property
    def over(self) -> bool:
        """Whether it has ended, or its run has."""
        return self.ended_ns != 0 or self.run.over

    def __enter__(self) -> Self:
        try:
            if self.began_ns:
                raise UsageError("a step can be entered once; ask the run for a new one")  # noqa: TRY301 - one guard for all
            run = self.run
            scope = entered_scope()
            if scope is not run:
                scope = current_scope()
                step = step_around(scope, run)
                self.parent = None if step is None else step.seq
            self.outer = scope
            if run.error_history is not None:
                self._count_attempt(run.error_history)
            self.token = enter_scope(self)
            self.began_ns = perf_counter_ns()
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.run.guard(error)
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None) -> None:
        ended_ns = perf_counter_ns()
        try:
            token = self.token
            if token is None:
                raise UsageError("a step can be left once")  # noqa: TRY301 - one guard for all
            self.token = None
            try:
                leave_scope(token)  # `leave`, without the cost of a call
            except ValueError:
                leave(self, token)
            run = self.run
            if self.ended_ns:
                if self.seq in run.left_open:
                    return  # a stream that its consumer left: the run's end has ended it
                raise UsageError("a step can end once")  # noqa: TRY301 - one guard for all
            self.ended_ns = ended_ns
            run.emitted += 1
            if error is not None or run.error_history is not None:
                self._record_outcome(run, error)
            (run.tail_buffer or run.recorder.sink).put_step(self)  # `TracedRun.sink`, at half its cost
        except Exception as internal:  # noqa: BLE001 - telemetry never harms the agent
            self.run.guard(internal, quietly=error is not None)

    def start(self, parent: "Step | None") -> None:
        """Begin without becoming the current step. For `Run.start_step`."""
        run = self.run
        scope = current_scope() if parent is None else parent
        step = parent if parent is not None and parent.run is run else step_around(scope, run)
        self.parent = None if step is None else step.seq
        self.outer = scope
        if run.error_history is not None:
            self._count_attempt(run.error_history)
        self.began_ns = perf_counter_ns()

    def end(self, *, error: BaseException | None = None) -> None:
        """End the step now, from any thread or task, and say whether `error` ended it. For code that cannot use a block."""
        ended_ns = perf_counter_ns()
        run = self.run
        try:
            with run.recorder.lock:  # two threads may end the step at once
                if self.ended_ns or not self.began_ns:
                    raise UsageError("a step can end once, after it began")  # noqa: TRY301 - one guard for all
                self.ended_ns = ended_ns
            run.emitted += 1
            if error is not None or run.error_history is not None:
                self._record_outcome(run, error)
            run.sink.put_step(self)
        except Exception as internal:  # noqa: BLE001 - telemetry never harms the agent
            run.guard(internal)

    def _count_attempt(self, history: "ErrorHistory") -> None:
        """As far as it is known at the beginning: calls that are still open may turn out to be beside this one."""
        if self.attempt > 0:
            self.attempt = history.steps.attempt_of(self._call(perf_counter_ns()))

    def _call(self, began_ns: int) -> Call:
        place = [(self.kind, self.name)]
        scope = self.outer
        while scope is not None:
            if scope.run is self.run and scope is not self.run:
                place.append((cast("Step", scope).kind, cast("Step", scope).name))
            scope = scope.outer
        digest = None if self.facts is None else self.facts.work_digest
        return Call(tuple(reversed(place)), digest, began_ns, self.ended_ns, max(0, -self.attempt))

    def _record_outcome(self, run: "TracedRun", error: BaseException | None) -> None:
        if error is not None and says_nothing(error):
            error = None
        if error is not None:
            self.cause_bits = 0
            self.evidence = evidence_of(error, read_text=run.recorder.read_errors)
        elif run.error_history is None:
            return
        try:
            with run.recorder.lock:
                self._add_to(run.error_history or run.ensure_error_history(), error)
        except Exception as internal:  # noqa: BLE001 - telemetry never harms the agent
            run.guard(internal, quietly=True)

    def _add_to(self, history: "ErrorHistory", error: BaseException | None) -> None:
        returned = self.facts is not None and self.facts.returned_error is not None
        attempt = history.steps.ended(self._call(self.began_ns), failed=error is not None or returned)
        if self.attempt > 0:
            self.attempt = attempt
        if error is not None:
            bits = self.bits
            self.cause_bits = history.paths.origin(error, scope=bits)
            history.paths.passed(error, into=self.parent_bits, origin=self.cause_bits or bits)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def record_failure(self, *, failure_type: str, failure_code: str, message: str | None = None) -> None:
        """Like `Run.record_failure`, of this step, wherever the calling code is."""
        try:
            failure = failure_of(self, failure_type=failure_type, failure_code=failure_code, message=message)
            self.run.put_failure(failure)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.run.guard(error)

    def identify(self, *work: object) -> None:
        """Say which work this is, such as the arguments of a call: the same work again is another attempt of it.

        The values are hashed at once, with a random key of the run that never leaves this process, and not kept.
        """
        try:
            self._ensure_facts().work_digest = digest_of(self.run.work_salt(), self.kind, self.name, work)
            history = self.run.error_history
            if history is not None:
                with self.run.recorder.lock:
                    self._count_attempt(history)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.run.guard(error)

    def returned_error(
        self,
        *,
        code: str | None = None,
        http_status: int | None = None,
        exit_status: int | None = None,
        error_class: str | None = None,
    ) -> None:
        """The call returned an error instead of raising one. It marks the step; the last call counts.

        `code` is yours or the tool's, such as `not_found`; nothing need be known but that it failed.
        """
        try:
            if self.ended_ns:
                raise UsageError("a returned error came after the end of its step")  # noqa: TRY301 - one guard for all
            self._ensure_facts().returned_error = returned_error_of(
                self.run.recorder, code=code, http_status=http_status, exit_status=exit_status, error_class=error_class
            )
            self.run.ensure_error_history()
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.run.guard(error)

    def _ensure_facts(self) -> StepFacts:
        facts = self.facts
        if facts is None:
            facts = self.facts = StepFacts()
        return facts

    def add_metadata(self, metadata: MetadataInput) -> None:
        """Add numbers, booleans and labels to the step; a later value of a key replaces an earlier one.

        Entries that do not fit the contract (text, nested values, too many keys) are left out and counted, or raised when
        strict.
        """
        try:
            if self.ended_ns:
                raise UsageError("metadata came after the end of its step")  # noqa: TRY301 - one guard for all
            kept = self.metadata
            if self.run.recorder.strict:
                require_metadata(metadata, present=len(kept or ()))
            elif kept is None and type(metadata) is dict and len(metadata) <= MAX_KEYS:
                for key in metadata:  # costs less than the items
                    if key not in _KEYS or type(metadata[key]) not in _PLAIN:
                        break
                else:  # the usual case, known keys and plain numbers; the sender's thread checks them in full
                    self.metadata = metadata.copy()
                    return
            if kept is None:
                kept = self.metadata = {}
            for key, value in metadata.items():
                self._add(kept, key, value)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.run.guard(error)

    def _add(self, kept: dict[str, object], key: str, value: object) -> None:
        """Add one entry if it fits: neither text nor a large or live object may wait in the queue."""
        rule = metadata_rule(key, value)
        if rule is None and (key in kept or len(kept) < MAX_KEYS):
            kept[key] = value
            if type(key) is str and len(_KEYS) < _KEYS_MAX:
                _KEYS.add(key)
        else:
            self.run.recorder.sanitizer.left_out(rule or "too_many_keys")


class StreamedStep(Step):
    """A step of a run that a generator's body entered: found again where each value is asked for in a fresh context."""

    __slots__ = ("stream_key",)

    stream_key: int

    def __enter__(self) -> Self:
        return self._entered_in(_getframe(1))

    async def __aenter__(self) -> Self:
        return self._entered_in(_getframe(1))

    def _entered_in(self, frame: FrameType) -> Self:
        super().__enter__()
        self.stream_key = enter_stream(self, frame) if frame.f_code.co_flags & GENERATOR else 0
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        leave_stream(self, getattr(self, "stream_key", 0))
        super().__exit__(kind, error, traceback)
