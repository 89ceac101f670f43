"""The reference reader: plain Python values in, contract objects out, built only from the members that the contract allows.

It is generated from the annotations in `events` and `envelope`, so a constraint stands in one place. Services use a faster
reader built from the same annotations. They use this one for input that the faster one refuses: it names the fault, leaves out
optional values that do not fit, and counts unknown members. A property test holds the two equal.
"""

import types
import typing
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from dataclasses import field as dataclass_field
from enum import StrEnum
from functools import cache
from typing import Any, Final

from agenttracer.wire import form
from agenttracer.wire.envelope import BATCH_MAX_EVENTS, Batch, Producer, Record, supports
from agenttracer.wire.errors import ContractError, VersionError
from agenttracer.wire.events import (
    EVENT_KINDS,
    METADATA_MAX_KEYS,
    Event,
    Form,
    Metadata,
    MetadataValue,
    Range,
    RequiredName,
)
from agenttracer.wire.metadata import metadata_rule

_KINDS: Final[Mapping[object, type[Event]]] = {kind.type: kind for kind in EVENT_KINDS}


@dataclass(slots=True)
class Notes:
    """Counts of values that a reader left out: `dropped` by the rule they broke, `unknown` for members of a later version."""

    dropped: Counter[str] = dataclass_field(default_factory=Counter)
    unknown: int = 0


class Unfit:
    """The policy for a value that does not fit: raise. For the worker: a record is valid or a dead letter."""

    def __init__(self) -> None:
        self.notes = Notes()

    def optional(self, error: ContractError) -> None:
        """An optional value does not fit."""
        raise error

    def name(self, value: str, error: ContractError) -> str:  # noqa: ARG002 - `Lenient` uses it
        """A required name does not fit. Returns its replacement."""
        raise error


class Lenient(Unfit):
    """Leave out a value that does not fit, count it, keep the event. For the gateway."""

    def optional(self, error: ContractError) -> None:
        """Counted and left out."""
        self.notes.dropped[error.rule] += 1

    def name(self, value: str, error: ContractError) -> str:
        """Spaces become `-`; a name that still does not fit becomes `__invalid__`. Counted either way."""
        self.notes.dropped[error.rule] += 1
        return form.fitting_name(value)


def read_event(raw: object, unfit: Unfit) -> Event:
    """Build one event. Raises ContractError when a required member is missing or does not fit."""
    members = _members(raw, "")
    kind = _KINDS.get(_hashable(members.get("type")))
    if kind is None:
        raise ContractError(field="type", rule="unknown_value" if "type" in members else "missing")
    return typing.cast("Event", _build(kind, members, unfit, known={"type"}))


def read_producer(raw: object, unfit: Unfit) -> Producer:
    """Build the producer of a batch or record. Raises ContractError."""
    try:
        return typing.cast("Producer", _build(Producer, _members(raw, ""), unfit))
    except ContractError as error:
        raise error.below("producer") from None


def read_record(raw: object) -> tuple[Record, Notes]:
    """Build a record as a worker reads it: any misfit raises ContractError, unknown members are counted."""
    unfit = Unfit()
    members = _members(raw, "")
    version = _version(members)
    known = {"v", "producer", "events"}
    producer = read_producer(members.get("producer"), unfit)
    events = [_nested(read_event, item, unfit, f"events[{i}]") for i, item in enumerate(_items(members))]
    head = {name: member for name, member in members.items() if name not in known}
    record = _build(Record, head, unfit, given={"v": version, "producer": producer, "events": tuple(events)})
    if len({event.run_id for event in events}) != 1:
        raise ContractError(field="events", rule="one_run")
    return typing.cast("Record", record), unfit.notes


def read_batch_head(raw: object, unfit: Unfit) -> tuple[str, Producer, Sequence[object]]:
    """Version, producer and still unread events of a batch. Raises ContractError, VersionError."""
    members = _members(raw, "")
    version = _version(members)
    producer = read_producer(members.get("producer"), unfit)
    unfit.notes.unknown += len(members.keys() - {f.name for f in fields(Batch)})
    return version, producer, _items(members)


def _version(members: Mapping[str, object]) -> str:
    version = members.get("v")
    if not isinstance(version, str):
        raise ContractError(field="v", rule="type" if "v" in members else "missing")
    if not supports(version):
        raise VersionError(field="v", rule="unsupported_version")
    return version


