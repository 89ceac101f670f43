"""The open runs and steps of a framework, found by the framework's own ids: who nests in whom, and which error came from where.

Holds no object of the framework's and no exception. Bounded: frameworks do lose track of what they started.
"""

import threading
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Final, ParamSpec

from agenttracer import AgentTracer
from agenttracer._draft import MetadataInput
from agenttracer._run import Run
from agenttracer.integrations import _spans
from agenttracer.integrations._spans import Fault, Opening, Place, SpanStep
from agenttracer.wire.events import Evidence
from agenttracer.wire.vocabulary import StepKind

_OPEN_MAX: Final = 20_000
"""Spans open at once, about 15 MiB; the oldest is forgotten beyond it, and counted as a misuse."""
_NOT_ERRORS: Final = frozenset({"GeneratorExit", "GraphBubbleUp"})
"""Classes that end a step without anything having failed: a stream that was not read on, a LangGraph interrupt or jump."""


class Open:
    """One span of a framework. `place` is where its children nest."""

    __slots__ = ("inner", "mark", "outer", "owned", "place", "step")

    def __init__(self, place: Place, *, outer: "Open | None", step: SpanStep | None = None, owned: Run | None = None) -> None:
        self.place = place
        self.outer = outer
        self.step = step
        self.owned = owned
        """The run that ends with this span."""
        self.inner: tuple[str, int] | None = None
        """What the last child that errored with evidence alone was about, and the step it arose in."""
        self.mark = 0
        """A number that the integration wants to find again."""


class Trail:
    """Safe to use from any thread. Every method may raise what strict tracers raise; `guarded` is for the framework's side."""

    def __init__(self, tracer: AgentTracer, *, framework: str) -> None:
        self._pipeline = tracer._pipeline  # noqa: SLF001 - an integration is part of the SDK
        self._framework = framework
        self._open: dict[Hashable, Open] = {}

    @property
    def strict(self) -> bool:
        """Whether misfits are to be raised."""
        return self._pipeline.strict

    def name(self, value: object, *, otherwise: str) -> str:
        """A name chosen by a developer, as the contract wants it; `otherwise` where there is none.

        Spaces, which frameworks' own default names have, become `-` and are not counted; other misfits are.
        """
        if not value:
            return otherwise
        hyphened = "-".join(value.split()) if isinstance(value, str) else value
        return self._pipeline.fit.name(hyphened, field="step name")

    def find(self, key: Hashable) -> Open | None:
        """The open span of this id."""
        return self._open.get(key)

    def start(self, key: Hashable, opening: Opening, *, outer_key: Hashable = None) -> Open | None:
        """Start a span in that of `outer_key`, else in the active run of this tracer, else as a run of its own.

        A run of kind `other` is not also a step. None when nothing has started: the id is open already, or it is the sender's.
        """
        if key in self._open or threading.current_thread().name == "agenttracer-sender":
            return None
        outer = self._open.get(outer_key)
        place = self._place(outer)
        opened = self._rooted(opening) if place is None else _nested(place, opening, outer=outer)
        with self._pipeline.lock:
            self._open[key] = opened
            forgotten = self._open.pop(next(iter(self._open))) if len(self._open) > _OPEN_MAX else None
        if forgotten is not None:
            self._pipeline.counters.misuse()
        return opened

    def pass_through(self, key: Hashable, *, outer_key: Hashable) -> bool:
        """Let children of `key` nest in `outer_key`, and say nothing of `key` itself. False when there is no such place."""
        outer = self._open.get(outer_key)
        if outer is None:
            return False
        with self._pipeline.lock:
            self._open[key] = Open(outer.place, outer=outer)
        return True

    def end(
        self,
        key: Hashable,
        *,
        fault: Fault | None = None,
        kind: StepKind | None = None,
        metadata: MetadataInput | None = None,
        ended_at_ns: int = 0,
    ) -> None:
        """End the span of this id, if it is open. `ended_at_ns` is Unix time; 0 means now."""
        with self._pipeline.lock:
            opened = self._open.pop(key, None)
        if opened is None:
            return
        fault = None if fault is None or _is_harmless(fault) else fault
        if opened.step is not None:
            opened.step.kind = kind or opened.step.kind
            opened.step.metadata = {**(opened.step.metadata or {}), **(metadata or {})}
            _end_step(opened, opened.step, fault=fault, ended_at_ns=ended_at_ns)
        if opened.owned is not None:
            cause_bits = 0 if fault is None else _origin(opened, fault, scope=0)
            _spans.end_run(opened.owned, fault=fault, cause_bits=cause_bits, ended_at_ns=ended_at_ns)

    def guard(self, error: Exception) -> None:
        """Keep an error of ours from the agent, counted; see `Pipeline.guard`."""
        self._pipeline.guard(error)

    def _place(self, outer: Open | None) -> Place | None:
        if outer is not None:
            return outer.place
        current = _spans.current_place()
        is_ours = current is not None and current.run.pipeline is self._pipeline and not current.run.ended
        return current if is_ours else None

    def _rooted(self, opening: Opening) -> Open:
        metadata = {"framework": self._framework, "workflow": opening.name}
        run = _spans.start_run(self._pipeline, opening, metadata=metadata)
        place = Place(run, 0)
        if opening.kind is StepKind.OTHER:
            return Open(place, outer=None, owned=run)
        step = _spans.start_step(place, opening)
        return Open(Place(run, step.bits), outer=None, step=step, owned=run)


def _nested(place: Place, opening: Opening, *, outer: Open | None) -> Open:
    step = _spans.start_step(place, opening)
    return Open(Place(place.run, step.bits), outer=outer, step=step)


def _end_step(opened: Open, step: SpanStep, *, fault: Fault | None, ended_at_ns: int) -> None:
    cause_bits = 0
    if fault is not None:
        cause_bits = _origin(opened, fault, scope=step.bits)
        _pass_on(opened, fault, into=step.parent_bits, origin=cause_bits or step.bits)
    _spans.end_step(step, fault=fault, cause_bits=cause_bits, ended_at_ns=ended_at_ns)


def _origin(opened: Open, fault: Fault, *, scope: int) -> int:
    """The nested step in which `fault` arose, 0 for this one. Evidence alone is recognised by its class or code."""
    if isinstance(fault, BaseException):
        return opened.place.run.remembering().passages.origin(fault, scope=scope)
    return opened.inner[1] if opened.inner is not None and opened.inner[0] == _about(fault) else 0


def _pass_on(opened: Open, fault: Fault, *, into: int, origin: int) -> None:
    if isinstance(fault, BaseException):
        opened.place.run.remembering().passages.passed(fault, into=into, origin=origin)
        return
    receiver = opened if opened.owned is not None else opened.outer
    if receiver is not None:
        receiver.inner = (_about(fault), origin)


def _about(evidence: Evidence) -> str:
    return evidence.error_class or evidence.error_code or ""


def _is_harmless(fault: Fault) -> bool:
    return any(kind.__name__ in _NOT_ERRORS for kind in type(fault).__mro__)


_P = ParamSpec("_P")


def guarded(hook: Callable[_P, None]) -> Callable[_P, None]:
    """A method that a framework calls: what goes wrong in it is left to its object's `trail`, and never reaches the framework."""

    @wraps(hook)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            hook(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            trail: Trail = args[0].trail  # type: ignore[attr-defined]  # the integrations' classes have one
            trail.guard(error)

    return call
