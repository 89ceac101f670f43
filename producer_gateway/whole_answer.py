"""A transport that sends the head of an answer together with its body: one system call and one packet in place of two.

uvicorn writes them one after the other, and the event loop sends at once what it is given. With a small answer, a system call
costs as much as all that is done to find out what to answer.
"""

import asyncio
from typing import Any, Final

_FINAL: Final = b"HTTP/1.1 "
_INTERIM: Final = b"HTTP/1.1 100"
_END_OF_HEAD: Final = b"\r\n\r\n"


class WholeAnswer:
    """Stands for `transport`. Bytes that look like a head wait for the next ones, for `flush` or for `close`."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send, or keep until there is more to send with it."""
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
        """Send what is kept, and close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - everything else is the transport's
        return getattr(self._transport, name)
