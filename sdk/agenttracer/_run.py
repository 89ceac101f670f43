"""A run, as the agent's code sees it: its clock, its counters, its steps and failures, and what its end says."""

import itertools
from collections.abc import Mapping
from time import perf_counter_ns, time_ns
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Final, Self

from agenttracer._current import CURRENT, ScopeToken, leave, step_within
from agenttracer._draft import MetadataInput, RunEndDraft, RunHead
from agenttracer._evidence import evidence_of
from agenttracer._failure import failure_of
from agenttracer._fit import require_member, require_metadata, require_name, require_traceparent
from agenttracer._ids import new_run_value, random_bits, step_id, uuid_text
from agenttracer._memory import Memory
from agenttracer._step import Step
from agenttracer._traceparent import Origin, formatted
from agenttracer.errors import UsageError
from agenttracer.wire.form import NAME_MAX_CHARS, is_name
from agenttracer.wire.vocabulary import INVALID_NAME, RunEnd, StepKind

if TYPE_CHECKING:
    import weakref

    from agenttracer._draft import FailureDraft
    from agenttracer._fit import Fit
    from agenttracer._pipeline import Pipeline
    from agenttracer._queue import Outlet
    from agenttracer._sampling import Holdback
    from agenttracer.wire.events import RunStarted
    from agenttracer.wire.metadata import MetadataValue

_KINDS: Final[Mapping[str, StepKind]] = {str(kind): kind for kind in StepKind}
_new: Final = object.__new__
_ENDS: Final[Mapping[str, RunEnd]] = {str(end): end for end in RunEnd}
_NAMES: Final[dict[str, str]] = {}
"""Step names that fit, each by itself, of which an agent says the same few over and over. Bounded."""
_NAMES_MAX: Final = 4_096
_STRIDE: Final = 0x9E37_79B9_7F4A_7C15
"""Odd, so that the ids of a run's first 2^64 steps all differ: 2^64 divided by the golden ratio."""
_64_BITS: Final = (1 << 64) - 1


