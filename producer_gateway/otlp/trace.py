"""The spans of a request to events: who ran, what opens and ends a run, where an error came from.

- A span that has no parent, or a remote one, starts and finishes the run. Of several the store takes the start without a
  parent, else the earliest, and the latest end, so a root may arrive last, and a run whose root never comes stays `running`
  until its silence is too long.
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
from agenttracer.wire.events import Event, RunFinished, RunStarted, StepFinished
from agenttracer.wire.vocabulary import RunEnd, StepStatus
from producer_gateway.check import Checked, Rejection
from producer_gateway.otlp.span import Decoded
from producer_gateway.otlp.step import Step, place, read
from producer_gateway.otlp.table import RESOURCE_ROWS, label
from servicekit import codec

# The codec's own form of the events: what it would make of the dataclasses, at a third of the cost. Values are fitted already.
_STARTED: Final[Any] = codec.struct_of(RunStarted)
_STEP: Final[Any] = codec.struct_of(StepFinished)
_FINISHED: Final[Any] = codec.struct_of(RunFinished)
_PRODUCER_ID: Final = "otlp"
_UNKNOWN: Final = "unknown"
_NO_SERVICE: Final = "unknown_service"
_K = TypeVar("_K", bound=Hashable)


class _Placed(msgspec.Struct, gc=False):
    """A step, its span's place in the request, and which resource it is of."""

    at: int
    part: int
    step: Step


@dataclass(frozen=True, slots=True)
class Traces:
    """What a request became: one `Checked` a producer, the spans that could not be taken, and what was left out of others."""

    checked: Sequence[Checked]
    rejected: Sequence[Rejection]
    dropped: Mapping[str, int]
    """Values, by rule."""
    left_out: Mapping[str, int]
    """Attributes, by class of name."""


def to_events(decoded: Decoded) -> Traces:
    """The events of a request's spans. Never fails: a span that the contract has no place for is a rejection."""
    dropped = decoded.dropped.copy()
    rejected: list[Rejection] = []
    placed = list(_steps(decoded, dropped, rejected))
    services = [_service(place(part.resource, RESOURCE_ROWS, dropped)) for part in decoded.parts]
    causes = _causes(placed)
    events: dict[Producer, tuple[list[Event], list[int]]] = {}
    for each, (made, indices) in zip(placed, _lots(placed, services, events), strict=True):
        step = each.step
        if step.opens_run:
            found = _run_events(step, causes.get(_key(step)) if step.failed else None)
            made.extend(found)
            indices.extend([each.at] * len(found))
        else:
            made.append(_step_event(step, causes.get(_key(step)) if step.failed else None))
            indices.append(each.at)
    checked = [Checked(producer=producer, events=made, indices=indices) for producer, (made, indices) in events.items()]
    return Traces(checked, rejected, dropped, decoded.left_out)


def _steps(decoded: Decoded, dropped: Counter[str], rejected: list[Rejection]) -> Iterator[_Placed]:
    index = 0
    for number, part in enumerate(decoded.parts):
        for span in part.spans:
            try:
                yield _Placed(index, number, read(span, dropped))
            except ContractError as error:
                rejected.append(Rejection(index=index, field=error.field, code=error.rule))
            index += 1


def _step_event(step: Step, cause: str | None) -> Event:
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
            metadata=step.metadata,
        ),
    )


def _run_events(step: Step, cause: str | None) -> list[Event]:
    """Of a span that opens a run: start, the step if it is one, end."""
    finished = _FINISHED(
        run_id=step.run_id,
        seq=0,
        ended_at=step.started_at + step.duration_us,
        status=RunEnd.FAILURE if step.failed else RunEnd.SUCCESS,
        emitted=0,
        evidence=step.evidence,
        cause_step_id=cause or (step.step_id if step.failed and step.is_step else None),
    )
    about = {} if step.is_step else step.metadata
    started = _STARTED(run_id=step.run_id, seq=0, started_at=step.started_at, parent_step_id=step.parent_step_id, metadata=about)
    return [started, *([_step_event(step, cause)] if step.is_step else []), finished]


