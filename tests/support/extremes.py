"""Every field of the contract at its least and greatest, derived from the annotations: a new field is among them by itself."""

import dataclasses
import random
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from agenttracer.wire import events as wire
from agenttracer.wire.envelope import Producer, Record
from agenttracer.wire.vocabulary import INVALID_NAME

_ENDS_OF_FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "name": ("0", "z" * 64),
    "code": ("a", "z" + "_" * 63),
    "run_id": ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    "step_id": ("0" * 16, "f" * 16),
    "fingerprint": ("0" * 32, "f" * 32),
    "work_digest": ("0" * 16, "f" * 16),
    "session_digest": ("0" * 32, "f" * 32),
    "currency": ("AAA", "ZZZ"),
}
_METADATA: Final[Mapping[str, wire.MetadataValue]] = {
    "least": wire.INT64_MIN,
    "most": wire.INT64_MAX,
    "tiny": 5e-324,
    "huge": 1.7976931348623157e308,
    "negative_zero": -0.0,
    "yes": True,
    "label": "z" * 64,
    **{f"k{number}_".ljust(64, "x"): number for number in range(wire.METADATA_MAX_KEYS - 7)},
}
_PRODUCER: Final = Producer(id="p", agent="a", agent_version="1")
_NOW: Final = 1_768_469_400_000_000
_TIMES: Final = (wire.TIME_MIN_US, wire.TIME_MIN_US + 1, _NOW, _NOW + 1, wire.TIME_MAX_US - 1, wire.TIME_MAX_US)
_FEW_RUNS: Final = (*_ENDS_OF_FORMS["run_id"], "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0")
_FEW_STEPS: Final = (*_ENDS_OF_FORMS["step_id"], "00f067aa0ba902b7")


def records() -> Iterator[Record]:
    """Events one by one, each alone in its project; the envelope's fields around one event; all kinds together in one record."""
    events = [event for kind in wire.EVENT_KINDS for event in samples(kind)]
    for number, event in enumerate(events):
        yield _record(event, project=f"event-{number}")
    heartbeat = wire.RunHeartbeat(run_id=_ENDS_OF_FORMS["run_id"][0], at=_NOW)
    for number, producer in enumerate(samples(Producer)):
        yield _record(heartbeat, project=f"producer-{number}", producer=producer)
    for name, hint in _hints(Record).items():
        if typing.get_origin(hint) is typing.Annotated:
            for number, value in enumerate(ends(hint)):
                yield _record(heartbeat, **{"project": f"{name}-{number}", name: value})
    for end in (0, -1):
        together = [list(samples(kind))[end] for kind in wire.EVENT_KINDS]
        started, *others = [dataclasses.replace(one, run_id=heartbeat.run_id) for one in together]
        yield _record(dataclasses.replace(started, seq=0), *others, project=f"together{end}")


def hostile(seed: int, *, count: int = 24) -> list[Record]:
    """Records of a few runs that two projects send with the worst values of every field, and that contradict each other."""
    rng = random.Random(seed)
    return [
        _record(
            *(_hostile_event(rng, run_id) for _ in range(rng.randint(1, 4))),
            project=rng.choice(("shop", "bank")),
            producer=_chosen(Producer, rng),
            received_at=rng.choice((wire.TIME_MIN_US, _NOW, wire.TIME_MAX_US)),
        )
        for run_id in (rng.choice(_FEW_RUNS) for _ in range(count))
    ]


def _hostile_event(rng: random.Random, run_id: str) -> Any:
    event = _chosen(rng.choice(wire.EVENT_KINDS), rng)
    ids = {name: rng.choice(_FEW_STEPS) for name in ("step_id", "parent_step_id", "cause_step_id") if getattr(event, name, None)}
    times = {name: rng.choice(_TIMES) for name in ("started_at", "occurred_at", "ended_at", "at") if hasattr(event, name)}
    return dataclasses.replace(event, run_id=run_id, **ids, **times)


def _chosen(target: type, rng: random.Random) -> Any:
    return target(**{name: rng.choice(ends(hint)) for name, hint in _hints(target).items()})


def samples(target: type) -> Iterator[Any]:
    """All fields at their least, all at their greatest, and each field at each of its ends among both; the greatest come last."""
    fields = {name: ends(hint) for name, hint in _hints(target).items()}
    least, most = ({name: values[end] for name, values in fields.items()} for end in (0, -1))
    yield target(**least)
    for name, values in fields.items():
        for value in values:
            yield target(**{**least, name: value})
            yield target(**{**most, name: value})
    yield target(**most)


def ends(hint: Any) -> Sequence[Any]:
    """Values of a field, the least first and the greatest last; None is the least where it may be absent."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return [None, *ends(next(member for member in typing.get_args(hint) if member is not type(None)))]
    if hint == wire.Metadata:
        return [{}, _METADATA]
    if typing.get_origin(hint) is typing.Annotated:
        return _ends_of(hint.__metadata__[0])
    if issubclass(hint, StrEnum):
        return list(hint)
    return list(samples(hint))


def _ends_of(constraint: wire.Form | wire.Range) -> Sequence[Any]:
    if isinstance(constraint, wire.Range):
        return [constraint.low, constraint.high]
    least, most = _ENDS_OF_FORMS[constraint.rule]
    assert constraint.check(least), constraint.rule
    assert constraint.check(most), constraint.rule
    assert len(most) == constraint.max_chars
    return [least, INVALID_NAME, most] if constraint.check(INVALID_NAME) else [least, most]


def _hints(target: type) -> Mapping[str, Any]:
    hints = typing.get_type_hints(target, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(target)}


def _record(*events: wire.Event, **members: Any) -> Record:
    return Record(**{"v": "1.0", "producer": _PRODUCER, "received_at": _NOW, "events": events, **members})
