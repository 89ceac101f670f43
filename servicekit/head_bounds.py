"""HTTP connections whose heads are bounded, and with them all that stands around bodies: trailers, extensions of chunks.

uvicorn's protocol is subclassed; tests/contract/test_uvicorn_internals.py pins what is relied on. How long a connection may wait,
and how it ends, is each service's own.
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from servicekit.http_error import HttpError

_PIPELINED_MAX: Final = 4
"""Requests sent ahead on one connection: no client of ours does it, and one packet could hold ten thousand."""

_END_OF_HEAD: Final = b"\r\n\r\n"
_UPGRADE: Final = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_UNKNOWN: Final = b"\r\nx-upgrade:"


class HeadTooLargeError(HttpError):
    """The address and headers of the request are larger than this service takes."""

    status = 431
    code = "head_too_large"


class MalformedRequestError(HttpError):
    """The bytes are not an HTTP request, or too many requests were sent without waiting for answers."""

    status = 400
    code = "malformed_request"


class BoundedConnection(HttpToolsProtocol):
    """One client's connection. Subclasses say by `end` how it ends."""

    head_too_large: ClassVar[type[HttpError]] = HeadTooLargeError
    malformed: ClassVar[type[HttpError]] = MalformedRequestError

    def __init__(self, *, head_max_bytes: int, **of_uvicorn: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(**of_uvicorn)
        self._head_max_bytes = head_max_bytes
        self._head_bytes = 0
        self._bytes_to_nothing = 0
        self._got_somewhere = False
        self._between = True
        self._fault: HttpError | None = None

    def end(self, error: HttpError | None) -> None:
        """Close, with an answer where one is due."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        """Bytes arrived. A header, trailer or chunk extension without end would be kept by the parser for ever: counted here."""
        if self.transport.is_closing():
            return
        self._got_somewhere = False
        super().data_received(_as_it_is(data) if self._between else data)
        if self.transport.is_closing():
            return
        self._bytes_to_nothing = 0 if self._got_somewhere else self._bytes_to_nothing + len(data)
        if self._bytes_to_nothing > self._head_max_bytes:
            self.end(self.head_too_large())

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._head_bytes, self._between = 0, False

    def on_url(self, url: bytes) -> None:
        """Part of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request to answer."""
        self._got_somewhere = True
        if len(self.pipeline) >= _PIPELINED_MAX:
            self.fail(self.malformed())
        upgrades = self.parser.should_upgrade()
        if upgrades and self._announces_body():
            self.fail(self.malformed())  # the parser would take it for the next request
        super().on_headers_complete()
        if upgrades:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Part of its body."""
        self._got_somewhere = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._got_somewhere = self._between = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are not used
        """The parser does not want to go on."""
        self.end(self._fault or self.malformed())

    def fail(self, error: HttpError) -> None:
        """Raised into the parser, which passes it on as an error of its own, for which uvicorn calls `send_400_response`."""
        self._fault = error
        raise error

    def may_answer(self) -> bool:
        """Whether an answer now could not be taken for another request's: all have theirs, or the last one is being read."""
        if self.cycle is None or self.cycle.response_complete:
            return True
        return self.cycle.more_body and not (self.cycle.response_started or self.pipeline)

    def _announces_body(self) -> bool:
        headers = dict(self.headers)
        return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._head_max_bytes:
            self.fail(self.head_too_large())


def _as_it_is(data: bytes) -> bytes:
    """A request that offers another protocol, as what it is: we need not take it (RFC 9110, 7.8), and its body would be skipped.

    Java's own client offers HTTP/2 in this way.
    """
    end = data.find(_END_OF_HEAD)
    asks = _UPGRADE.search(data, 0, len(data) if end < 0 else end)
    return data if asks is None else b"".join((data[: asks.start()], _UNKNOWN, data[asks.end() :]))


def json_answer(status: int, members: Mapping[str, object], *, headers: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """An answer as it goes over the wire, after which the connection is closed."""
    body = json.dumps(members, separators=(",", ":")).encode()
    return last_answer(status, body, media_type="application/json", headers=headers)


def last_answer(status: int, body: bytes, *, media_type: str, headers: Mapping[str, str]) -> bytes:
    """The same of any media type."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"content-type: {media_type}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body