class Run(RunHead):
    """One execution of an agent. Made by `AgentTracer.start_run`; leaving its `with` (or `async with`) block, or `end`, ends it.

    Usable from any number of threads and tasks. An exception that leaves the block makes the run a failure and goes on
    unchanged. The other attributes belong to the SDK. In the queue it is its own start.
    """

    __slots__ = (
        "__weakref__",
        "_failed",
        "_first_id",
        "_inherited",
        "_open",
        "_said",
        "_text",
        "_value",
        "emissions",
        "failures",
        "held",
        "memory",
        "metadata",
        "origin",
        "pipeline",
        "reference",
        "seqs",
        "token",
    )

    reference: "weakref.ref[Run]"
    """By which the heartbeat knows it while it is open."""
    bits: ClassVar[int] = 0
    """A run is nobody's parent step."""
    seq: ClassVar[int] = 0
    """Its start is the first thing said of it."""

    def __init__(self, pipeline: "Pipeline") -> None:
        now_ns = time_ns()
        self._value = new_run_value(now_ns)
        self._text: str | None = None
        self.started_us = now_ns // 1_000
        self.started_ns = perf_counter_ns()
        self.pipeline = pipeline
        self.seqs = itertools.count(1)
        self.emissions = itertools.count(2)
        self._first_id = random_bits(64)
        self._inherited: tuple[tuple[int, int], ...] = ()
        """In a forked child: below which `seq` the ids of steps are counted from where, as they are in the parent."""
        self.memory: Memory | None = None
        """Of errors; None as long as there was none."""
        self.token: ScopeToken | None = None
        self.held: Holdback | None = None
        """Where events go while it is open whether the run is told at all; see `_sampling`."""
        self.origin: Origin | None = None
        self.metadata: dict[str, MetadataValue] | None = None
        self._open = True
        """Deleted by whoever ends the run: a deletion succeeds once, in whichever thread."""
        self.failures = 0
        self._failed = False
        self._said: RunEnd | None = None

    @property
    def run_id(self) -> str:  # written out when first asked for: the agent's threads seldom do
        """The id under which the run is stored: a UUID."""
        text = self._text
        if text is None:
            text = self._text = uuid_text(self._value)
        return text

    @run_id.setter
    def run_id(self, text: str) -> None:
        self._text = text

    def begin(self, metadata: MetadataInput | None, traceparent: str | None) -> None:
        """Say that the run started. For the tracer, which does it once."""
        pipeline = self.pipeline
        if pipeline.strict:
            require_metadata({} if metadata is None else metadata)
            require_traceparent(traceparent)
        try:
            if traceparent is not None:
                self.origin = pipeline.fit.traceparent(traceparent)
            elif (scope := CURRENT.get()) is not None:
                self.origin = Origin(scope.run.run_id, scope.bits, sampled=scope.run.held is None)
            if metadata:
                self.metadata = pipeline.fit.metadata(metadata)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(error)
        pipeline.began(self)

    def event(self, fit: "Fit") -> "RunStarted":
        """Its start as the contract has it."""
        from agenttracer.wire import events  # noqa: PLC0415 - loaded by the first tracer, not by importing the SDK

        origin = self.origin
        return events.RunStarted(
            run_id=self.run_id,
            seq=self.seq,
            started_at=self.at_us(self.started_ns),
            parent_run_id=None if origin is None else origin.run_id,
            parent_step_id=None if origin is None or not origin.bits else step_id(origin.bits),
            abandon_after_s=self.pipeline.abandon_after_s,
            metadata=fit.metadata(self.metadata),
        )

    def step_bits(self, seq: int) -> int:
        """The id of the step with this number: never 0, and random in its first place, so that no two processes agree."""
        for below, first_id in self._inherited:
            if seq < below:
                return (first_id + seq * _STRIDE) & _64_BITS or 1
        return (self._first_id + seq * _STRIDE) & _64_BITS or 1

    def remembering(self) -> Memory:
        """What has to be remembered of errors, from the first one on."""
        with self.pipeline.lock:
            memory = self.memory
            if memory is None:
                memory = self.memory = Memory()
            return memory

    @property
    def run(self) -> "Run":
        """Itself: a run and its steps are scopes, and every scope knows its run."""
        return self

    @property
    def outer(self) -> "Run | Step | None":
        """The scope that was current when this one was entered, as long as it is open."""
        return None if self.token is None or self.token.old_value is self.token.MISSING else self.token.old_value

    def __enter__(self) -> Self:
        try:
            if self.token is not None or self.ended:
                raise UsageError("a run can be entered once; ask the tracer for a new one")  # noqa: TRY301 - one guard for all
            self.token = CURRENT.set(self)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(error)
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None) -> None:
        try:
            if self.token is not None:
                leave(self.token)
                self.token = None
            self._end(error)
        except Exception as internal:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(internal, quietly=error is not None)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def step(self, kind: str, name: str, *, attempt: int | None = None) -> Step:
        """A step to enter with `with` or `async with`. `kind` is one of `plan`, `retrieve`, `tool`, `respond`, `other`.

        Without `attempt` it is 1, or one more than that of the same step under the same parent if that ended in an error.
        """
        try:
            try:
                known, name = _KINDS[kind], _NAMES[name]
            except (KeyError, TypeError):  # not seen before, or nothing that could be looked up
                known, name = self._fitting(kind, name)
            nth = 0 if attempt is None else self._nth(attempt)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(error)
            known, name, nth = StepKind.OTHER, INVALID_NAME, 1
        step: Step = _new(Step)  # filled here: a constructor would cost the agent another call
        step.run = self
        step.kind = known
        step.name = name
        step.attempt = nth
        step.seq = next(self.seqs)
        step.parent = step.evidence = step.metadata = step.token = None
        step.ended_ns = step.began_ns = step.failures = step.cause_bits = 0
        return step

    def _nth(self, attempt: int) -> int:
        try:
            return min(max(int(attempt), 1), 10_000)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(error)
            return 1

    def _fitting(self, kind: str, name: str) -> tuple[StepKind, str]:
        """Kind and name as they may be sent, or MisfitError when strict. At once: no text may wait in the queue."""
        pipeline = self.pipeline
        if pipeline.strict:
            require_member(StepKind, kind, field="kind")
            require_name(name, field="name")
        if type(name) is not str or len(name) > NAME_MAX_CHARS or not is_name(name):
            name = pipeline.fit.name(name, field="step name")
        elif len(_NAMES) < _NAMES_MAX:
            _NAMES[name] = name
        return _KINDS.get(kind) or pipeline.fit.kind(kind), name

    def start_step(self, kind: str, name: str, *, attempt: int | None = None, parent: Step | None = None) -> Step:
        """A step that has begun, for code that no block can hold: `Step.end` ends it, from any thread or task.

        It does not become the current step; to nest something in it, name it as `parent`. Its own parent is `parent` or
        else the current step.
        """
        step = self.step(kind, name, attempt=attempt)
        step.start(parent)
        return step

    def end(self, *, error: BaseException | None = None) -> None:
        """End the run now, from any thread or task, and say whether `error` ended it. For runs that no block can hold."""
        try:
            self._end(error)
        except Exception as internal:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(internal)

    def traceparent(self) -> str:
        """The W3C header `traceparent` for calls to other processes: `start_run(traceparent=…)` there makes a child run.

        It names the step that the calling code is in, if any.
        """
        step = step_within(self)
        return formatted(Origin(self.run_id, 0 if step is None else step.bits, sampled=self.held is None))

    def record_failure(self, *, failure_type: str, failure_code: str, message: str | None = None) -> None:
        """Say what failed; this wins over what would be concluded from exceptions. The run ends as `failure`.

        `failure_type` is one of `tool`, `model`, `retrieval`, `orchestration`; `failure_code` is yours, such as
        `timeout`, in lower case. The text of `message` stays in this process: its length is sent and, where the tracer
        has a `fingerprint_key`, a keyed hash of it.
        """
        try:
            scope = step_within(self) or self
            self.failed(failure_of(scope, failure_type=failure_type, failure_code=failure_code, message=message))
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(error)

    def failed(self, failure: "FailureDraft") -> None:
        """A failure was recorded, of the run or of one of its steps."""
        self._failed = True
        next(self.emissions)
        self.outlet.reserved(failure)

    @property
    def outlet(self) -> "Outlet":
        """Where its events go now."""
        return self.held or self.pipeline.outlet

    def set_status(self, status: str) -> None:
        """Say how the run ends, `success`, `partial` or `failure`, instead of what its steps say. An exception still wins."""
        try:
            if self.pipeline.strict:
                require_member(RunEnd, status, field="status")
            said = _ENDS.get(status)
            if said is None:
                self.pipeline.counters.misfit("unknown_value")
            else:
                self._said = said
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(error)

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return not hasattr(self, "_open")

    def claim_end(self) -> bool:
        """Make it over; False if it was already. Two threads may both think that it is theirs to end."""
        try:
            del self._open
        except AttributeError:
            return False
        return True

    def _end(self, error: BaseException | None) -> None:
        if not self.claim_end():
            raise UsageError("a run can end once")
        if isinstance(error, GeneratorExit):
            error = None  # a generator's consumer has enough
        end = RunEndDraft(
            self,
            seq=next(self.seqs),
            ended_ns=perf_counter_ns(),
            status=RunEnd.FAILURE if error is not None else self._said or self.concluded(),
            emitted=next(self.emissions),
        )
        if error is not None:
            end.evidence = evidence_of(error)
            try:
                end.cause_bits = self.remembering().passages.origin(error, scope=0)
            except Exception as internal:  # noqa: BLE001 - telemetry never harms the agent
                self.guard(internal, quietly=True)
        self.memory = None  # the run itself waits in the queue
        self.pipeline.over(self, end)

    def concluded(self) -> RunEnd:
        """How it ends by what was said of its failures and steps."""
        if self._failed:
            return RunEnd.FAILURE
        return RunEnd.PARTIAL if self.memory is not None and self.memory.outcomes.unrepaired else RunEnd.SUCCESS

    def counted_anew(self) -> None:
        """In a forked child: `emitted` counts what one producer emitted, and the child is another one, with ids of its own."""
        self.emissions = itertools.count(1)
        own = next(self.seqs)
        self.seqs = itertools.count(own)
        self._inherited = (*self._inherited, (own, self._first_id))
        self._first_id = random_bits(64)
        if self.held is not None:
            self.held.forsake()
            self.held = self.pipeline.holdback()

    def guard(self, error: Exception, *, quietly: bool = False) -> None:
        """Keep an error of the SDK's from the agent, counted; see `Pipeline.guard`."""
        self.pipeline.guard(error, quietly=quietly)
