"""Connections that half a request cannot hold: a head has a size and a deadline, and makes room when there is none.

For services that answer few clients and read no bodies; the gateway, which thousands reach, has a door of its own.
"""

import asyncio
from typing import Any, Final

from servicekit.head_bounds import BoundedConnection, json_answer
from servicekit.http_error import HttpError

_READ_TIMEOUT_S: Final = 30.0
_READ_LEAST_BYTES: Final = 65_536
"""A client takes its answer, or so much of it each time: closing alone would wait for it as long as the system does."""


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


class Connection(BoundedConnection):
    """One client's connection."""

    def __init__(self, bounds: BoundedHeads, **of_uvicorn: Any) -> None:  # noqa: ANN401 - passed through
        super().__init__(head_max_bytes=bounds.head_max_bytes, **of_uvicorn)
        self._bounds = bounds
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

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
        """Bytes arrived. Those that begin no request, such as an empty line, have ended uvicorn's own wait for one."""
        super().data_received(data)
        idle = self._deadline is None and (self.cycle is None or self.cycle.response_complete)
        if idle and not self.transport.is_closing():
            self._await_head()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """A request to answer."""
        self._await_nothing()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """The answer is written."""
        super().on_response_complete()
        self._await_reader()

    def give_up(self) -> None:
        """Close without a word: the head did not come."""
        self._await_nothing()
        self.connections.discard(self)  # uvicorn counts them, and hears of this end only in the loop's next turn
        self.transport.abort()

    def end(self, error: HttpError | None) -> None:
        """Close, with an answer where one is due and could not be taken for another request's."""
        self._await_nothing()
        if error is not None and self.may_answer():
            self.transport.write(json_answer(error.status, {"error": {"code": error.error_code, "message": error.message}}))
        self.transport.close()
        self._await_reader()

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
