"""A run, as the agent's code sees it: its clock, its counters, its steps and failures, and what its end says."""

import itertools
from collections.abc import Mapping
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Final, Self

from agenttracer._current import CURRENT, ScopeToken, leave, step_within
from agenttracer._draft import MetadataInput, RunEndDraft, RunHead, RunStartDraft
from agenttracer._evidence import evidence_of
from agenttracer._failure import failure_of
from agenttracer._fit import require_member, require_metadata, require_name, require_traceparent
from agenttracer._ids import new_run_id
from agenttracer._outcomes import Outcomes
from agenttracer._passage import Passages
from agenttracer._step import Step
from agenttracer._traceparent import Origin, formatted
from agenttracer.errors import UsageError
from agenttracer.wire.form import NAME_MAX_CHARS, is_name
from agenttracer.wire.vocabulary import INVALID_NAME, RunEnd, StepKind

if TYPE_CHECKING:
    from agenttracer._draft import FailureDraft
    from agenttracer._outlet import Outlet
    from agenttracer._pipeline import Pipeline
    from agenttracer._sampling import Holdback

_KINDS: Final[Mapping[str, StepKind]] = {str(kind): kind for kind in StepKind}
_ENDS: Final[Mapping[str, RunEnd]] = {str(end): end for end in RunEnd}


class Run(RunHead):
    """One execution of an agent. Made by `AgentTracer.start_run`; leaving its `with` (or `async with`) block, or `end`, ends it.

    Usable from any number of threads and tasks. An exception that leaves the block makes the run a failure and goes on
    unchanged. The other attributes belong to the SDK.
    """

    __slots__ = (
        "__weakref__",
        "_failed",
        "_said",
        "emissions",
        "ended",
        "failures",
        "held",
        "outcomes",
        "passages",
        "pipeline",
        "seqs",
        "token",
    )

    bits: ClassVar[int] = 0
    """A run is nobody's parent step."""

    def __init__(self, pipeline: "Pipeline") -> None:
        super().__init__(new_run_id())
        self.pipeline = pipeline
        self.outcomes = Outcomes()
        self.passages = Passages()
        self.seqs = itertools.count()
        self.emissions = itertools.count(1)
        self.token: ScopeToken | None = None
        self.held: Holdback | None = None
        """Where events go while it is open whether the run is told at all; see `_sampling`."""
        self.ended = False
        self.failures = 0
        self._failed = False
        self._said: RunEnd | None = None

    def begin(self, metadata: MetadataInput | None, traceparent: str | None) -> None:
        """Say that the run started. For the tracer, which does it once."""
        pipeline = self.pipeline
        if pipeline.strict:
            require_metadata({} if metadata is None else metadata)
            require_traceparent(traceparent)
        origin = _origin() if traceparent is None else pipeline.fit.traceparent(traceparent)
        next(self.emissions)
        start = RunStartDraft(
            run=self,
            seq=next(self.seqs),
            parent_run_id=None if origin is None else origin.run_id,
            parent_bits=0 if origin is None else origin.bits,
            abandon_after_s=pipeline.abandon_after_s,
            metadata=pipeline.fit.metadata(metadata),
        )
        pipeline.began(self, start, follows=None if origin is None else origin.sampled)

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
            pipeline = self.pipeline
            if pipeline.strict:
                require_member(StepKind, kind, field="kind")
                require_name(name, field="name")
            known = _KINDS.get(kind) or pipeline.fit.kind(kind)
            if type(name) is not str or len(name) > NAME_MAX_CHARS or not is_name(name):
                name = pipeline.fit.name(name, field="step name")  # at once: no text may wait in the queue
            return Step(self, known, name, 0 if attempt is None else min(max(int(attempt), 1), 10_000))
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self.guard(error)
            return Step(self, StepKind.OTHER, INVALID_NAME, 1)

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

    def _end(self, error: BaseException | None) -> None:
        with self.pipeline.lock:  # two threads may both think that it is theirs to end
            if self.ended:
                raise UsageError("a run can end once")
            self.ended = True
        end = RunEndDraft(
            run=self,
            seq=next(self.seqs),
            ended_ns=perf_counter_ns(),
            status=RunEnd.FAILURE if error is not None else self._said or self._concluded(),
            emitted=next(self.emissions),
            evidence=None if error is None else evidence_of(error),
            cause_bits=0 if error is None else self.passages.origin(error, scope=0),
        )
        self.pipeline.over(self, end)

    def _concluded(self) -> RunEnd:
        if self._failed:
            return RunEnd.FAILURE
        return RunEnd.PARTIAL if self.outcomes.unrepaired else RunEnd.SUCCESS

    def counted_anew(self) -> None:
        """In a forked child: `emitted` counts what one producer emitted, and the child is another one."""
        self.emissions = itertools.count(1)
        if self.held is not None:
            self.held.forsake()
            self.held = self.pipeline.holdback()

    def guard(self, error: Exception, *, quietly: bool = False) -> None:
        """Keep an error of the SDK's from the agent, counted; see `Pipeline.guard`."""
        self.pipeline.guard(error, quietly=quietly)


def _origin() -> Origin | None:
    """Where the calling code is, in whichever run."""
    scope = CURRENT.get()
    return None if scope is None else Origin(scope.run.run_id, scope.bits, sampled=scope.run.held is None)
