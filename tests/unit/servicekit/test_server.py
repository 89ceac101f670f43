"""One server for every service: beside what a process does, or as the whole of it."""

import asyncio
import signal

import httpx
import pytest
from prometheus_client import CollectorRegistry

from servicekit.http.connection_policy import ConnectionPolicy
from servicekit.http.server import HttpServer, ops_app
from servicekit.logs import Log

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def _ready() -> str | None:
    return None


def server(port: int = 0, **policy: float) -> HttpServer:
    app = ops_app(readiness=_ready, registry=CollectorRegistry())
    limits = ConnectionPolicy(**policy)  # type: ignore[arg-type]  # numbers by name
    return HttpServer(app, host="127.0.0.1", port=port, policy=limits, log=Log("test"), lifespan=False)


def port_of(serving: HttpServer) -> int:
    return int(serving.servers[0].sockets[0].getsockname()[1])


async def test_beside(caplog: pytest.LogCaptureFixture) -> None:
    """It listens when `start` returns, says where in the log, has the pages for operators and nothing else, and stops."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    serving = server()
    with caplog.at_level("INFO"):
        await serving.start()
    assert "listening" in caplog.text
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port_of(serving)}") as client:
        for path, status in (("/health", 200), ("/ready", 200), ("/metrics", 200), ("/openapi.json", 404)):
            answer = await client.get(path)
            assert (answer.status_code, "server" in answer.headers) == (status, False)
            assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert {number: signal.getsignal(number) for number in before} == before
    await serving.stop()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port_of(serving) if serving.servers[0].sockets else 1)


async def test_bounds() -> None:
    """It has the bounds of its policy: a head that does not end is answered, and silence is closed."""
    serving = server(head_max_bytes=1_024, head_timeout_s=0.2)
    await serving.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(serving))
    writer.write(b"GET /" + b"a" * 2_000)
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
        silent, other = await asyncio.open_connection("127.0.0.1", port_of(serving))
        assert await silent.read() == b""
    writer.close()
    other.close()
    await serving.stop()


async def test_port_taken(caplog: pytest.LogCaptureFixture) -> None:
    """Where it cannot listen the caller gets uvicorn's SystemExit, and no task dies of it unseen."""
    first = server()
    await first.start()
    second = server(port_of(first))
    with pytest.raises(SystemExit):
        await second.start()
    await second.stop()
    await first.stop()
    assert "never retrieved" not in caplog.text
