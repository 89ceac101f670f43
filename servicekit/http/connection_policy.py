"""A service's policy for connections: their limits, and its answers to requests that break them.

A service makes one policy and gives it to its server. `connection_manager` and `uvicorn_protocol` carry it out.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, Protocol

from starlette.types import Scope

from servicekit.http.errors import HttpError, SlowBodyError, SlowHeadError

HEAD_TIMEOUT: Final = "head_timeout"
BODY_TIMEOUT: Final = "body_timeout"
IDLE_TIMEOUT: Final = "idle_timeout"
ANSWER_TIMEOUT: Final = "answer_timeout"
LINGER_TIMEOUT: Final = "linger_timeout"


class ConnectionObserver(Protocol):
    """Counts what happens to connections."""

    def open_now(self, connections: int) -> None:
        """So many connections are open."""

    def closed(self, reason: str) -> None:
        """A connection was ended for being slow, idle or spare."""

    def refused(self, error: HttpError) -> None:
        """A request was answered with an error before a route saw it."""


class NullObserver:
    """Counts nothing."""

    def open_now(self, connections: int) -> None:
        """See ConnectionObserver."""

    def closed(self, reason: str) -> None:
        """See ConnectionObserver."""

    def refused(self, error: HttpError) -> None:
        """See ConnectionObserver."""


def json_answer(error: HttpError, _scope: Scope | None = None) -> bytes:
    """The answer to an error in the form of all errors, as it goes over the wire. The connection is closed after it."""
    members = {"code": error.error_code, "message": error.message}
    return last_answer(error.status, {"error": members}, headers={})


def last_answer(
    status: int, body: Mapping[str, object] | bytes, *, headers: Mapping[str, str], media_type: str = "application/json"
) -> bytes:
    """A whole answer as it goes over the wire. The connection is closed after it."""
    data = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"content-type: {media_type}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"content-length: {len(data)}", "", ""]).encode() + data


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPolicy:
    """The limits of connections. The defaults fit a service that answers few clients and reads no bodies."""

    head_max_bytes: int = 16_384
    """Address and headers."""
    connections_max: int = 128
    """Open ones. For one more the one that can best be spared is closed."""
    head_timeout_s: float = 5.0
    """From opening, or the first byte of a further request, to the end of its head."""
    body_timeout_s: float = 5.0
    """From the end of the head until enough of the body is there to work on."""
    idle_timeout_s: float = 5.0
    """From an answer to the first byte of the next request."""
    answer_timeout_s: float = 30.0
    """For the client to take `answer_least_bytes` of an answer that the system cannot take at once."""
    answer_least_bytes: int | None = 65_536
    """None: all of the answer."""
    linger_timeout_s: float = 2.0
    """For a client that has its answer to stop sending: 3 MiB at 1.5 MiB/s, or several round trips."""
    on_timeout: Mapping[str, type[HttpError]] = field(
        default_factory=lambda: MappingProxyType({HEAD_TIMEOUT: SlowHeadError, BODY_TIMEOUT: SlowBodyError})
    )
    """The error that answers a request which does not arrive in time. Without an entry the connection is just closed."""
    messages: Mapping[type[HttpError], str] = field(default_factory=lambda: MappingProxyType({}))
    """The service's own words for some errors."""
    answer: Callable[[HttpError, Scope | None], bytes] = json_answer
    """The answer to an error as it goes over the wire. The scope is that of the request, None where its head is not whole."""
    observer: ConnectionObserver = field(default_factory=NullObserver)

    def error(self, kind: type[HttpError]) -> HttpError:
        """An error in the words of this service."""
        return kind(self.messages.get(kind))
