"""Converts the spans of a request to events: which agent ran, what opens and ends a run, where an error came from.

- A span that has no parent, or a remote one, starts and finishes the run. Of several the store takes the start without a
  parent, else the earliest, and the end without a parent, else the latest, so a root may arrive last. A run whose root never
  comes, and in which no agent ended, stays `running` until its silence is too long.
- A root that only frames its run (an agent, a workflow, something unknown) is no step; a model call or tool without a parent
  is both.
- `emitted` is 0: an exporter does not say how many spans it made, so completeness is `unknown`.
- `seq` is 0 throughout: spans order by their start. Sent again, a request gives the same events.
- A span belongs to the nearest agent above it in the request, else to its service.
- An error that a child has too came from the child: the failure is counted there, and passed on here (`cause_step_id`).
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import msgspec

from agenttracer.wire.envelope import Producer
from agenttracer.wire.errors import ContractError
from agenttracer.wire.events import AgentExecution, Event, RunFinished, RunHeartbeat, RunStarted, StepFinished
from agenttracer.wire.vocabulary import END_STATUS, EndReason, RunEnd, RunKind, StepStatus
from producer_gateway.events.validate import Rejection, ValidBatch
from producer_gateway.otlp.mapping import RESOURCE_ROWS
from producer_gateway.otlp.reading.digests import Digests
from producer_gateway.otlp.span import DecodedSpans
from producer_gateway.otlp.step import MappedStep, map_attributes, read
from producer_gateway.otlp.values import label
from servicekit import codec

# The codec's own form of the events: what it would make of the dataclasses, at a third of the cost. Values are fitted already.
_STARTED: Final[Any] = codec.struct_of(RunStarted)
_STEP: Final[Any] = codec.struct_of(StepFinished)
_FINISHED: Final[Any] = codec.struct_of(RunFinished)
_HEARTBEAT: Final[Any] = codec.struct_of(RunHeartbeat)
_EXECUTION: Final[Any] = codec.struct_of(AgentExecution)
_PRODUCER_ID: Final = "otlp"
_UNKNOWN: Final = "unknown"
_NO_SERVICE: Final = "unknown_service"
_K = TypeVar("_K", bound=Hashable)


class _PlacedStep(msgspec.Struct, gc=False):
    """A step, its span's index in the request, and which resource it is of."""

    at: int
    part: int
    step: MappedStep


@dataclass(frozen=True, slots=True)
class ConvertedTraces:
    """The events of a request: one batch a producer, the spans that could not be taken, and what was left out of others."""

    batches: Sequence[ValidBatch]
    rejected: Sequence[Rejection]
    dropped: Mapping[str, int]
    """Values, by rule."""
    left_out: Mapping[str, int]
    """Attributes, by class of name."""


def to_events(decoded: DecodedSpans, digests: Digests | None = None) -> ConvertedTraces:
    """The events of a request's spans. Never fails: a span that does not fit the contract is a rejection."""
    dropped = decoded.dropped.copy()
    rejected: list[Rejection] = []
    placed = list(_steps(decoded, digests, dropped, rejected))
    services = [_service(map_attributes(part.resource, RESOURCE_ROWS, dropped)) for part in decoded.parts]
    causes = _causes(placed)
    events: dict[Producer, tuple[list[Event], list[int]]] = {}
    for each, (made, indices) in zip(placed, _by_producer(placed, services, events), strict=True):
        step = each.step
        if step.in_progress:
            made.append(_progress_event(step))
            indices.append(each.at)
        elif step.opens_run:
            found = _run_events(step, causes.get(_key(step)) if step.failed else None)
            made.extend(found)
            indices.extend([each.at] * len(found))
        else:
            made.append(_step_event(step, causes.get(_key(step)) if step.failed else None))
            indices.append(each.at)
    checked = [ValidBatch(producer=producer, events=made, indices=indices) for producer, (made, indices) in events.items()]
    return ConvertedTraces(checked, rejected, dropped, decoded.left_out)


