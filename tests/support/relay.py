"""A network in front of Postgres, on loopback, that a test can make silent: it still accepts, and carries nothing."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit


class Relay:
    """Carries bytes both ways while `carries` is set, and keeps them to itself otherwise. `dsn` leads through it."""

    def __init__(self, dsn: str) -> None:
        self._target = urlsplit(dsn)
        assert self._target.hostname is not None
        assert self._target.port is not None
        self._address = self._target.hostname, self._target.port
        self._connections: set[asyncio.Task[None]] = set()
        self.carries = asyncio.Event()
        self.carries.set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        user = self._target.netloc.rpartition("@")[0]
        self.dsn = self._target._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()

    async def close(self) -> None:
        self._server.close()
        for _ in range(10):  # so many turns of the loop a connection may need from being accepted to being known here
            await asyncio.sleep(0)
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        with suppress(asyncio.CancelledError):  # by `close`; asyncio's own streams complain of it
            await self._carry(reader, writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._address)
            try:
                pipes = self._pipe(reader, far_writer), self._pipe(far_reader, writer)
                await asyncio.gather(*pipes, return_exceptions=True)
            finally:
                far_writer.transport.abort()
        finally:
            writer.transport.abort()

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await self.carries.wait()
                sink.write(data)
        finally:
            sink.close()
