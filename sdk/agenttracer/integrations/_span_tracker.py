"""The open runs and steps of a framework, by the framework's own ids: how they nest, and which step an error came from.

Holds no object of the framework and no exception. Bounded: frameworks do not always end what they started.
"""

import threading
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Final, ParamSpec

from agenttracer import AgentTracer
from agenttracer._events.pending_event import MetadataInput
from agenttracer._tracing.run import Run
from agenttracer.integrations import _spans
from agenttracer.integrations._spans import Fault, ParentScope, SpanStart, TrackedStep
from agenttracer.rules.error_results import read_result
from agenttracer.wire.events import Evidence, ReturnedError
from agenttracer.wire.vocabulary import EndReason, StepKind

_OPEN_MAX: Final = 20_000
"""Spans open at once, about 15 MiB; the oldest is forgotten beyond it, and counted as a misuse."""


_FLAGGED: Final = ReturnedError(code="tool_error")
"""For a tool that turned its exception into a message for the model: the class is gone by then."""


class OpenSpan:
    """One open span of a framework. Its children nest in `parent`."""

    __slots__ = ("inner", "interrupted", "mark", "outer", "owned", "parent", "step")

    def __init__(
        self, parent: ParentScope, *, outer: "OpenSpan | None", step: TrackedStep | None = None, owned: Run | None = None
    ) -> None:
        self.parent = parent
        self.outer = outer
        self.step = step
        self.owned = owned
        """The run that ends with this span."""
        self.inner: tuple[str, int] | None = None
        """Of the last child that failed with evidence alone: its error's label, and the step that the error came from."""
        self.interrupted = False
        """It or a child of it was interrupted, to ask a person."""
        self.mark = 0
        """A number that the integration keeps for the span's end."""


class SpanTracker:
    """Safe to use from any thread. With a strict tracer every method may raise; `guarded` wraps the framework's hooks."""

    def __init__(self, tracer: AgentTracer, *, framework: str) -> None:
        self._pipeline = tracer._pipeline  # noqa: SLF001 - an integration is part of the SDK
        self._framework = framework
        self._open: dict[Hashable, OpenSpan] = {}

    @property
    def strict(self) -> bool:
        """Whether misfits are to be raised."""
        return self._pipeline.strict

    def name(self, value: object, *, otherwise: str) -> str:
        """A name chosen by a developer, in the contract's form; `otherwise` where there is none.

        Spaces become `-` uncounted, since frameworks' own default names have them; other misfits are counted.
        """
        if not value:
            return otherwise
        hyphened = "-".join(value.split()) if isinstance(value, str) else value
        return self._pipeline.sanitizer.waiting_name(hyphened, field="step name")

    def returned_error(self, result: object, *, flagged: bool = False) -> ReturnedError | None:
        """The error that a tool returned as its result, read in memory for its code and class alone; None if it is none.

        `flagged`: the framework says that it is one.
        """
        found = read_result(result) if self._pipeline.read_errors else None
        if found is not None:
            return ReturnedError(code=found.code, error_class=found.error_class)
        return _FLAGGED if flagged else None

    def find(self, key: Hashable) -> OpenSpan | None:
        """The open span of this id."""
        return self._open.get(key)

    def start(self, key: Hashable, start: SpanStart, *, outer_key: Hashable = None) -> OpenSpan | None:
        """Start a span in that of `outer_key`, else in the active run of this tracer, else as a run of its own.

        A run of kind `other` is not also a step. None when nothing was started: the id is open already, or this is the sender's
        thread.
        """
        if key in self._open or threading.current_thread().name == "agenttracer-sender":
            return None
        outer = self._open.get(outer_key)
        parent = self._parent(outer)
        opened = self._new_root(start) if parent is None else _nested(parent, start, outer=outer)
        with self._pipeline.lock:
            self._open[key] = opened
            forgotten = self._open.pop(next(iter(self._open))) if len(self._open) > _OPEN_MAX else None
        if forgotten is not None:
            self._pipeline.counters.misuse()
        return opened

    def pass_through(self, key: Hashable, *, outer_key: Hashable) -> bool:
        """Let children of `key` nest in `outer_key`, without a step for `key` itself. False when `outer_key` is not open."""
        outer = self._open.get(outer_key)
        if outer is None:
            return False
        with self._pipeline.lock:
            self._open[key] = OpenSpan(outer.parent, outer=outer)
        return True

    def end(
        self,
        key: Hashable,
        *,
        fault: Fault | None = None,
        returned: ReturnedError | None = None,
        work: object = None,
        kind: StepKind | None = None,
        metadata: MetadataInput | None = None,
        ended_at_ns: int = 0,
    ) -> None:
        """End the span of this id, if it is open. `ended_at_ns` is Unix time; 0 means now."""
        with self._pipeline.lock:
            opened = self._open.pop(key, None)
        if opened is None:
            return
        if fault is not None and _spans.reason_of_fault(fault) is EndReason.INTERRUPTED:
            opened.interrupted = True
        if opened.outer is not None:
            opened.outer.interrupted |= opened.interrupted
        if opened.step is not None:
            opened.step.kind = kind or opened.step.kind
            opened.step.metadata = {**(opened.step.metadata or {}), **(metadata or {})}
            if work is not None:
                _spans.identify(opened.step, work)
            step_fault = None if fault is None or _is_harmless(fault) else fault
            _end_step(opened, opened.step, fault=step_fault, returned=returned, ended_at_ns=ended_at_ns)
        if opened.owned is not None:
            cause_bits = 0 if fault is None else _origin(opened, fault, scope=0)
            _spans.end_run(
                opened.owned, fault=fault, interrupted=opened.interrupted, cause_bits=cause_bits, ended_at_ns=ended_at_ns
            )

    def guard(self, error: Exception) -> None:
        """Keep an error of the SDK from the agent, and count it; see `Pipeline.guard`."""
        self._pipeline.guard(error)

    def _parent(self, outer: OpenSpan | None) -> ParentScope | None:
        if outer is not None:
            return outer.parent
        current = _spans.current_parent()
        is_ours = current is not None and current.run.recorder is self._pipeline and not current.run.over
        return current if is_ours else None

    def _new_root(self, start: SpanStart) -> OpenSpan:
        metadata = {"framework": self._framework, "workflow": start.name}
        run = _spans.start_run(self._pipeline, start, metadata=metadata)
        parent = ParentScope(run, 0)
        if start.kind is StepKind.OTHER:
            return OpenSpan(parent, outer=None, owned=run)
        step = _spans.start_step(parent, start)
        return OpenSpan(ParentScope(run, step.bits, step.place), outer=None, step=step, owned=run)


