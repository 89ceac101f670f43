"""Contract objects to JSON, as the SDK sends them, with the standard library. Defaults and absent values are left out."""

import json
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

from agenttracer.wire.envelope import Batch, Producer, Record
from agenttracer.wire.events import Event

_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode  # `json.dumps` would make one for each call
_ATOMS: Final = frozenset({str, int, float, bool})


def to_json(item: Event | Producer | Batch | Record) -> bytes:
    """UTF-8 JSON without spaces. Never fails on an object that a reader built."""
    return _encode(to_members(item)).encode()


def to_members(item: Event | Producer | Batch | Record) -> dict[str, object]:
    """The JSON members of a contract object, as plain values."""
    kind: Any = type(item)
    shape = _shape(kind)
    members = shape.tag.copy()
    for name, default, value in zip(shape.names, shape.defaults, shape.values(item), strict=True):
        if value is None or value == default:
            continue
        members[name] = value if type(value) in _ATOMS else _plain(value)
    return members


def _plain(value: Any) -> object:  # noqa: ANN401 - a member's value
    if is_dataclass(value):
        return to_members(value)  # type: ignore[arg-type]  # Evidence, Producer or an event
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


class _Shape(NamedTuple):
    """One of the contract's classes: its tag, and the names, defaults and values of its members."""

    tag: dict[str, object]
    names: tuple[str, ...]
    defaults: tuple[object, ...]
    values: Callable[[object], tuple[object, ...]]


@cache
def _shape(kind: Any) -> _Shape:  # noqa: ANN401 - any of the contract's classes
    members = fields(kind)
    names = tuple(member.name for member in members)
    defaults = tuple(_default(member.default, member.default_factory) for member in members)
    return _Shape({"type": kind.type} if hasattr(kind, "type") else {}, names, defaults, attrgetter(*names))


def _default(value: object, factory: Callable[[], object] | Any) -> object:  # noqa: ANN401 - dataclasses' own sentinel
    if factory is not MISSING:
        return factory()
    return value
