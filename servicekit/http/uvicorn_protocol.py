"""One client's connection: uvicorn's protocol with the bounds of a `ConnectionPolicy`. All overrides of uvicorn's private parts.

A head is bounded, and with it all that stands around bodies: trailers and extensions of chunks. A request is worked on as soon
as its body is there, or a part of it that is worth reading; until then a slow body costs what a slow head does.

tests/contract/test_uvicorn_internals.py pins what is relied on, and pyproject.toml pins uvicorn and httptools for it.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from servicekit.http.body_state import arrived, awaited
from servicekit.http.coalescing_transport import CoalescingTransport
from servicekit.http.connection_manager import ConnectionManager
from servicekit.http.errors import HeadTooLargeError, Http2Error, HttpError, MalformedRequestError, TooManyConnectionsError
from servicekit.http.httptools_upgrade import announces_body, without_offer

if TYPE_CHECKING:
    from starlette.types import Scope
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_PIPELINED_MAX: Final = 4
"""Requests sent ahead on one connection: no client of ours does it, and one packet could hold ten thousand."""
_WORTH_READING_BYTES: Final = 1024
"""Of a body that has not ended. Slow senders would have a request opened for nothing, and woken for every byte."""
_HTTP2: Final = b"PRI * HTTP/2"
"""How every connection of HTTP/2 without TLS begins."""
_LINGER_MAX_BYTES: Final = 16 * 1024 * 1024
"""Of a request that has its answer already. The largest batch of the contract is 8 MiB before compression."""


class BoundedProtocol(HttpToolsProtocol):
    """One client's connection. uvicorn is given `partial(BoundedProtocol, manager)` as its protocol class."""

    def __init__(self, manager: ConnectionManager["BoundedProtocol"], **of_uvicorn: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(**of_uvicorn)
        self._manager = manager
        self._timeouts = manager.timeouts
        self._head_max_bytes = manager.policy.head_max_bytes
        self._head_bytes = 0
        self._head_open = False
        self._between_requests = True
        self._idle_bytes = 0
        """Bytes since the last that belonged to a body or ended a head."""
        self._made_progress = False
        self._bytes_after_answer = 0
        self._unread = 0
        self._is_admitted = True
        self._fault: HttpError | None = None
        self._waits_for_body: tuple[RequestResponseCycle, Any, float] | None = None
        self.has_begun = False

    # --- called by the event loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Opened."""
        self._answers = CoalescingTransport(transport, linger=self._linger)
        super().connection_made(self._answers)  # type: ignore[arg-type]  # does whatever the transport does
        self._is_admitted = self._manager.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed, by either side."""
        self._manager.leave(self)
        self._answers.early = False  # no client is left to linger for
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not take an answer of several parts as fast as it is made."""
        super().pause_writing()
        self._await_reader()

    def data_received(self, data: bytes) -> None:
        """Bytes arrived. They are counted: the parser would keep a header, trailer or chunk extension without end for ever."""
        if self._answers.lingers:
            self._discard(len(data))
        if self.transport.is_closing():
            return
        if not self.has_begun and data.startswith(_HTTP2):
            self.end(self._manager.policy.error(Http2Error))
            return
        self.has_begun = True
        self._made_progress = False
        super().data_received(without_offer(data) if self._between_requests else data)
        if self.transport.is_closing():
            return
        self._idle_bytes = 0 if self._made_progress else self._idle_bytes + len(data)
        if self._idle_bytes > self._head_max_bytes:
            self.end(self._manager.policy.error(HeadTooLargeError))

    # --- called by the parser

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._head_bytes, self._between_requests, self._head_open = 0, False, True
        self._timeouts.await_head(self, now=self.loop.time())

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
        self._head_open, self._made_progress = False, True
        self._timeouts.work(self)
        if not self._is_admitted:
            self._fail(TooManyConnectionsError)
        if len(self.pipeline) >= _PIPELINED_MAX:
            self._fail(MalformedRequestError)
        upgrades = self.parser.should_upgrade()
        if upgrades and announces_body(self.headers):
            self._fail(MalformedRequestError)
        self._answers.early = True
        super().on_headers_complete()
        if upgrades:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Part of its body. The reader is not woken for less than is worth it; the end of the body wakes it in any case."""
        self._made_progress = True
        if len(self.cycle.body) + len(body) < _WORTH_READING_BYTES and not self.cycle.response_complete:
            self.cycle.body += body
        else:
            super().on_body(body)
            self._begin()

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._made_progress = self._between_requests = True
        self._answers.early = False
        super().on_message_complete()
        arrived(cast("Scope", self.scope))
        self._begin()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are not used
        """The parser does not want to go on."""
        self.end(self._fault or self._manager.policy.error(MalformedRequestError))

    def _fail(self, kind: type[HttpError]) -> None:
        """Raised into the parser, which passes it on as an error of its own, for which uvicorn calls `send_400_response`."""
        self._fault = self._manager.policy.error(kind)
        raise self._fault

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._head_max_bytes:
            self._fail(HeadTooLargeError)

    # --- answers

    def on_response_complete(self) -> None:
        """The answer is written."""
        self._answers.flush()
        super().on_response_complete()
        if self._answers.lingers:
            return
        if self._unread_bytes():
            self._await_reader()
        elif not self.transport.is_closing():
            self._rest()

    def takes_answer(self) -> bool:
        """Whether the client has read enough of its answer since the last call. If some is left, its time begins again."""
        before, left = self._unread, self._unread_bytes()
        least = self._manager.policy.answer_least_bytes
        if left > max(0, before - (before if least is None else least)):
            return False
        self._rest()
        if left:
            self._await_reader()
        return True

    def _rest(self) -> None:
        """All answers that are written have been taken."""
        self._unread = 0
        now = self.loop.time()
        self._timeouts.forget(self)
        if self._head_open:
            self._timeouts.await_head(self, now=now)
        elif self._waits_for_body is not None:
            self._timeouts.await_body(self, now=now)
        elif self.cycle.response_complete:
            self.has_begun = False
            self._timeouts.rest(self, now=now)

    def _await_reader(self) -> None:
        self._unread = self._unread or self._unread_bytes()
        self._timeouts.unread(self, now=self.loop.time())

    def _unread_bytes(self) -> int:
        """Bytes of answers that the system does not take, since the client does not read."""
        return self.transport.get_write_buffer_size()

    # --- the start of work on a request

    def _start_asgi_task(self, cycle: "RequestResponseCycle", app: Any) -> None:  # noqa: ANN401 - as in uvicorn
        """Its head is there, and it is its turn. A client that sent `Expect: 100-continue` waits for our 100."""
        enough = not cycle.more_body or len(cycle.body) >= _WORTH_READING_BYTES
        if enough or cycle is not self.cycle or cycle.waiting_for_100_continue:
            super()._start_asgi_task(cycle, app)
            return
        now = self.loop.time()
        self._waits_for_body = cycle, app, now
        self._timeouts.await_body(self, now=now)

    def _begin(self) -> None:
        if self._waits_for_body is not None:
            cycle, app, since = self._waits_for_body
            self._waits_for_body = None
            self._timeouts.work(self)
            if self.loop.time() > since:
                awaited(cast("Scope", cycle.scope), since=since)
            super()._start_asgi_task(cycle, app)

    # --- the end of a connection

    def timeout_keep_alive_handler(self) -> None:
        """Uvicorn's own timer does nothing: the manager closes idle connections."""

    def end(self, error: HttpError | None) -> None:
        """Close, with an answer where one is due and could not be taken for another request's."""
        if self._answers.lingers or self._unread_bytes():
            # Closing would wait for the client to read, as long as the system does.
            self.transport.abort()
        if self.transport.is_closing():
            return
        self._answers.early = False
        if error is not None:
            policy = self._manager.policy
            policy.observer.refused(error)
            if self._may_answer():
                scope = cast("Scope", self.scope) if self.cycle is not None and self.cycle.scope is self.scope else None
                self.transport.write(policy.answer(error, scope))
                self._answers.early = True
        self.transport.close()

    def _may_answer(self) -> bool:
        """Whether an answer now could not be taken for another request's: all have theirs, or the last one is being read."""
        if self.cycle is None or self.cycle.response_complete:
            return True
        return self.cycle.more_body and not (self.cycle.response_started or self.pipeline)

    def _linger(self) -> None:
        """Our side is closed. The client has some time to stop sending; nothing of its request is kept meanwhile."""
        if self.cycle is not None and self.cycle.response_complete:
            self.cycle.body = bytearray()
        self.flow.resume_reading()
        self._timeouts.linger(self, now=self.loop.time())

    def _discard(self, size: int) -> None:
        self._bytes_after_answer += size
        if self._bytes_after_answer > _LINGER_MAX_BYTES:
            self._manager.close(self, reason="linger_bytes")
