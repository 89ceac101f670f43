"""What may be asked: every query parameter with its form and its rule in words. Nothing here answers.

A rule's words serve twice, as the parameter's description in the OpenAPI document and as the message of a refusal, and never
hold a value that was received.
"""

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import Request
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from agenttracer.wire import form
from agenttracer.wire.events import DURATION_MAX_US, TIME_MAX_US, TIME_MIN_US
from agenttracer.wire.vocabulary import RESERVED_NAMES, FailureType, RunStatus
from query_service.cursor import CURSOR_MAX_CHARS, EPOCH
from query_service.errors import InputError

RUNS_MAX: Final = 500
DETAILS_MAX: Final = 2_000
_EARLIEST: Final = EPOCH + timedelta(microseconds=TIME_MIN_US)
_LATEST: Final = EPOCH + timedelta(microseconds=TIME_MAX_US)
_NAME_RULE: Final = f"a name: letters, digits and _.:/+- after a letter or digit, at most {form.NAME_MAX_CHARS} characters"
_TIME_RULE: Final = "a time in ISO 8601 with its offset, such as 2026-01-31T12:00:00Z (in an address, + is written %2B)"

RULES: Final[Mapping[str, str]] = {
    "run_id": "a UUID",
    "agent_id": _NAME_RULE,
    "agent_version": _NAME_RULE,
    "status": f"one of {', '.join(RunStatus)}",
    "failure_type": f"one of {', '.join(FailureType)}",
    "failure_code": "a failure code: lower-case letters, digits and _ after a letter, at most 64 characters",
    "failure_fingerprint": "the fingerprint of a failure: 16 hexadecimal digits",
    "shape": "the shape of a run: 16 hexadecimal digits",
    "since": f"{_TIME_RULE}; included, and before until",
    "until": f"{_TIME_RULE}; not included",
    "min_latency_ms": f"milliseconds, from 0 to {DURATION_MAX_US // 1000}; fractions are allowed",
    "cursor": "the next_cursor of an answer to the same request",
    "limit": f"a whole number from 1 to {RUNS_MAX} for runs, to {DETAILS_MAX} for steps and failures",
}


def _described(name: str) -> str:
    return RULES[name][0].upper() + RULES[name][1:] + "."


def _in_iso_form(value: object) -> object:
    if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d", value):
        raise ValueError("form")  # pydantic alone would take a bare number for seconds since 1970
    return value


def _plain_digits(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[0-9.eE+-]+", value):
        raise ValueError("form")  # pydantic alone would take 1_0 for 10
    return value


def refuse_nothing_between(since: datetime, until: datetime) -> None:
    """Raises InputError where no moment lies between the two: a slip, and an empty answer would hide it."""
    if since >= until:
        raise InputError("since must be before until", field="since")


def clamped(value: datetime) -> datetime:
    """No run lies outside of the contract's times, so moving a bound to them changes no answer, and nothing overflows."""
    return min(max(value, _EARLIEST), _LATEST).astimezone(UTC)


_NAMES: Final = "|".join((form.NAME_PATTERN, *sorted(RESERVED_NAMES)))
Name = Annotated[str, Field(pattern=f"^(?:{_NAMES})$", max_length=form.NAME_MAX_CHARS)]
Code = Annotated[str, Field(pattern=f"^{form.CODE_PATTERN}$", max_length=64)]
Fingerprint = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Time = Annotated[AwareDatetime, BeforeValidator(_in_iso_form)]
Milliseconds = Annotated[float, Field(ge=0, le=DURATION_MAX_US / 1000, allow_inf_nan=False), BeforeValidator(_plain_digits)]
Cursor = Annotated[str, Field(min_length=1, max_length=CURSOR_MAX_CHARS, pattern="^[A-Za-z0-9_-]+$")]
_Absent = SkipJsonSchema[None]
"""A parameter is given or absent; the document must not offer the word null."""


class _Query(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunQuery(_Query):
    """Parameters of `GET /v1/runs`."""

    agent_id: Annotated[Name | _Absent, Field(description=_described("agent_id"))] = None
    agent_version: Annotated[Name | _Absent, Field(description=_described("agent_version"))] = None
    status: Annotated[RunStatus | _Absent, Field(description=_described("status"))] = None
    failure_type: Annotated[FailureType | _Absent, Field(description=_described("failure_type"))] = None
    failure_code: Annotated[Code | _Absent, Field(description=_described("failure_code"))] = None
    failure_fingerprint: Annotated[Fingerprint | _Absent, Field(description=_described("failure_fingerprint"))] = None
    shape: Annotated[Fingerprint | _Absent, Field(description=_described("shape"))] = None
    since: Annotated[Time | _Absent, Field(description=_described("since"))] = None
    until: Annotated[Time | _Absent, Field(description=_described("until"))] = None
    min_latency_ms: Annotated[Milliseconds | _Absent, Field(description=_described("min_latency_ms"))] = None
    cursor: Annotated[Cursor | _Absent, Field(description=_described("cursor"))] = None
    limit: Annotated[int, Field(ge=1, le=RUNS_MAX, description="Runs on the page."), BeforeValidator(_plain_digits)] = 50

    @property
    def min_latency_us(self) -> int | None:
        """Whole microseconds: what is at least a fraction of one is at least the next one."""
        return None if self.min_latency_ms is None else math.ceil(round(self.min_latency_ms * 1000, 3))


class DetailQuery(_Query):
    """Parameters of one run's steps and failures."""

    cursor: Annotated[Cursor | _Absent, Field(description=_described("cursor"))] = None
    limit: Annotated[int, Field(ge=1, le=DETAILS_MAX, description="Rows on the page."), BeforeValidator(_plain_digits)] = 500


class StatsQuery(_Query):
    """Parameters of `GET /v1/stats`."""

    since: Annotated[Time | _Absent, Field(description=_described("since") + " Default: 60 whole minutes up to `until`.")] = None
    until: Annotated[Time | _Absent, Field(description=_described("until") + " Default: now.")] = None
    agent_id: Annotated[Name | _Absent, Field(description=_described("agent_id"))] = None
    agent_version: Annotated[Name | _Absent, Field(description=_described("agent_version"))] = None


def only(*known: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses parameters besides the known ones, and any that is given twice."""
    listed = ", ".join(known) or "none"

    async def refuse_others(request: Request) -> None:
        names = [name for name, _ in request.query_params.multi_items()]
        if not set(names).issubset(known):
            raise InputError(f"unknown parameter; known here: {listed}", code="unknown_parameter")
        for name in known:
            if names.count(name) > 1:
                raise InputError(f"{name} is given more than once", code="repeated_parameter", field=name)

    return refuse_others
