"""HTTP connections that half a request cannot hold: a head has a size and a deadline, and makes room when there is none.

uvicorn's protocol is subclassed; tests/contract/test_uvicorn_internals.py pins what is relied on. For services that answer few
clients and read no bodies; the gateway, which thousands reach, has a door of its own.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from servicekit.http_error import HttpError

_PIPELINED_MAX: Final = 4
"""Requests sent ahead on one connection: one packet could hold ten thousand."""
_READ_TIMEOUT_S: Final = 30.0
_READ_LEAST_BYTES: Final = 65_536
"""A client takes its answer, or so much of it each time: closing alone would wait for it as long as the system does."""


class HeadTooLargeError(HttpError):
    """Address and headers are larger than this service takes."""

    status = 431
    code = "head_too_large"


class MalformedRequestError(HttpError):
    """This is no HTTP request that can be answered."""

    status = 400
    code = "malformed_request"


class BoundedHeads:
    """What all connections of a process share. Calling it makes a connection, as uvicorn asks of a protocol class."""

    def __init__(self, *, head_max_bytes: int, head_timeout_s: float, connections_max: int) -> None:
        self.head_max_bytes: Final = head_max_bytes
        self.head_timeout_s: Final = head_timeout_s
        self._connections_max = connections_max
        self._waiting: dict[Connection, None] = {}

    def __call__(self, **of_uvicorn: Any) -> "Connection":  # noqa: ANN401 - passed through
        """A connection with these bounds."""
        return Connection(self, **of_uvicorn)

    def wait(self, connection: "Connection") -> None:
        """Its head is awaited, from now on."""
        self.wait_no_more(connection)
        self._waiting[connection] = None

    def wait_no_more(self, connection: "Connection") -> None:
        """Its head is there, or it is gone."""
        self._waiting.pop(connection, None)

    def make_room(self, *, taken: int) -> None:
        """Beyond the limit uvicorn refuses all, so whose head is awaited for longest goes: good clients send it at once."""
        if taken >= self._connections_max and len(self._waiting) > 1:
            next(iter(self._waiting)).give_up()


class Connection(HttpToolsProtocol):
    """One client's connection."""

    def __init__(self, bounds: BoundedHeads, **of_uvicorn: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(**of_uvicorn)
        self._bounds = bounds
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._bytes_to_nothing = 0
        self._got_somewhere = False
        self._fault: HttpError | None = None

    # --- what uvicorn's protocol is told by the event loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Opened."""
        super().connection_made(transport)
        self._await_head()
        self._bounds.make_room(taken=len(self.connections))

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed, by whomever."""
        self._await_nothing()
        if self._unread is not None:
            self._unread.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Much of an answer is not taken."""
        super().pause_writing()
        self._await_reader()

    def data_received(self, data: bytes) -> None:
        """Bytes arrived. A header, trailer or chunk extension without end would be kept by the parser for ever: counted here."""
        if self.transport.is_closing():
            return
        self._got_somewhere = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._bytes_to_nothing = 0 if self._got_somewhere else self._bytes_to_nothing + len(data)
        if self._bytes_to_nothing > self._bounds.head_max_bytes:
            self._end(HeadTooLargeError())
        elif self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()  # bytes that begin no request, such as an empty line, have ended uvicorn's own wait

    # --- what the parser found in them

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._head_bytes = 0
        self._await_head()

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
        self._await_nothing()
        if len(self.pipeline) >= _PIPELINED_MAX:
            self._fail(MalformedRequestError())
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Part of its body."""
        self._got_somewhere = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._got_somewhere = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is written."""
        super().on_response_complete()
        self._await_reader()

    # --- ends

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are not used
        """The parser does not want to go on."""
        self._end(self._fault or MalformedRequestError())

    def give_up(self) -> None:
        """Close without a word: the head did not come."""
        self._await_nothing()
        self.connections.discard(self)  # uvicorn counts them, and hears of this end only in the loop's next turn
        self.transport.abort()

    def _await_head(self) -> None:
        self._await_nothing()
        self._deadline = self.loop.call_later(self._bounds.head_timeout_s, self.give_up)
        self._bounds.wait(self)

    def _await_nothing(self) -> None:
        self._bounds.wait_no_more(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _await_reader(self) -> None:
        unread = self.transport.get_write_buffer_size()
        if self._unread is None and unread:
            self._unread = self.loop.call_later(_READ_TIMEOUT_S, self._judge_reader, unread)

    def _judge_reader(self, unread: int) -> None:
        self._unread = None
        left = self.transport.get_write_buffer_size()
        if left > max(0, unread - _READ_LEAST_BYTES):
            self.transport.abort()
        else:
            self._await_reader()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._bounds.head_max_bytes:
            self._fail(HeadTooLargeError())

    def _fail(self, error: HttpError) -> None:
        """Raised into the parser, which passes it on as an error of its own, for which uvicorn calls `send_400_response`."""
        self._fault = error
        raise error

    def _end(self, error: HttpError) -> None:
        self._await_nothing()
        if self.cycle is None or self.cycle.response_complete or not (self.cycle.response_started or self.pipeline):
            self.transport.write(_answer(error))
        self.transport.close()
        self._await_reader()


def _answer(error: HttpError) -> bytes:
    body = json.dumps({"error": {"code": error.error_code, "message": error.message}}, separators=(",", ":")).encode()
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}", "content-type: application/json", "connection: close"]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body
