"""A transport that sends the head of an answer together with its body: one system call and one packet in place of two.

uvicorn writes them one after the other, and the event loop sends at once what it is given. With a small answer, a system call
costs as much as all that is done to find out what to answer.

It also keeps early answers from being lost. The system resets a connection that is closed while its client is still sending, and
the client sees that instead of its answer. So only our side is closed, and what the client still sends is read and discarded.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

_FINAL: Final = b"HTTP/1.1 "
_INTERIM: Final = b"HTTP/1.1 100"
_END_OF_HEAD: Final = b"\r\n\r\n"


class CoalescingTransport:
    """Wraps `transport`. Bytes that look like a head wait for the next ones, for `flush` or for `close`."""

    def __init__(self, transport: asyncio.Transport, *, linger: Callable[[], None]) -> None:
        """`linger` is called when only our side was closed. It must see that what still comes is read, and `abort` in the end."""
        self._transport = transport
        self._linger = linger
        self._head = b""
        self.early = False
        """Whether the client may still be sending the request that is answered."""
        self.lingers = False

    def write(self, data: bytes) -> None:
        """Send, or keep until there is more to send with it. To a client that is gone nothing is sent: uvloop would raise."""
        if self.lingers or self._transport.is_closing():
            return
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_FINAL) and data.endswith(_END_OF_HEAD) and not data.startswith(_INTERIM):
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Send what is kept: an answer without a body."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Send what is kept, and close. After an early answer only our side is closed."""
        self.flush()
        if not self.early:
            self._transport.close()
        elif not self.is_closing():
            self.lingers = True
            if self._transport.can_write_eof():  # TLS cannot; its clients see the end of an answer by its length
                self._transport.write_eof()
            self._linger()

    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self.lingers or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - everything else is the transport's
        return getattr(self._transport, name)