def _steps(
    decoded: DecodedSpans, digests: Digests | None, dropped: Counter[str], rejected: list[Rejection]
) -> Iterator[_PlacedStep]:
    index = 0
    for number, part in enumerate(decoded.parts):
        for span in part.spans:
            try:
                yield _PlacedStep(index, number, read(span, dropped, digests))
            except ContractError as error:
                rejected.append(Rejection(index=index, field=error.field, code=error.rule))
            index += 1


def _step_event(step: MappedStep, cause: str | None) -> Event:
    return cast(
        "Event",
        _STEP(
            run_id=step.run_id,
            seq=0,
            step_id=step.step_id,
            kind=step.kind,
            name=step.name,
            started_at=step.started_at,
            duration_us=step.duration_us,
            status=StepStatus.ERROR if step.failed else StepStatus.OK,
            parent_step_id=step.parent_step_id,
            attempt=step.attempt,
            evidence=step.evidence,
            cause_step_id=cause,
            work_digest=step.work_digest,
            returned_error=step.returned_error,
            agent=_execution(step) if step.executes_agent and step.parent_step_id is not None else None,
            cost=step.cost,
            session_digest=step.session_digest,
            metadata=step.metadata,
        ),
    )


def _execution(step: MappedStep) -> AgentExecution:
    return cast(
        "AgentExecution", _EXECUTION(name=step.agent or step.name, version=step.agent_version, end_reason=step.end_reason)
    )


def _progress_event(step: MappedStep) -> Event:
    """Of a span that has no end yet: what it is will be said when it has one."""
    if step.opens_run:
        return _started(step)
    return cast("Event", _HEARTBEAT(run_id=step.run_id, at=step.started_at))


def _started(step: MappedStep) -> Event:
    return cast(
        "Event",
        _STARTED(
            run_id=step.run_id,
            seq=0,
            started_at=step.started_at,
            parent_step_id=step.parent_step_id,
            session_digest=step.session_digest,
            kind=RunKind.TRACE if step.is_request else RunKind.AGENT,
            metadata={} if step.is_step else step.metadata,
        ),
    )


def _run_events(step: MappedStep, cause: str | None) -> list[Event]:
    """Of a span that opens a run: start, the step if it is one, end."""
    finished = _FINISHED(
        run_id=step.run_id,
        seq=0,
        ended_at=step.started_at + step.duration_us,
        status=_end_status(step),
        emitted=0,
        evidence=step.evidence,
        cause_step_id=cause or (step.step_id if step.failed and step.is_step else None),
        end_reason=step.end_reason,
        parent_step_id=step.parent_step_id,
    )
    return [_started(step), *([_step_event(step, cause)] if step.is_step else []), finished]


def _end_status(step: MappedStep) -> RunEnd:
    if step.end_reason is not None and step.end_reason is not EndReason.COMPLETED:
        (status,) = END_STATUS[step.end_reason]
        return status
    return RunEnd.FAILURE if step.failed else RunEnd.SUCCESS


# --- which agent ran ---------------------------------------------------------------------------------------------------


def _service(said: Mapping[str, Any]) -> Producer:
    sdk = label(f"otel-{said.get('@language', _UNKNOWN)}-{said.get('@sdk_version', _UNKNOWN)}")
    return Producer(
        id=_PRODUCER_ID, agent=said.get("@agent", _NO_SERVICE), agent_version=said.get("@agent_version", _UNKNOWN), sdk=sdk
    )


_ProducerEvents = tuple[list[Event], list[int]]
_Step = tuple[int, str, str]
"""Resource, run and step: what identifies a step here."""


