"""A gateway on a log in memory that listens on a real socket, for tests of what happens below HTTP."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from producer_gateway.app import create_app
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.process.connections import connection_policy
from producer_gateway.process.drain import Drain
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from servicekit.http.connection_policy import ConnectionPolicy
from servicekit.http.server import protocol_of
from servicekit.testing import MemoryKeys, cache_of
from tests.unit.gateway import batches as make

BODY = make.body(make.started())
HEAD = b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
REQUEST = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Client:
    """One connection, spoken to in bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, bytes, bytes]:
        """Status, head and body of the next answer."""
        async with asyncio.timeout(PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
            body = await self.reader.readexactly(length)
        return int(head.split(b" ")[1]), head, body

    async def rest(self) -> bytes:
        """All until the other side closes."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read(-1)
            except ConnectionResetError:
                return b""


class Served:
    """The gateway and its clients."""

    def __init__(self, port: int, metrics: GatewayMetrics, state: ServerState) -> None:
        self._port = port
        self._metrics = metrics
        self._state = state
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, *, receive_buffer_bytes: int = 65_536) -> Client:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        sock.settimeout(0)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._port))
        reader, writer = await asyncio.open_connection(sock=sock)
        self._writers.append(writer)
        return Client(reader, writer)

    async def post(self) -> int:
        """One good request on a connection of its own."""
        client = await self.connect()
        await client.send(REQUEST)
        return (await client.answer())[0]

    def sample(self, name: str, **labels: str) -> float:
        return self._metrics.registry.get_sample_value(f"agenttracer_gateway_{name}", labels) or 0.0

    async def until_sample(self, value: float, name: str, **labels: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.sample(name, **labels) != value:  # noqa: ASYNC110 - metrics set no event for us
                await asyncio.sleep(0.005)

    def cut_off(self) -> None:
        """Cancel what is in work, as uvicorn does when the time to drain is over."""
        for task in self._state.tasks:
            task.cancel()

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
            try:
                await writer.wait_closed()
            except ConnectionError:
                continue


@asynccontextmanager
async def served(
    log: MemoryRecordLog,
    metrics: GatewayMetrics,
    *,
    drain: Drain | None = None,
    policy: ConnectionPolicy | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    """Listen, until the block ends."""
    told = GatewaySettings.model_validate({"anonymous_project": "default", **settings})
    ring = cache_of(MemoryKeys())
    app = create_app(told, log, keys=ring, metrics=metrics, drain=drain, clock_us=lambda: make.NOW_US)
    protocol, state = protocol_of(policy or connection_policy(told, metrics)), ServerState()
    config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False)  # type: ignore[arg-type]  # only called
    await log.start()
    await ring.refresh()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8_192)  # the system would hide megabytes that nobody reads
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=state, app_state={}), sock=listener
    )
    clients = Served(server.sockets[0].getsockname()[1], metrics, state)
    try:
        yield clients
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await clients.close()
        if state.tasks:
            await asyncio.wait(state.tasks)
