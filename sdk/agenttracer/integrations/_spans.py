"""Runs and steps that start in one call and end in another: all that the integrations know of the SDK's inside.

A `with` block cannot span two callbacks, so what `Run` and `Step` do on entering and leaving stands here for explicit
places and times. No context variable is set, and nothing here knows a framework.
"""

from dataclasses import dataclass
from time import perf_counter_ns, time_ns
from typing import NamedTuple

from agenttracer._current import CURRENT
from agenttracer._draft import MetadataInput, RunEndDraft, StepDraft
from agenttracer._evidence import evidence_of
from agenttracer._ids import new_step_bits
from agenttracer._pipeline import Pipeline
from agenttracer._run import Run
from agenttracer._traceparent import Origin
from agenttracer.wire.events import Evidence
from agenttracer.wire.vocabulary import RunEnd, StepKind

Fault = BaseException | Evidence
"""Why something ended badly: the exception itself, or what is known of it. The exception is read at once and never kept."""


class Place(NamedTuple):
    """Where something nests: a run and a step of it, 0 for the run itself."""

    run: Run
    bits: int


class SpanStep(StepDraft):
    """A step that is ended by `end_step`."""

    __slots__ = ("known_as",)

    run: Run
    known_as: tuple[StepKind, str]
    """Kind and name at its start, under which attempts are counted: the end may know better ones."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Opening:
    """What is known of a run or step at its start. `began_at_ns` is Unix time; 0 means now."""

    kind: StepKind
    name: str
    metadata: MetadataInput
    attempt: int = 0
    bits: int = 0
    began_at_ns: int = 0
    run_id: str | None = None
    """For a run, should one have to be started."""
    origin: Origin | None = None
    """The parent of that run, in another process."""


def current_place() -> Place | None:
    """Where the calling code is, by the SDK's own context."""
    scope = CURRENT.get()
    return None if scope is None else Place(scope.run, scope.bits)


def start_run(pipeline: Pipeline, opening: Opening, *, metadata: MetadataInput) -> Run:
    """Start a run, which is the child of `opening.origin` or else of the run that the calling code is in."""
    run = Run(pipeline)
    if opening.run_id is not None:
        run.run_id = opening.run_id
    if opening.began_at_ns:
        run.started_ns -= max(0, time_ns() - opening.began_at_ns)
        run.started_us = opening.began_at_ns // 1_000
    run.origin = opening.origin or _current_origin()
    run.metadata = pipeline.fit.metadata(metadata)
    pipeline.began(run)
    return run


def _current_origin() -> Origin | None:
    place = current_place()
    return None if place is None else Origin(place.run.run_id, place.bits, sampled=place.run.held is None)


def end_run(run: Run, *, fault: Fault | None, cause_bits: int, ended_at_ns: int) -> None:
    """End a run: as `failure` with a fault, else as its steps say. A run that the agent's code ended already stays as it is."""
    if not run.claim_end():
        return
    end = RunEndDraft(
        run,
        seq=next(run.seqs),
        ended_ns=_moment_ns(run, ended_at_ns),
        status=run.concluded() if fault is None else RunEnd.FAILURE,
        emitted=next(run.emissions),
        evidence=None if fault is None else _evidence(fault),
        cause_bits=cause_bits,
    )
    run.pipeline.over(run, end)


def start_step(place: Place, opening: Opening) -> SpanStep:
    """Start a step at `place`."""
    run, step = place.run, SpanStep()
    step.run = run
    step.kind, step.name = step.known_as = opening.kind, opening.name
    step.bits = opening.bits or new_step_bits()
    step.parent_bits = place.bits
    outcomes = run.remembering().outcomes
    step.attempt = opening.attempt or outcomes.next_attempt(parent=place.bits, kind=opening.kind, name=opening.name)
    step.metadata = dict(opening.metadata)
    step.evidence = None
    step.cause_bits = 0
    step.seq = next(run.seqs)
    step.began_ns = _moment_ns(run, opening.began_at_ns)
    step.ended_ns = 0
    return step


def end_step(step: SpanStep, *, fault: Fault | None, cause_bits: int, ended_at_ns: int) -> None:
    """End a step and hand it to the queue. Whoever calls this has to make sure that it is called once."""
    run = step.run
    step.ended_ns = _moment_ns(run, ended_at_ns)
    kind, name = step.known_as
    if fault is None:
        run.remembering().outcomes.succeeded(parent=step.parent_bits, kind=kind, name=name)
    else:
        step.evidence, step.cause_bits = _evidence(fault), cause_bits
        run.remembering().outcomes.errored(parent=step.parent_bits, kind=kind, name=name, attempt=step.attempt)
    next(run.emissions)
    run.outlet.detail(step)


def _evidence(fault: Fault) -> Evidence:
    return fault if isinstance(fault, Evidence) else evidence_of(fault)


def _moment_ns(run: Run, at_ns: int) -> int:
    """A reading of the monotonic clock: now, or what it was at the Unix time `at_ns` by the run's own two clocks."""
    return run.started_ns + at_ns - run.started_us * 1_000 if at_ns else perf_counter_ns()