def _by_producer(
    placed: Sequence[_PlacedStep], services: Sequence[Producer], producers: dict[Producer, _ProducerEvents]
) -> Iterator[_ProducerEvents]:
    """For each step the events of its producer: of the nearest agent above it, else of the service."""
    known: dict[tuple[int, str | None, str | None], _ProducerEvents] = {}
    agents = _nearest_agents(placed)
    for each, agent in zip(placed, agents, strict=True):
        said = (each.part, None, None) if agent is None else (each.part, agent.agent, agent.agent_version)
        found = known.get(said)
        if found is None:
            service = services[each.part]
            found = known[said] = producers.setdefault(service if agent is None else _agent(agent, service), ([], []))
        yield found


def _nearest_agents(placed: Sequence[_PlacedStep]) -> Sequence[MappedStep | None]:
    """Of each step: itself or the nearest step above it, within its resource, that names an agent."""
    named = {(each.part, each.step.run_id, each.step.step_id): each.step for each in placed if each.step.agent is not None}
    if not named:
        return [None] * len(placed)
    ids = {each.step.step_id for each in placed}
    if len(ids) < len(placed):
        return _climb(placed)
    found: list[MappedStep | None] = []
    for each in placed:
        step = each.step
        agent = step if step.agent is not None else named.get((each.part, step.run_id, step.parent_step_id or ""))
        if agent is None and step.parent_step_id in ids:
            return _climb(placed)
        found.append(agent)
    return found


def _climb(placed: Sequence[_PlacedStep]) -> Sequence[MappedStep | None]:
    """As `_nearest_agents`, by way of any number of steps. Of several with the same ids the last speaks for all."""
    keys: list[_Step] = [(each.part, each.step.run_id, each.step.step_id) for each in placed]
    known = dict(zip(keys, (each.step for each in placed), strict=True))
    above = {key: (key[0], key[1], step.parent_step_id or "") for key, step in known.items() if step.agent is None}
    tops = _ends({key: parent for key, parent in above.items() if parent in known})
    agents = [known[tops.get(key, key)] for key in keys]
    return [None if step.agent is None else step for step in agents]


def _agent(step: MappedStep, service: Producer) -> Producer:
    agent_version = step.agent_version or service.agent_version
    return Producer(id=service.id, agent=step.agent or service.agent, agent_version=agent_version, sdk=service.sdk)


# --- where an error came from --------------------------------------------------------------------------------------------


def _causes(placed: Sequence[_PlacedStep]) -> dict[tuple[str, str], str]:
    """By step: the nested step whose error passed through it, as far as this request shows."""
    failed = {_key(each.step): each.step for each in placed if each.step.failed}
    if not failed:
        return {}
    below: dict[tuple[str, str | None], MappedStep] = {}
    for step in failed.values():
        parent = failed.get((step.run_id, step.parent_step_id or ""))
        last = below.get((step.run_id, step.parent_step_id))
        if parent is not None and _passes_on(parent, step) and (last is None or _end(last) < _end(step)):
            below[step.run_id, step.parent_step_id] = step
    ends = _ends({key: _key(below[key]) for key in failed if key in below})
    return {key: end[1] for key, end in ends.items() if end != key}


def _passes_on(parent: MappedStep, child: MappedStep) -> bool:
    """Whether the parent's error may be the child's: the same class, or a parent that knows nothing of its own."""
    if parent.evidence is None:
        return True
    return child.evidence is not None and parent.evidence.error_class == child.evidence.error_class


def _end(step: MappedStep) -> tuple[int, str]:
    return step.started_at + step.duration_us, step.step_id


def _key(step: MappedStep) -> tuple[str, str]:
    return step.run_id, step.step_id


def _ends(pointers: Mapping[_K, _K]) -> dict[_K, _K]:
    """Where each chain of pointers ends, every pointer followed once; a ring ends where it was entered."""
    ends: dict[_K, _K] = {}
    for start in pointers:
        path: dict[_K, None] = {}
        at = start
        while at in pointers and at not in ends and at not in path:
            path[at] = None
            at = pointers[at]
        end = ends.get(at, at)
        ends.update(dict.fromkeys(path, end))
    return ends
