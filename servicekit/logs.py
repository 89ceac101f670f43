"""Structured logs that cannot carry content: one JSON object a line, made only from what is known to be safe.

Our own lines are an event name and fields out of a closed list, which are numbers, booleans and names. Lines of libraries have
their logger, level, position in the source (`where`) and an event name. That is made from the template of their message: its
arguments may hold values of users. A message that came without arguments may hold them already, so it is `library_message`, or
what `_UVICORN` calls it. Exceptions are class names, code positions and the system's codes (`EADDRINUSE`), never messages:
asyncpg, for one, puts row values into them.
"""

import errno
import json
import logging
import re
import socket
import sys
import time
import traceback
from typing import Final

from agenttracer.wire import form

_FIELDS: Final = "agenttracer_fields"
NAMES: Final = frozenset(
    {
        *("code", "error_class", "reason", "sqlstate", "where"),
        *("topic", "topic_id", "partition", "partitions", "offset", "frontier", "found", "start", "end", "epoch", "owner"),
        *("records", "lag_records", "project", "projects", "parked", "connections", "keys", "key_id", "number", "port"),
        *("fenced_s", "grace_s", "margin_s", "retention_s", "retry_in_s"),
    }
)
"""Every field that a line of ours may have. A test holds the calls against it, in both directions."""
LEVELS: Final = frozenset(logging.getLevelNamesMapping())
LEVEL_RULE: Final = "must be DEBUG, INFO, WARNING, ERROR or CRITICAL"
_UVICORN: Final = {
    "Waiting for application startup.": "startup_begun",
    "Application startup complete.": "startup_complete",
    "Application startup failed. Exiting.": "startup_failed",
    "Waiting for application shutdown.": "shutdown_begun",
    "Application shutdown complete.": "shutdown_complete",
    "Application shutdown failed. Exiting.": "shutdown_failed",
    "ASGI 'lifespan' protocol appears unsupported.": "lifespan_unsupported",
    "Exception in 'lifespan' protocol\n": "lifespan_error",
    "Exception in ASGI application\n": "request_error",
    "ASGI callable returned without starting response.": "response_not_started",
    "ASGI callable returned without completing response.": "response_not_completed",
    "Shutting down": "shutting_down",
    "Waiting for connections to close. (CTRL+C to force quit)": "waiting_for_connections",
    "Waiting for background tasks to complete. (CTRL+C to force quit)": "waiting_for_requests",
    "Invalid HTTP request received.": "malformed_request",
    "Unsupported upgrade request.": "unsupported_upgrade",
    "Started server process [%d]": "server_started",
    "Finished server process [%d]": "server_finished",
    "Uvicorn running on %s://%s:%d (Press CTRL+C to quit)": "server_running",
    "Uvicorn running on %s://[%s]:%d (Press CTRL+C to quit)": "server_running",
    "Cancel %s running task(s), timeout graceful shutdown exceeded": "drain_timeout",
}
"""Its messages that come without arguments, or read badly as names. A test holds them against its source."""
_EVENT_MAX_CHARS: Final = 64
_PLACEHOLDER: Final = re.compile(r"%(\(\w+\))?[-#0 +]*[\d*]*(\.[\d*]+)?[a-zA-Z%]|\{[^}]*\}")
_WORD: Final = re.compile(r"[a-z0-9]+")
_LOOKUPS: Final = {value: name for name, value in vars(socket).items() if name.startswith("EAI_")}


class Log:
    """A service's log. `log.warning("produce_failed", partition=3, error_class="KafkaTimeoutError")`."""

    def __init__(self, service: str) -> None:
        self._logger = logging.getLogger(f"agenttracer.{service}")

    def debug(self, event: str, **fields: object) -> None:
        """Detail for finding a cause."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Something expected that ops want to see."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something degraded that heals by itself."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Something that an operator must look at."""
        self._write(logging.ERROR, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={_FIELDS: fields})


def error_class(error: BaseException) -> str:
    """The name of an exception's class: its text may hold content."""
    return type(error).__name__


def error_code(error: BaseException) -> str | None:
    """The system's code of it: `EADDRINUSE`, or `EAI_NONAME` of a look-up of names. None where it has no code."""
    if not isinstance(error, OSError) or error.errno is None:
        return None
    return (_LOOKUPS if isinstance(error, socket.gaierror) else errno.errorcode).get(error.errno)


def configure(level: str = "INFO") -> None:
    """Send all logging of this process to standard error as JSON lines. Raises ValueError for a level that is none."""
    if level.upper() not in LEVELS:
        raise ValueError(f"log_level {LEVEL_RULE}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ContentFreeFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


class ContentFreeFormatter(logging.Formatter):
    """Renders a log record from its safe parts alone. Times are UTC."""

    converter = time.gmtime  # type: ignore[assignment]  # as its documentation does

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object, without a line break."""
        line: dict[str, object] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event(record),
        }
        if not hasattr(record, _FIELDS):
            line["where"] = f"{record.filename}:{record.lineno}"
        fields = getattr(record, _FIELDS, {})
        line |= {name: _safe(value) for name, value in fields.items() if name in NAMES}
        if not fields.keys() <= NAMES:
            line["fields_left_out"] = len(fields.keys() - NAMES)
        if isinstance(record.msg, BaseException):  # uvicorn logs the error itself when it cannot listen
            line |= _error(record.msg)
        if record.exc_info and record.exc_info[1] is not None:
            line |= _error(record.exc_info[1])
            line["positions"] = _positions(record.exc_info[1])
        return json.dumps(line, separators=(",", ":"))


def _error(error: BaseException) -> dict[str, object]:
    said: dict[str, object] = {"error_class": error_class(error)}
    code = error_code(error)
    return said if code is None else said | {"code": code}


def _event(record: logging.LogRecord) -> str:
    message = record.msg
    if not isinstance(message, str):
        return "library_error"
    if hasattr(record, _FIELDS):
        return message
    known = _UVICORN.get(message)
    if known is None and record.args:
        known = _name_of(message)
    return known or "library_message"


def _name_of(template: str) -> str:
    """A template's own words: `failed for %s` is `failed_for`."""
    words = _WORD.findall(_PLACEHOLDER.sub(" ", template).lower())
    return "_".join(words)[:_EVENT_MAX_CHARS].rstrip("_")


def _safe(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if form.is_name(text) or form.is_run_id(text) else "(not a name)"


def _positions(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
