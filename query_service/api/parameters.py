"""Every query parameter with its form and its rule in words.

The words serve twice: as the parameter's description in the OpenAPI document and as the message of a refusal. They never hold a
value that was received.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Final
from zoneinfo import available_timezones

from fastapi import Path, Request
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from agenttracer.wire import form
from agenttracer.wire.events import DURATION_MAX_US, TIME_MAX_US, TIME_MIN_US
from agenttracer.wire.vocabulary import RESERVED_NAMES, EndReason, FailureType, RunStatus, StepKind
from query_service.api.cursor import CURSOR_MAX_CHARS, EPOCH
from query_service.buckets import BucketSize
from query_service.completeness import CompletenessState
from query_service.errors import InputError

RUNS_MAX: Final = 500
DETAILS_MAX: Final = 2_000
GROUPS_MOST: Final = 50
"""Series that are told apart: more than a person tells apart by colour."""
_EARLIEST: Final = EPOCH + timedelta(microseconds=TIME_MIN_US)
_LATEST: Final = EPOCH + timedelta(microseconds=TIME_MAX_US)
_NAME_RULE: Final = f"a name: letters, digits and _.:/+- after a letter or digit, at most {form.NAME_MAX_CHARS} characters"
_TIME_RULE: Final = "a time in ISO 8601 with its offset, such as 2026-01-31T12:00:00Z (in an address, + is written %2B)"

_RULES: Final[Mapping[str, str]] = {
    "run_id": "a UUID",
    "step_id": "the id of a step: 16 hexadecimal digits",
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
    "of": "one of runs, steps",
    "by": "runs by agent, version, status or code; steps by agent, version, step, tool or model",
    "groups": f"a whole number from 1 to {GROUPS_MOST}",
    "bucket": f"one of {', '.join(BucketSize)}",
    "within": "version, agent or project: what both sides have in common, of the filters agent_id and agent_version",
    "last_event_id": "the id of an event of a tail: digits",
    "a": "the UUID of a run",
    "b": "the UUID of the run to compare it with",
    "zone": "the name of a time zone such as UTC or Europe/Berlin",
    "step_kind": f"one of {', '.join(StepKind)}; of steps alone",
    "step_name": _NAME_RULE,
    "model": _NAME_RULE,
    "outcome": "one of recovered, unrecovered, fatal",
    "sort": "of runs started_at, latency, failures or steps; of kinds of failure failures, runs, last_seen or first_seen",
    "parent_run_id": "the UUID of the run that started it",
    "session": "the digest of a session: 32 hexadecimal digits",
    "end_reason": f"one of {', '.join(EndReason)}",
    "time_shifted": "true or false: whether the times of a run were moved, because its sender's clock was far off",
    "format": "csv or jsonl for runs, chrome for one run",
    "tool": "the name of a step of the kind tool, in the form of a name",
    "provider": _NAME_RULE,
    "max_latency_ms": f"milliseconds, from 0 to {DURATION_MAX_US // 1000}; fractions are allowed",
    "completeness": f"one of {', '.join(CompletenessState)}",
    **{f"{bound}_tokens": "a whole number from 0 to 10^15, of input and output tokens of all steps" for bound in ("min", "max")},
    **{f"{bound}_cost": "US dollars from 0 to 10^6, of all steps that say their cost" for bound in ("min", "max")},
    "window": "started, for runs that started in the window, or active, for those that were active in it",
    "metadata": "at most eight times key:value, with commas between, such as channel:chat,retries:1",
    "metadata_range": "at most eight times key:low..high with numbers, of which one may be missing; within 24 hours",
    "fingerprint": "the fingerprint of a failure: 16 hexadecimal digits",
    "cursor": "the next_cursor of an answer to the same request",
    "limit": f"a whole number from 1 to {RUNS_MAX} for runs, to {DETAILS_MAX} for steps and failures",
}
RULES: Final[Mapping[str, str]] = {**_RULES, **{f"{side}_{name}": rule for side in "ab" for name, rule in _RULES.items()}}
"""A parameter of a side of a comparison has the side before its name."""


def described(name: str) -> str:
    """The rule of a parameter as a sentence."""
    return RULES[name][0].upper() + RULES[name][1:] + "."


def _in_iso_form(value: object) -> object:
    if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d", value):
        raise ValueError("form")  # pydantic alone would take a bare number for seconds since 1970
    return value


def plain_digits(value: object) -> object:
    """Refuses ways to write a number that only Python knows."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9.eE+-]+", value):
        raise ValueError("form")  # pydantic alone would take 1_0 for 10
    return value


