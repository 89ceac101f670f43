"""A step of a run, as the agent's code sees it. Runs on the agent's threads: every line here is paid for by the agent.

Timing and nesting happen at once; checking, building and encoding are left to the sender's thread.
"""

from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from agenttracer._current import CURRENT, ScopeToken, leave, step_within
from agenttracer._draft import MetadataInput, StepDraft
from agenttracer._evidence import evidence_of
from agenttracer._failure import failure_of
from agenttracer._fit import require_metadata
from agenttracer._ids import step_id
from agenttracer.errors import UsageError
from agenttracer.wire.metadata import MAX_KEYS, metadata_rule

if TYPE_CHECKING:
    from agenttracer._memory import Memory
    from agenttracer._run import Run

_PLAIN: Final = frozenset({bool, int, float})
_KEYS: Final[set[str]] = set()
"""Metadata keys that fit, of which an agent says the same few over and over. Bounded."""
_KEYS_MAX: Final = 4_096


class Step(StepDraft):
    """One step, timed from its start to its end: a `with` (or `async with`) block, or `Run.start_step` and `end`.

    Made by `Run.step`. An exception that leaves the block marks the step and goes on unchanged. The other attributes are the
    sender's.
    """

    __slots__ = ("failures", "parent", "token")

    run: "Run"

    parent: int | None
    """Number of the step that it nests in; None for the run itself."""
    token: ScopeToken | None
    failures: int
    """How many the agent recorded for it."""

    @property
    def bits(self) -> int:  # type: ignore[override]  # worked out when it is sent: the agent's threads seldom need it
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
    def outer(self) -> "Run | Step | None":
        """The scope that was current when this one was entered, as long as it is open."""
        return None if self.token is None or self.token.old_value is self.token.MISSING else self.token.old_value

    def __enter__(self) -> Self:
        try:
            if self.began_ns:
                raise UsageError("a step can be entered once; ask the run for a new one")  # noqa: TRY301 - one guard for all
            run = self.run
            scope = CURRENT.get()
            if scope is not run and scope is not None:
                step = scope if scope.run is run else step_within(run)
                self.parent = None if step is None else step.seq
            if not self.attempt:
                self.attempt = 1 if run.memory is None else self._next_attempt(run.memory)
            self.token = CURRENT.set(self)
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
            try:  # noqa: SIM105 - what `leave` does, without the cost of calling it or anything else
                CURRENT.reset(token)
            except ValueError:
                pass
            if self.ended_ns:
                raise UsageError("a step can end once")  # noqa: TRY301 - one guard for all
            self.ended_ns = ended_ns
            run = self.run
            if error is not None or run.memory is not None:
                self._judge(run, error)
            next(run.emissions)
            (run.held or run.pipeline.outlet).detail(self)  # what `Run.outlet` is, at half its cost
        except Exception as internal:  # noqa: BLE001 - telemetry never harms the agent
            self.run.guard(internal, quietly=error is not None)

    def start(self, parent: "Step | None") -> None:
        """Begin without becoming the current step. For `Run.start_step`."""
        before = CURRENT.set(CURRENT.get() if parent is None else parent)
        try:
            self.__enter__()
            self.token = None
        finally:
            leave(before)

    def end(self, *, error: BaseException | None = None) -> None:
        """End the step now, from any thread or task, and say whether `error` ended it. For steps that no block can hold."""
        ended_ns = perf_counter_ns()
        run = self.run
        try:
            with run.pipeline.lock:  # two threads may both think that it is theirs to end
                if self.ended_ns or not self.began_ns:
                    raise UsageError("a step can end once, after it began")  # noqa: TRY301 - one guard for all
                self.ended_ns = ended_ns
            if error is not None or run.memory is not None:
                self._judge(run, error)
            next(run.emissions)
            run.outlet.detail(self)
        except Exception as internal:  # noqa: BLE001 - telemetry never harms the agent
            run.guard(internal)

    def _next_attempt(self, memory: "Memory") -> int:
        return memory.outcomes.next_attempt(parent=self.parent_bits, kind=self.kind, name=self.name)

    def _judge(self, run: "Run", error: BaseException | None) -> None:
        if isinstance(error, GeneratorExit):
            error = None  # a generator's consumer has enough
        if error is not None:
            self.evidence = evidence_of(error)
        elif run.memory is None:
            return
        try:
            with run.pipeline.lock:
                self._remember(run.memory or run.remembering(), error)
        except Exception as internal:  # noqa: BLE001 - telemetry never harms the agent
            run.guard(internal, quietly=True)

    def _remember(self, memory: "Memory", error: BaseException | None) -> None:
        parent_bits = self.parent_bits
        if error is None:
            memory.outcomes.succeeded(parent=parent_bits, kind=self.kind, name=self.name)
            return
        bits = self.bits
        self.cause_bits = memory.passages.origin(error, scope=bits)
        memory.passages.passed(error, into=parent_bits, origin=self.cause_bits or bits)
        memory.outcomes.errored(parent=parent_bits, kind=self.kind, name=self.name, attempt=self.attempt)

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
            self.run.failed(failure)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.run.guard(error)

    def add_metadata(self, metadata: MetadataInput) -> None:
        """Add numbers, booleans and labels to the step; a later value of a key replaces an earlier one.

        What does not fit the contract (text, nested values, too many keys) is left out and counted, or raised when strict.
        """
        try:
            if self.ended_ns:
                raise UsageError("metadata came after the end of its step")  # noqa: TRY301 - one guard for all
            kept = self.metadata
            if self.run.pipeline.strict:
                require_metadata(metadata, present=len(kept or ()))
            elif kept is None and type(metadata) is dict and len(metadata) <= MAX_KEYS:
                for key, value in metadata.items():
                    if key not in _KEYS or type(value) not in _PLAIN:
                        break
                else:  # the usual case: known keys and plain numbers, at which the sender looks closer
                    self.metadata = metadata.copy()
                    return
            if kept is None:
                kept = self.metadata = {}
            for key, value in metadata.items():
                self._add(kept, key, value)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.run.guard(error)

    def _add(self, kept: dict[str, object], key: str, value: object) -> None:
        """Add one entry if it fits: neither text nor anything large or alive may wait in the queue."""
        rule = metadata_rule(key, value)
        if rule is None and (key in kept or len(kept) < MAX_KEYS):
            kept[key] = value
            if type(key) is str and len(_KEYS) < _KEYS_MAX:
                _KEYS.add(key)
        else:
            self.run.pipeline.fit.left_out(rule or "too_many_keys")
