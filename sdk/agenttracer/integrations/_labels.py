"""Reads labels of the contract's form and counts from a framework's objects, and nothing else.

A value that does not fit is left out uncounted: unlike a value from the agent's own code, it was not meant for AgentTracer.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from agenttracer._events.sanitize import is_fitting_name
from agenttracer.wire.events import INT64_MAX, MetadataValue

TOOL_CALL_REASONS: Final = frozenset({"tool_calls", "tool_call", "tool_use", "function_call"})
"""Finish reasons of providers which mean that the model calls tools instead of answering."""


def label(*candidates: object) -> str | None:
    """The first candidate that is a label as it stands."""
    for value in candidates:
        if isinstance(value, str) and is_fitting_name(text := str.__str__(value)):  # an enum's own str() says its class
            return text
    return None


def count(*candidates: object) -> int | None:
    """The first candidate that is a whole number from 0."""
    for value in candidates:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= INT64_MAX:
            return int(value)
    return None


def only(**entries: MetadataValue | None) -> dict[str, MetadataValue]:
    """Metadata of the entries that are not None."""
    return {key: value for key, value in entries.items() if value is not None}


def read(owner: object, *path: str) -> object:
    """The value at `path` below `owner`, through attributes and mappings alike; None where the path ends early. Never raises."""
    for part in path:
        try:
            owner = owner.get(part) if isinstance(owner, Mapping) else getattr(owner, part, None)
        except Exception:  # noqa: BLE001 - a property of another library may raise anything
            return None
    return owner


def has_items(value: object) -> bool:
    """Whether `value` is a list or tuple that is not empty. Its items are not looked at."""
    return isinstance(value, list | tuple) and len(value) > 0


def run_id_of(trace_id: str) -> str | None:
    """A trace id of 32 hex digits as a run id, so that a run is found under one id everywhere; None for another form."""
    try:
        return str(UUID(trace_id)) if len(trace_id) == 32 else None  # noqa: PLR2004 - hex digits of 128 bits
    except ValueError:
        return None
