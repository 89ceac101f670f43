"""One connection before it is a request: bounds what a head may take, and tells the door what the connection waits for.

uvicorn's protocol is subclassed; tests/contract/test_uvicorn_internals.py pins what is relied on. What a request may take once
its head is complete is for `receive` and `admission`.
"""

import asyncio
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from producer_gateway.arrival import Scope, arrived
from producer_gateway.errors import (
    GatewayError,
    HeadTooLargeError,
    Http2Error,
    MalformedRequestError,
    TooManyConnectionsError,
    UnavailableError,
)
from producer_gateway.retry_after import retry_after_s
from producer_gateway.whole_answer import WholeAnswer

if TYPE_CHECKING:
    from producer_gateway.door import Door

_PIPELINED_MAX: Final = 4
"""Requests sent ahead on one connection: no client of ours does it, and one packet could hold ten thousand."""
_HTTP2: Final = b"PRI * HTTP/2"
"""How every connection of HTTP/2 without TLS begins."""
_LINGER_MAX_BYTES: Final = 16 * 1024 * 1024
"""Of a request that has its answer already. The largest batch of the contract is 8 MiB before compression."""


class Connection(HttpToolsProtocol):
    """One client's connection."""

    def __init__(self, door: "Door", **of_uvicorn: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(**of_uvicorn)
        self._door = door
        self._head_bytes = 0
        self._bytes_to_nothing = 0
        self._bytes_after_answer = 0
        self._got_somewhere = False
        self._fault: GatewayError | None = None
        self._welcome = True
        self._head_open = False
        self.has_begun = False

    # --- what uvicorn's protocol is told by the event loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Opened."""
        self._answers = WholeAnswer(transport, linger=self._linger)
        super().connection_made(self._answers)  # type: ignore[arg-type]  # does whatever the transport does
        self._welcome = self._door.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed, by whomever."""
        self._door.leave(self)
        self._answers.early = False  # nobody is left to hear out
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived. A head, trailer or chunk extension without end would be kept by the parser for ever: counted here."""
        if self._answers.lingers:
            self._discard(len(data))
        if self.transport.is_closing():
            return
        if not self.has_begun and data.startswith(_HTTP2):
            self.end(Http2Error())
            return
        self._got_somewhere, self.has_begun = False, True
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._bytes_to_nothing = 0 if self._got_somewhere else self._bytes_to_nothing + len(data)
        if self._bytes_to_nothing > self._door.head_max_bytes:
            self.end(HeadTooLargeError())

    # --- what the parser found in them

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._head_bytes, self._head_open = 0, True
        self._door.waiting.await_head(self, now=self.loop.time())

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
        self._got_somewhere, self._head_open = True, False
        self._door.waiting.work(self)
        if not self._welcome:
            self._fail(TooManyConnectionsError())
        if len(self.pipeline) >= _PIPELINED_MAX:
            self._fail(MalformedRequestError())
        self._answers.early = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Part of its body."""
        self._got_somewhere = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._got_somewhere = True
        self._answers.early = False
        super().on_message_complete()
        arrived(cast("Scope", self.scope))

    def on_response_complete(self) -> None:
        """The answer is written."""
        self._answers.flush()
        super().on_response_complete()
        if self._answers.lingers:
            return
        if self.unread_bytes():
            self._door.waiting.unread(self, now=self.loop.time())
        elif not self.transport.is_closing():
            self.rest()

    def rest(self) -> None:
        """All answers that are written have been taken."""
        waiting, now = self._door.waiting, self.loop.time()
        waiting.forget(self)
        if self._head_open:
            waiting.await_head(self, now=now)
        elif self.cycle.response_complete:
            self.has_begun = False
            waiting.rest(self, now=now)

    def unread_bytes(self) -> int:
        """Of answers, those that the system does not take since the client does not read."""
        return self.transport.get_write_buffer_size()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._door.head_max_bytes:
            self._fail(HeadTooLargeError())

    def _fail(self, error: GatewayError) -> None:
        """Raised into the parser, which passes it on as an error of its own, for which uvicorn calls `send_400_response`."""
        self._fault = error
        raise error

    # --- ends

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are not used
        """The parser does not want to go on."""
        self.end(self._fault or MalformedRequestError())

    def timeout_keep_alive_handler(self) -> None:
        """Uvicorn's own timer: who is idle for how long is the door's matter."""

    def end(self, error: GatewayError | None) -> None:
        """Close, with an answer where one is due and could not be taken for another request's."""
        if self._answers.lingers or self.unread_bytes():
            # Closing would wait for the client to read, as long as the system does.
            self.transport.abort()
        if self.transport.is_closing():
            return
        self._answers.early = False
        if error is not None:
            self._door.refused(error)
            if self._may_answer():
                self.transport.write(_answer(error, least_s=self._door.retry_after_s))
                self._answers.early = True
        self.transport.close()

    def _may_answer(self) -> bool:
        return self.cycle is None or self.cycle.response_complete or not (self.cycle.response_started or self.pipeline)

    def _linger(self) -> None:
        """Our side is closed. The other one has the door's time to stop sending; nothing of its request is kept meanwhile."""
        if self.cycle is not None and self.cycle.response_complete:
            self.cycle.body = bytearray()
        self.flow.resume_reading()
        self._door.waiting.linger(self, now=self.loop.time())

    def _discard(self, size: int) -> None:
        self._bytes_after_answer += size
        if self._bytes_after_answer > _LINGER_MAX_BYTES:
            self._door.close(self, reason="linger_bytes")


def _answer(error: GatewayError, *, least_s: int) -> bytes:
    body = json.dumps(error.members(), separators=(",", ":")).encode()
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}", "content-type: application/json", "connection: close"]
    if isinstance(error, UnavailableError):
        lines.append(f"retry-after: {retry_after_s(least_s)}")
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body