# --- who ran -------------------------------------------------------------------------------------------------------------


def _service(said: Mapping[str, Any]) -> Producer:
    sdk = label(f"otel-{said.get('@language', _UNKNOWN)}-{said.get('@sdk_version', _UNKNOWN)}")
    return Producer(
        id=_PRODUCER_ID, agent=said.get("@agent", _NO_SERVICE), agent_version=said.get("@agent_version", _UNKNOWN), sdk=sdk
    )


_Lot = tuple[list[Event], list[int]]
_Step = tuple[int, str, str]
"""Resource, run and step: what identifies a step here."""


def _lots(placed: Sequence[_Placed], services: Sequence[Producer], lots: dict[Producer, _Lot]) -> Iterator[_Lot]:
    """For each step its producer's lot, made where there is none: of the nearest agent above it, else of the service."""
    known: dict[tuple[int, str | None, str | None], _Lot] = {}
    agents = _nearest_agents(placed)
    for each, agent in zip(placed, agents, strict=True):
        said = (each.part, None, None) if agent is None else (each.part, agent.agent, agent.agent_version)
        lot = known.get(said)
        if lot is None:
            service = services[each.part]
            lot = known[said] = lots.setdefault(service if agent is None else _agent(agent, service), ([], []))
        yield lot


def _nearest_agents(placed: Sequence[_Placed]) -> Sequence[Step | None]:
    """Of each step: itself or the nearest step above it, within its resource, that names an agent."""
    named = {(each.part, each.step.run_id, each.step.step_id): each.step for each in placed if each.step.agent is not None}
    if not named:
        return [None] * len(placed)
    ids = {each.step.step_id for each in placed}
    if len(ids) < len(placed):
        return _climb(placed)
    found: list[Step | None] = []
    for each in placed:
        step = each.step
        agent = step if step.agent is not None else named.get((each.part, step.run_id, step.parent_step_id or ""))
        if agent is None and step.parent_step_id in ids:
            return _climb(placed)
        found.append(agent)
    return found


def _climb(placed: Sequence[_Placed]) -> Sequence[Step | None]:
    """As `_nearest_agents`, by way of any number of steps. Of several with the same ids the last speaks for all."""
    keys: list[_Step] = [(each.part, each.step.run_id, each.step.step_id) for each in placed]
    known = dict(zip(keys, (each.step for each in placed), strict=True))
    above = {key: (key[0], key[1], step.parent_step_id or "") for key, step in known.items() if step.agent is None}
    tops = _ends({key: parent for key, parent in above.items() if parent in known})
    agents = [known[tops.get(key, key)] for key in keys]
    return [None if step.agent is None else step for step in agents]


def _agent(step: Step, service: Producer) -> Producer:
    agent_version = step.agent_version or service.agent_version
    return Producer(id=service.id, agent=step.agent or service.agent, agent_version=agent_version, sdk=service.sdk)


# --- where an error came from --------------------------------------------------------------------------------------------


def _causes(placed: Sequence[_Placed]) -> dict[tuple[str, str], str]:
    """By step: the nested step whose error passed through it, as far as this request shows."""
    failed = {_key(each.step): each.step for each in placed if each.step.failed}
    if not failed:
        return {}
    below: dict[tuple[str, str | None], Step] = {}
    for step in failed.values():
        parent = failed.get((step.run_id, step.parent_step_id or ""))
        last = below.get((step.run_id, step.parent_step_id))
        if parent is not None and _passes_on(parent, step) and (last is None or _end(last) < _end(step)):
            below[step.run_id, step.parent_step_id] = step
    ends = _ends({key: _key(below[key]) for key in failed if key in below})
    return {key: end[1] for key, end in ends.items() if end != key}


def _passes_on(parent: Step, child: Step) -> bool:
    """Whether the parent's error may be the child's: the same class, or a parent that knows nothing of its own."""
    if parent.evidence is None:
        return True
    return child.evidence is not None and parent.evidence.error_class == child.evidence.error_class


def _end(step: Step) -> tuple[int, str]:
    return step.started_at + step.duration_us, step.step_id


def _key(step: Step) -> tuple[str, str]:
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
