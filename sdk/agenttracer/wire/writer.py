"""Contract objects to JSON, with the standard library: what the SDK sends. Defaults and absent values are left out."""

import json
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any

from agenttracer.wire.envelope import Batch, Producer, Record
from agenttracer.wire.events import Event


def to_json(item: Event | Producer | Batch | Record) -> bytes:
    """UTF-8 JSON without spaces. Never fails on an object that a reader built."""
    return json.dumps(to_members(item), separators=(",", ":"), allow_nan=False).encode()


def to_members(item: Event | Producer | Batch | Record) -> dict[str, object]:
    """The JSON members of a contract object, as plain values."""
    members: dict[str, object] = {"type": item.type} if hasattr(item, "type") else {}
    kind: Any = type(item)
    for name, default in _defaults(kind):
        value = getattr(item, name)
        if value is None or value == default:
            continue
        members[name] = _plain(value)
    return members


def _plain(value: Any) -> object:  # noqa: ANN401 - a member's value
    if is_dataclass(value):
        return to_members(value)  # type: ignore[arg-type]  # Evidence, Producer or an event
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


@cache
def _defaults(target: Any) -> tuple[tuple[str, object], ...]:  # noqa: ANN401 - any of the contract's classes
    return tuple((f.name, _default(f.default, f.default_factory)) for f in fields(target))


def _default(value: object, factory: Callable[[], object] | Any) -> object:  # noqa: ANN401 - dataclasses' own sentinel
    if factory is not MISSING:
        return factory()
    return value
