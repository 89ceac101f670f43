"""What may be taken over from a framework's objects: labels of the contract's form, counts, and nothing else.

Unlike what an agent's own code says, a misfit here is left out in silence: nobody meant it for AgentTracer.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from agenttracer._fit import is_fitting_name
from agenttracer.wire.events import INT64_MAX, MetadataValue

TOOL_CALL_REASONS: Final = frozenset({"tool_calls", "tool_call", "tool_use", "function_call"})
"""Reasons of providers to finish that mean: the model decided what to do next, and did not answer."""


def label(*candidates: object) -> str | None:
    """The first candidate that is a label. Never one that had to be changed."""
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
    """Metadata of the entries that are there."""
    return {key: value for key, value in entries.items() if value is not None}


def read(owner: object, *path: str) -> object:
    """What stands at `path` below `owner`, through attributes and mappings alike; None where the path breaks. Never raises."""
    for part in path:
        try:
            owner = owner.get(part) if isinstance(owner, Mapping) else getattr(owner, part, None)
        except Exception:  # noqa: BLE001 - somebody else's property
            return None
    return owner


def has_items(value: object) -> bool:
    """Whether `value` is a list or tuple with something in it. The something is not looked at."""
    return isinstance(value, list | tuple) and len(value) > 0


def run_id_of(trace_id: str) -> str | None:
    """A trace id of 32 hex digits as the run id that it is, so that a run is found under one id everywhere."""
    try:
        return str(UUID(trace_id)) if len(trace_id) == 32 else None  # noqa: PLR2004 - hex digits of 128 bits
    except ValueError:
        return None