def _items(members: Mapping[str, object]) -> Sequence[object]:
    items = members.get("events")
    if not isinstance(items, list):
        raise ContractError(field="events", rule="type" if "events" in members else "missing")
    if not 1 <= len(items) <= BATCH_MAX_EVENTS:
        raise ContractError(field="events", rule="range")
    return items


def _members(raw: object, field: str) -> Mapping[str, object]:
    if not isinstance(raw, dict):
        raise ContractError(field=field, rule="missing" if raw is None else "type")
    return raw


def _hashable(value: object) -> object:
    return value if isinstance(value, str) else None


def _nested(read: Callable[[object, Unfit], Any], raw: object, unfit: Unfit, path: str) -> Any:  # noqa: ANN401 - event or evidence
    try:
        return read(raw, unfit)
    except ContractError as error:
        raise error.below(path) from None


def _build(
    target: type,
    members: Mapping[str, object],
    unfit: Unfit,
    *,
    known: frozenset[str] | set[str] = frozenset(),
    given: Mapping[str, object] | None = None,
) -> object:
    built: dict[str, object] = dict(given or {})
    plan = _plan(target)
    for name, required, read in plan:
        if name in built:
            continue
        raw = members.get(name)
        if raw is None:
            if required:
                raise ContractError(field=name, rule="missing")
            continue
        try:
            built[name] = read(raw, unfit)
        except ContractError as error:
            error = error.below(name)
            if required:
                raise error from None
            unfit.optional(error)
    unfit.notes.unknown += len(members.keys() - known - {name for name, _, _ in plan})
    return target(**built)


_Read = Callable[[object, Unfit], object]


@cache
def _plan(target: type) -> tuple[tuple[str, bool, _Read], ...]:
    hints = typing.get_type_hints(target, include_extras=True)
    return tuple((f.name, _required(f), _reader(hints[f.name])) for f in fields(target))


def _required(f: "Field[Any]") -> bool:
    return f.default is MISSING and f.default_factory is MISSING


def _reader(hint: Any) -> _Read:  # noqa: ANN401, PLR0911 - annotations have no narrower type; one line each is the table
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return _reader(next(member for member in typing.get_args(hint) if member is not type(None)))
    if hint == Metadata:
        return _read_metadata
    if hint == RequiredName:
        return _read_required_name
    if typing.get_origin(hint) is typing.Annotated:
        constraint = hint.__metadata__[0]
        return _read_form(constraint) if isinstance(constraint, Form) else _read_range(constraint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _read_enum(hint)
    if hasattr(hint, "__dataclass_fields__"):
        return lambda raw, unfit: _build(hint, _members(raw, ""), unfit)
    return _read_given


def _read_given(_raw: object, _unfit: Unfit) -> object:
    raise AssertionError("version, producer and events are read before the rest of their envelope")


def _read_form(constraint: Form) -> _Read:
    def read(raw: object, _: Unfit) -> str:
        if not isinstance(raw, str):
            raise ContractError(field="", rule="type")
        if len(raw) > constraint.max_chars or not constraint.check(raw):
            raise ContractError(field="", rule=constraint.rule)
        return raw

    return read


def _read_required_name(raw: object, unfit: Unfit) -> str:
    if not isinstance(raw, str):
        raise ContractError(field="", rule="type")
    fits = len(raw) <= form.NAME_MAX_CHARS and form.is_required_name(raw)
    return raw if fits else unfit.name(raw, ContractError(field="", rule="name"))


def _read_range(constraint: Range) -> _Read:
    def read(raw: object, _: Unfit) -> int:
        if not isinstance(raw, int) or isinstance(raw, bool):
            raise ContractError(field="", rule="type")
        if not constraint.low <= raw <= constraint.high:
            raise ContractError(field="", rule="range")
        return raw

    return read


def _read_enum(vocabulary: type[StrEnum]) -> _Read:
    allowed = {str(member): member for member in vocabulary}

    def read(raw: object, _: Unfit) -> StrEnum:
        member = allowed.get(raw) if isinstance(raw, str) else None
        if member is None:
            raise ContractError(field="", rule="unknown_value")
        return member

    return read


def _read_metadata(raw: object, unfit: Unfit) -> dict[str, MetadataValue]:
    kept: dict[str, MetadataValue] = {}
    for key, value in _members(raw, "").items():
        rule = metadata_rule(key, value) if len(kept) < METADATA_MAX_KEYS else "too_many_keys"
        if rule is None:
            kept[key] = typing.cast("MetadataValue", value)
        else:
            # The key is the sender's own string: it is not repeated, since it could be anything.
            unfit.optional(ContractError(field="", rule=rule))
    return kept