def _nested(parent: ParentScope, start: SpanStart, *, outer: OpenSpan | None) -> OpenSpan:
    step = _spans.start_step(parent, start)
    return OpenSpan(ParentScope(parent.run, step.bits, step.place), outer=outer, step=step)


def _end_step(
    opened: OpenSpan, step: TrackedStep, *, fault: Fault | None, returned: ReturnedError | None, ended_at_ns: int
) -> None:
    cause_bits = 0
    if fault is not None:
        cause_bits = _origin(opened, fault, scope=step.bits)
        _pass_on(opened, fault, into=step.parent_bits, origin=cause_bits or step.bits)
    _spans.end_step(step, fault=fault, returned=returned, cause_bits=cause_bits, ended_at_ns=ended_at_ns)


def _origin(opened: OpenSpan, fault: Fault, *, scope: int) -> int:
    """The nested step that raised `fault`, 0 for this one. Evidence alone is recognised by its class or code."""
    if isinstance(fault, BaseException):
        return opened.parent.run.ensure_error_history().paths.origin(fault, scope=scope)
    return opened.inner[1] if opened.inner is not None and opened.inner[0] == _label(fault) else 0


def _pass_on(opened: OpenSpan, fault: Fault, *, into: int, origin: int) -> None:
    if isinstance(fault, BaseException):
        opened.parent.run.ensure_error_history().paths.passed(fault, into=into, origin=origin)
        return
    receiver = opened if opened.owned is not None else opened.outer
    if receiver is not None:
        receiver.inner = (_label(fault), origin)


def _label(evidence: Evidence) -> str:
    return evidence.error_class or evidence.error_code or ""


def _is_harmless(fault: Fault) -> bool:
    """Whether nothing failed: a stream that was not read to its end, an interrupt, a jump of the framework."""
    if isinstance(fault, GeneratorExit):
        return True
    return _spans.reason_of_fault(fault) in {EndReason.INTERRUPTED, EndReason.COMPLETED}


_P = ParamSpec("_P")


def guarded(hook: Callable[_P, None]) -> Callable[_P, None]:
    """Wrap a method that a framework calls: its object's `tracker` counts its errors, and none reaches the framework."""

    @wraps(hook)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            hook(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            tracker: SpanTracker = args[0].tracker  # type: ignore[attr-defined]  # the integrations' classes have it
            tracker.guard(error)

    return call
