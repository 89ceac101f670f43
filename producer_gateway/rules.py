"""The rules of the contract and of run documents in words, for answers: what a field must be, never what was sent."""

from collections.abc import Mapping
from typing import Final

from agenttracer.wire.envelope import BATCH_MAX_EVENTS

_DIGITS: Final = "digits of 0-9 and a-f"
_TIMES: Final = "must be from 2000 to 2100"
_WORDS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "unknown_member": "has a member that is not part of the document",
    "unknown_value": "must be one of the values in the OpenAPI document",
    "type": "must be of the type in the OpenAPI document",
    "range": "must be within the bounds in the OpenAPI document",
    "time": "must be an ISO 8601 time with an offset, such as 2026-01-15T09:30:00Z",
    "offset_missing": "must have an offset from UTC, such as Z or +01:00",
    "name": "must be 1 to 64 characters of A-Z a-z 0-9 _ . : / + - and begin with a letter or digit",
    "code": "must be 1 to 64 characters of a-z 0-9 _ and begin with a letter",
    "run_id": "must be a UUID in lower case",
    "step_id": f"must be 16 {_DIGITS}",
    "fingerprint": f"must be 32 {_DIGITS}",
    "before_start": "must not be before started_at",
    "unknown_step": "must be the place of a step, from 0, or the name of one",
    "malformed": "cannot be read",
    "nothing_accepted": "hold none that could be accepted; `rejected` says which rule each of them breaks",
    "record_too_large": "is too large for a record of the log",
}
_OF_FIELD: Final[Mapping[tuple[str, str], str]] = {
    ("events", "range"): f"must be 1 to {BATCH_MAX_EVENTS} events, or fewer where this gateway says so",
    ("started_at", "range"): _TIMES,
    ("ended_at", "range"): _TIMES,
    ("latency_ms", "range"): "must be from 0 to the milliseconds of 366 days",
    ("trace_id", "run_id"): "must be 16 bytes that are not all zero",
    ("span_id", "step_id"): "must be 8 bytes that are not all zero",
    ("parent_span_id", "step_id"): "must be empty, or 8 bytes other than those of the span itself",
    ("start_time_unix_nano", "range"): _TIMES,
    ("end_time_unix_nano", "range"): "must be before 2100 and at most 366 days after the start",
}


def in_words(field: str, code: str) -> str | None:
    """The rule for the last member of the path `field`, as words after its name; None for a rule that has no words."""
    return _OF_FIELD.get((field.rpartition(".")[2], code)) or _WORDS.get(code)
