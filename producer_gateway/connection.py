"""One connection until there is a request worth working on: bounds what a head may take, and tells the door what is waited for.

A request is worked on as soon as its body is there, or a part of it that is worth reading. Until then a slow body costs what a
slow head does. What more a request may take is for `receive` and `admission`.
"""

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from producer_gateway.arrival import Scope, arrived, awaited
from producer_gateway.early_answer import early_answer
from producer_gateway.errors import (
    GatewayError,
    HeadTooLargeError,
    Http2Error,
    MalformedRequestError,
    TooManyConnectionsError,
)
from producer_gateway.whole_answer import WholeAnswer
from servicekit.head_bounds import BoundedConnection
from servicekit.http_error import HttpError

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from producer_gateway.door import Door

_WORTH_READING_BYTES: Final = 1024
"""Of a body that has not ended. Slow senders would have a request opened for nothing, and woken for every byte."""
_HTTP2: Final = b"PRI * HTTP/2"
"""How every connection of HTTP/2 without TLS begins."""
_LINGER_MAX_BYTES: Final = 16 * 1024 * 1024
"""Of a request that has its answer already. The largest batch of the contract is 8 MiB before compression."""


class Connection(BoundedConnection):
    """One client's connection."""

    head_too_large: ClassVar[type[HttpError]] = HeadTooLargeError
    malformed: ClassVar[type[HttpError]] = MalformedRequestError

    def __init__(self, door: "Door", **of_uvicorn: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(head_max_bytes=door.head_max_bytes, **of_uvicorn)
        self._door = door
        self._bytes_after_answer = 0
        self._welcome = True
        self._head_open = False
        self._unbegun: tuple[RequestResponseCycle, Any, float] | None = None
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
        """Bytes arrived."""
        if self._answers.lingers:
            self._discard(len(data))
        if self.transport.is_closing():
            return
        if not self.has_begun and data.startswith(_HTTP2):
            self.end(Http2Error())
            return
        self.has_begun = True
        super().data_received(data)

    # --- what the parser found in them

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._head_open = True
        self._door.waiting.await_head(self, now=self.loop.time())

    def on_headers_complete(self) -> None:
        """A request to answer."""
        self._head_open = False
        self._door.waiting.work(self)
        if not self._welcome:
            self.fail(TooManyConnectionsError())
        self._answers.early = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Part of its body. Whoever reads it is not woken for less than is worth it; its end wakes them in any case."""
        if len(self.cycle.body) + len(body) < _WORTH_READING_BYTES and not self.cycle.response_complete:
            self._got_somewhere = True
            self.cycle.body += body
        else:
            super().on_body(body)
            self._begin()

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._answers.early = False
        super().on_message_complete()
        arrived(cast("Scope", self.scope))
        self._begin()

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
        elif self._unbegun is not None:
            waiting.await_body(self, now=now)
        elif self.cycle.response_complete:
            self.has_begun = False
            waiting.rest(self, now=now)

    def unread_bytes(self) -> int:
        """Of answers, those that the system does not take since the client does not read."""
        return self.transport.get_write_buffer_size()

    # --- when a request is worked on

    def _start_asgi_task(self, cycle: "RequestResponseCycle", app: Any) -> None:  # noqa: ANN401 - as in uvicorn
        """Its head is there, and it is its turn. Who asks whether to send a body waits for the answer to that."""
        enough = not cycle.more_body or len(cycle.body) >= _WORTH_READING_BYTES
        if enough or cycle is not self.cycle or cycle.waiting_for_100_continue:
            super()._start_asgi_task(cycle, app)
            return
        now = self.loop.time()
        self._unbegun = cycle, app, now
        self._door.waiting.await_body(self, now=now)

    def _begin(self) -> None:
        if self._unbegun is not None:
            cycle, app, since = self._unbegun
            self._unbegun = None
            self._door.waiting.work(self)
            if self.loop.time() > since:
                awaited(cast("Scope", cycle.scope), since=since)
            super()._start_asgi_task(cycle, app)

    # --- ends

    def timeout_keep_alive_handler(self) -> None:
        """Uvicorn's own timer: who is idle for how long is the door's matter."""

    def end(self, error: HttpError | None) -> None:
        """Close, with an answer where one is due and could not be taken for another request's."""
        if self._answers.lingers or self.unread_bytes():
            # Closing would wait for the client to read, as long as the system does.
            self.transport.abort()
        if self.transport.is_closing():
            return
        self._answers.early = False
        if isinstance(error, GatewayError):
            self._door.refused(error)
            if self.may_answer():
                scope = cast("Scope", self.scope) if self.cycle is not None and self.cycle.scope is self.scope else None
                self.transport.write(early_answer(error, scope=scope, least_s=self._door.retry_after_s))
                self._answers.early = True
        self.transport.close()

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
