"""Evidence of an exception without its content: its class and well-known numbers and codes, read by attribute.

A group is what it holds: task groups wrap whatever one of their tasks raised. An exception that was raised *from* another keeps
its own class and takes what it does not say itself from that cause.

Nothing here keeps the exception or reads its args, notes or locals; of its message `error_text` keeps one word. Client
libraries are recognised by the attributes they share, not by import: openai, anthropic, httpx, requests, urllib, aiohttp,
botocore, asyncpg, psycopg.
"""

import math
import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from agenttracer._events.error_text import refined
from agenttracer.wire.form import NAME_MAX_CHARS, is_name

if TYPE_CHECKING:
    from agenttracer.wire.events import Evidence

_SECONDS: Final = r"[0-9]{1,9}(\.[0-9]{1,9})?"  # at most a thousand million: the contract's `Count` holds it
_STATUS: Final = range(100, 600)
_ERRNO: Final = range(1, 65_536)
_DATE: Final = r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
"""A date as HTTP writes it (RFC 9110, IMF-fixdate)."""
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_COUNT_MAX: Final = 2**31 - 1
MEMBERS_MAX: Final = 64
"""Exceptions of a group that are looked at, and causes of one: a task group may hold thousands."""


def evidence_of(error: BaseException, *, read_text: bool = True) -> "Evidence":
    """Evidence of `error`. Never raises: a value that cannot be read is absent. `read_text`: the words of its message count."""
    from agenttracer.wire.events import Evidence  # noqa: PLC0415 - loaded by the first tracer, not by importing the SDK

    try:
        error = representative(error)
        found = _read_all(error)
        return refined(found, error) if read_text else found
    except Exception:  # noqa: BLE001 - a property of another library may raise anything
        return Evidence(error_class=_class_name(type(error)))


def members(error: BaseException) -> Iterator[BaseException]:
    """The exceptions that a group holds, those of nested groups included, and no group; of another exception itself."""
    waiting, seen = [error], 0
    while waiting and seen < MEMBERS_MAX:
        found = waiting.pop(0)
        seen += 1
        held = _read(found, "exceptions") if isinstance(found, BaseExceptionGroup) else None
        if isinstance(held, tuple):
            waiting += held[:MEMBERS_MAX]
        else:
            yield found


def representative(error: BaseException) -> BaseException:
    """The exception that `error` stands for: of a group its first member that is no cancellation of another task."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    found = list(members(error))
    return next((member for member in found if type(member).__name__ != "CancelledError"), found[0] if found else error)


def _read_all(error: BaseException) -> "Evidence":
    from agenttracer.wire.events import Evidence  # noqa: PLC0415 - as above

    values: dict[str, Any] = {}
    for link in _with_causes(error):
        for name, value in _read_one(link).items():
            if values.get(name) is None:
                values[name] = value
    return Evidence(error_class=_class_name(type(error)), **values)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, and those that it was raised from."""
    link: BaseException | None = error
    for _ in range(MEMBERS_MAX):
        if link is None:
            return
        yield link
        link = None if link.__cause__ is None else representative(link.__cause__)


def _read_one(error: BaseException) -> dict[str, object]:
    response = _read(error, "response")
    return {
        "error_code": _error_code(error, response),
        "http_status": _http_status(error, response),
        "errno": _errno(error),
        "retry_after_s": _retry_after_s(error, response),
    }


def _read(owner: object, attribute: str) -> object:
    try:
        return getattr(owner, attribute, None)
    except Exception:  # noqa: BLE001 - a property of another library may raise anything
        return None


def _class_name(kind: type) -> str | None:
    for name in (kind.__qualname__, kind.__name__):
        if len(name) <= NAME_MAX_CHARS and is_name(name):
            return name
    return None


def _number(value: object, within: range) -> int | None:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) and value in within else None


def _http_status(error: BaseException, response: object) -> int | None:
    if isinstance(error, SystemExit):
        return None  # its `code` is the process's exit status
    for owner, attribute in ((error, "status_code"), (error, "status"), (response, "status_code"), (error, "code")):
        found = _number(_read(owner, attribute), _STATUS)
        if found is not None:
            return found
    return _number(_aws(response, "ResponseMetadata", "HTTPStatusCode"), _STATUS)


def _error_code(error: BaseException, response: object) -> str | None:
    if isinstance(error, SystemExit):
        return None  # its `code` may be a message: `sys.exit("text")`
    candidates = (_read(error, attribute) for attribute in ("code", "error_code", "sqlstate"))
    for code in (*candidates, _aws(response, "Error", "Code")):
        text = str.__str__(code) if issubclass(type(code), str) else ""  # a subclass may override __str__
        if 0 < len(text) <= NAME_MAX_CHARS and is_name(text):
            return text
    return None


def _errno(error: BaseException) -> int | None:
    return _number(_read(error, "errno"), _ERRNO)


def _aws(response: object, part: str, key: str) -> object:
    """A member of the dict that botocore's ClientError keeps as its `response`."""
    section = response.get(part) if isinstance(response, dict) else None
    return section.get(key) if isinstance(section, dict) else None


def _retry_after_s(error: BaseException, response: object) -> int | None:
    for headers in (_read(response, "headers"), _read(error, "headers")):
        seconds = _header_seconds(headers)
        if seconds is not None:
            return seconds
    given = _read(error, "retry_after")
    return _seconds(str(given)) if isinstance(given, int | float) else None


def _header_seconds(headers: object) -> int | None:
    if not isinstance(headers, Mapping) and not hasattr(headers, "get"):
        return None
    millis = _header(headers, "retry-after-ms", "Retry-After-Ms")
    if millis is not None and re.fullmatch(_SECONDS, millis):
        return math.ceil(float(millis) / 1_000)
    value = _header(headers, "retry-after", "Retry-After")
    return None if value is None else _seconds(value) if value[:1].isdigit() else _seconds_until(value)


def _header(headers: Any, *spellings: str) -> str | None:  # noqa: ANN401 - a mapping of another library
    for name in spellings:
        try:
            value = headers.get(name)
        except Exception:  # noqa: BLE001 - it may raise anything
            return None
        if isinstance(value, str):
            return str.__str__(value)
    return None


def _seconds(text: str) -> int | None:
    return math.ceil(float(text)) if re.fullmatch(_SECONDS, text) else None


def _seconds_until(date: str) -> int | None:
    """Seconds from now to a date of HTTP, 0 if it has passed. The standard library's parsers take milliseconds to load."""
    found = re.fullmatch(_DATE, date)
    if found is None or found[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(found[part]) for part in (1, 3, 4, 5, 6))
    at = _unix_days(year, _MONTHS.index(found[2]) + 1, day) * 86_400 + hour * 3_600 + minute * 60 + second
    return min(max(0, at - int(time.time())), _COUNT_MAX)


def _unix_days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01, by the civil calendar: a year begins in March here, so that leap days come last."""
    years = year - (month <= 2)  # noqa: PLR2004 - January and February
    in_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return years * 365 + years // 4 - years // 100 + years // 400 + in_year - 719_468
