"""What is known of an exception without its content: its class and well-known numbers and codes, read by attribute.

Nothing here keeps the exception, and message, args, notes, cause and locals are never read. Client libraries are known by
the attributes they share, not by import: openai, anthropic, httpx, requests, urllib, aiohttp, botocore, asyncpg, psycopg.
"""

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from agenttracer.wire.form import NAME_MAX_CHARS, is_name

if TYPE_CHECKING:
    from agenttracer.wire.events import Evidence

_SECONDS: Final = r"[0-9]{1,9}(\.[0-9]{1,9})?"  # at most a thousand million: the contract's `Count` holds it
_STATUS: Final = range(100, 600)
_ERRNO: Final = range(1, 65_536)


def evidence_of(error: BaseException) -> "Evidence":
    """Evidence of `error`. Never raises: what cannot be read is absent."""
    from agenttracer.wire.events import Evidence  # noqa: PLC0415 - loaded by the first tracer, not by importing the SDK

    try:
        return _read_all(error)
    except Exception:  # noqa: BLE001 - a property of somebody else's class may raise anything
        return Evidence(error_class=_class_name(type(error)))


def _read_all(error: BaseException) -> "Evidence":
    from agenttracer.wire.events import Evidence  # noqa: PLC0415 - as above

    response = _read(error, "response")
    return Evidence(
        error_class=_class_name(type(error)),
        error_code=_error_code(error, response),
        http_status=_http_status(error, response),
        errno=_errno(error),
        retry_after_s=_retry_after_s(error, response),
    )


def _read(owner: object, attribute: str) -> object:
    try:
        return getattr(owner, attribute, None)
    except Exception:  # noqa: BLE001 - a property of somebody else's class may raise anything
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
        text = str.__str__(code) if issubclass(type(code), str) else ""  # not what a subclass makes of it
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
    try:
        value = headers.get("retry-after") or headers.get("Retry-After")
    except Exception:  # noqa: BLE001 - somebody else's mapping
        return None
    return _seconds(value) if isinstance(value, str) else None


def _seconds(text: str) -> int | None:
    return math.ceil(float(text)) if re.fullmatch(_SECONDS, text) else None