def _true_or_false(value: object) -> object:
    """Refuses other ways to say it, such as `1` and `on`, which pydantic alone would take."""
    if isinstance(value, str) and value not in {"true", "false"}:
        raise ValueError("form")
    return value


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("zone")
    return name


@cache
def _zones() -> AbstractSet[str]:
    return available_timezones()


def refuse_empty_window(since: datetime, until: datetime, *, field: str = "since") -> None:
    """Raises InputError if the window is empty: that is a mistake, and an empty answer would hide it."""
    if since >= until:
        raise InputError(f"{field} must be before until", field=field)


def clamped(value: datetime) -> datetime:
    """Limit a bound to the contract's range of times. No run lies outside, so no answer changes and nothing overflows."""
    return min(max(value, _EARLIEST), _LATEST).astimezone(UTC)


_NAMES: Final = "|".join((form.NAME_PATTERN, *sorted(RESERVED_NAMES)))
Name = Annotated[str, Field(pattern=f"^(?:{_NAMES})$", max_length=form.NAME_MAX_CHARS)]
Code = Annotated[str, Field(pattern=f"^{form.CODE_PATTERN}$", max_length=64)]
Fingerprint = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
StepId = Annotated[str, Path(description=described("step_id"), pattern="^[0-9a-f]{16}$", examples=["00f067aa0ba902b7"])]
Time = Annotated[AwareDatetime, BeforeValidator(_in_iso_form)]
Milliseconds = Annotated[float, Field(ge=0, le=DURATION_MAX_US / 1000, allow_inf_nan=False), BeforeValidator(plain_digits)]
Whole = Annotated[int, Field(ge=0, le=10**15), BeforeValidator(plain_digits)]
Dollars = Annotated[float, Field(ge=0, le=10**6, allow_inf_nan=False), BeforeValidator(plain_digits)]
Zone = Annotated[
    str, Field(pattern="^[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}$", max_length=64), AfterValidator(_known_zone)
]
_KEY: Final = "[a-z][a-z0-9_.]{0,63}"
_NUMBER: Final = r"(?:-?[0-9]{1,18}(?:\.[0-9]{1,9})?)?"
METADATA_PAIR: Final = f"{_KEY}:[A-Za-z0-9_.:/+~-]{{1,64}}"
_RANGE: Final = rf"{_KEY}:{_NUMBER}\.\.{_NUMBER}"
EVENT_ID: Final = "[0-9]{1,16}"
EventId = Annotated[str, Field(pattern=f"^{EVENT_ID}$")]
Session = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Metadata = Annotated[str, Field(pattern=f"^{METADATA_PAIR}(?:,{METADATA_PAIR}){{0,7}}$")]
MetadataRanges = Annotated[str, Field(pattern=f"^{_RANGE}(?:,{_RANGE}){{0,7}}$")]
Flag = Annotated[bool, BeforeValidator(_true_or_false)]
Cursor = Annotated[str, Field(min_length=1, max_length=CURSOR_MAX_CHARS, pattern="^[A-Za-z0-9_-]+$")]
Absent = SkipJsonSchema[None]
"""The type of an absent parameter. The OpenAPI document must not offer null."""


class QueryParameters(BaseModel):
    """Parameters of a route. A field is one of them, and its description comes from `RULES`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DetailQuery(QueryParameters):
    """Parameters of one run's steps and failures."""

    cursor: Annotated[Cursor | Absent, Field(description=described("cursor"))] = None
    limit: Annotated[int, Field(ge=1, le=DETAILS_MAX, description="Rows on the page."), BeforeValidator(plain_digits)] = 500


class StatsQuery(QueryParameters):
    """Parameters of `GET /v1/stats`."""

    since: Annotated[Time | Absent, Field(description=described("since") + " Default: 60 whole minutes up to `until`.")] = None
    until: Annotated[Time | Absent, Field(description=described("until") + " Default: now.")] = None
    agent_id: Annotated[Name | Absent, Field(description=described("agent_id"))] = None
    agent_version: Annotated[Name | Absent, Field(description=described("agent_version"))] = None


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
