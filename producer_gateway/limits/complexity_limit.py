"""Limits how many JSON values a body can hold, counted before any of them becomes an object. Their meaning is not known here.

A byte of JSON costs three bytes as an event and 26 as an empty list: hostile bodies are dense. Counting
takes 2 ms a MiB, and is left out for bodies that are too small to matter.
"""

from typing import Final

from producer_gateway.errors import BodyTooLargeError

HARMLESS_BYTES: Final = 1024 * 1024
"""A body of this size takes 32 MiB at its densest."""
EVENTS_VALUES_MAX: Final = 320_000
"""5,000 events with all that the contract has room for are 295,000 values; the worst that so many can cost is 42 MiB."""
RUN_VALUES_MAX: Final = 60_000
"""5,000 steps of a dozen members. In a document that lacks several members each of pydantic's errors holds them all once more."""


def refuse_dense(body: bytes, *, values_max: int) -> None:
    """Raises BodyTooLargeError where there may be more values than that. Commas and brackets in strings count as well."""
    if sum(body.count(mark) for mark in b",[{") > values_max:
        raise BodyTooLargeError(code="too_many_values")


def examine_events(body: bytes) -> None:
    """For batches of events. Raises BodyTooLargeError."""
    if len(body) > HARMLESS_BYTES:
        refuse_dense(body, values_max=EVENTS_VALUES_MAX)


def examine_run(body: bytes) -> None:
    """For documents of whole runs. Raises BodyTooLargeError."""
    refuse_dense(body, values_max=RUN_VALUES_MAX)
