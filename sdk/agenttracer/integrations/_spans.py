"""Runs and steps that start in one call and end in another: the only part of the integrations that uses the SDK's internals.

A `with` block cannot span two callbacks. So these functions do what `Run` and `Step` do on entering and leaving, with explicit
parents and times. They set no context variable and know no framework.
"""

from dataclasses import dataclass
from time import perf_counter_ns, time_ns
from typing import NamedTuple

from agenttracer._events.evidence import evidence_of
from agenttracer._events.pending_event import MetadataInput, PendingStep, StepFacts
from agenttracer._events.traceparent import Origin
from agenttracer._ids import new_step_bits
from agenttracer._tracing.context import current_scope
from agenttracer._tracing.ending import ending_for, reason_of, reason_of_class
from agenttracer._tracing.error_history import Call
from agenttracer._tracing.recorder import Recorder
from agenttracer._tracing.run import Run
from agenttracer._tracing.traced_run import TracedRun
from agenttracer._tracing.work_digest import digest_of
from agenttracer.rules.recovery import Place
from agenttracer.wire.events import Evidence, ReturnedError
from agenttracer.wire.vocabulary import EndReason, StepKind

Fault = BaseException | Evidence
"""The reason of a failure: the exception itself, or the evidence of one. The exception is read at once and never kept."""


class ParentScope(NamedTuple):
    """The scope that a step nests in: a run and a step of it, 0 for the run itself."""

    run: TracedRun
    bits: int
    place: Place = ()
    """Kinds and names of the steps around, as far as they are this framework's."""


class TrackedStep(PendingStep):
    """A step that is ended by `end_step`."""

    __slots__ = ("place",)

    run: TracedRun
    place: Place
    """With kind and name at its start, under which attempts are counted: they may change until the end."""


@dataclass(slots=True, frozen=True, kw_only=True)
class SpanStart:
    """The facts of a run or step at its start. `began_at_ns` is Unix time; 0 means now."""

    kind: StepKind
    name: str
    metadata: MetadataInput
    attempt: int = 0
    bits: int = 0
    began_at_ns: int = 0
    work: object = None
    """The arguments of a tool, if they are known: they are hashed at once. None if not."""
    run_id: str | None = None
    """For the run, if one has to be started."""
    origin: Origin | None = None
    """The parent of that run, in another process."""


def current_parent() -> ParentScope | None:
    """The scope that the calling code is in."""
    scope = current_scope()
    return None if scope is None else ParentScope(scope.run, scope.bits)


def start_run(recorder: Recorder, start: SpanStart, *, metadata: MetadataInput) -> Run:
    """Start a run, which is the child of `start.origin` or else of the run that the calling code is in."""
    run = Run(recorder)
    if start.run_id is not None:
        run.run_id = start.run_id
    if start.began_at_ns:
        run.started_ns -= max(0, time_ns() - start.began_at_ns)
        run.started_us = start.began_at_ns // 1_000
    run.origin = start.origin or _current_origin()
    run.metadata = recorder.sanitizer.waiting_metadata(metadata)
    recorder.run_started(run)
    return run


def _current_origin() -> Origin | None:
    parent = current_parent()
    return None if parent is None else Origin(parent.run.run_id, parent.bits, sampled=parent.run.tail_buffer is None)


def end_run(run: TracedRun, *, fault: Fault | None, interrupted: bool, cause_bits: int, ended_at_ns: int) -> None:
    """End a run as its fault and its steps say. A run that the agent's code has ended stays as it is.

    `interrupted`: one of its steps was, to ask a person, and the framework kept that from the run.
    """
    reason = EndReason.COMPLETED if fault is None else reason_of_fault(fault)
    ending = ending_for(run, EndReason.INTERRUPTED if interrupted and reason is EndReason.COMPLETED else reason)
    if not run.claim_end():
        return
    end = run.new_end(_moment_ns(run, ended_at_ns), ending.status, ending.reason)
    if fault is not None and ending.is_error:
        end.evidence = _evidence(fault, run)
    if ending.is_error:
        end.cause_bits = cause_bits
    run.recorder.run_ended(run, end)


def reason_of_fault(fault: Fault) -> EndReason | None:
    """The reason to end that a fault stands for; None: it is an error."""
    return reason_of_class(fault.error_class) if isinstance(fault, Evidence) else reason_of(fault)


def start_step(parent: ParentScope, start: SpanStart) -> TrackedStep:
    """Start a step in `parent`."""
    run, step = parent.run, TrackedStep()
    step.run = run
    step.kind, step.name = start.kind, start.name
    step.place = (*parent.place, (start.kind, start.name))
    step.bits = start.bits or new_step_bits()
    step.parent_bits = parent.bits
    step.metadata = dict(start.metadata)
    step.evidence = step.facts = None
    step.seq = run.next_seq()
    step.began_ns = _moment_ns(run, start.began_at_ns)
    step.ended_ns = 0
    step.attempt = -start.attempt
    if start.work is not None:
        identify(step, start.work)
    if not step.attempt:
        step.attempt = run.ensure_error_history().steps.attempt_of(_call(step))
    return step


def identify(step: TrackedStep, work: object) -> None:
    """Say with which arguments a tool is called."""
    facts = step.facts = step.facts or StepFacts()
    kind, name = step.place[-1]
    facts.work_digest = digest_of(step.run.work_salt(), kind, name, (work,))


def _call(step: TrackedStep) -> Call:
    digest = None if step.facts is None else step.facts.work_digest
    return Call(step.place, digest, step.began_ns, step.ended_ns, max(0, -step.attempt))


def end_step(
    step: TrackedStep, *, fault: Fault | None, returned: ReturnedError | None, cause_bits: int, ended_at_ns: int
) -> None:
    """End a step and hand it to the queue. To be called once per step."""
    run = step.run
    step.ended_ns = _moment_ns(run, ended_at_ns)
    run.emitted += 1
    if fault is not None:
        step.evidence, step.cause_bits = _evidence(fault, run), cause_bits
    if returned is not None:
        facts = step.facts = step.facts or StepFacts()
        facts.returned_error = returned
    outcomes = run.ensure_error_history().steps
    with run.recorder.lock:
        attempt = outcomes.ended(_call(step), failed=fault is not None or returned is not None)
    if step.attempt > 0:
        step.attempt = attempt
    run.sink.put_step(step)


def _evidence(fault: Fault, run: TracedRun) -> Evidence:
    return fault if isinstance(fault, Evidence) else evidence_of(fault, read_text=run.recorder.read_errors)


def _moment_ns(run: TracedRun, at_ns: int) -> int:
    """A reading of the monotonic clock: now, or at the Unix time `at_ns` by the run's own two clocks."""
    return run.started_ns + at_ns - run.started_us * 1_000 if at_ns else perf_counter_ns()
