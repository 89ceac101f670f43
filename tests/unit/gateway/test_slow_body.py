"""A body that comes slowly: nothing is opened for it before there is something to read, and it has its time like a head."""

import asyncio
import json
import time

import pytest
from starlette.requests import Request

from producer_gateway.api import ingest
from producer_gateway.limits.admission import Admission
from producer_gateway.limits.read_body import BodyLimits, read_body
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.otlp.responses import OtlpEncoding, status_body
from producer_gateway.testing import MemoryRecordLog
from servicekit.http.body_state import awaited, begun_at
from servicekit.http.errors import SlowBodyError
from tests.unit.gateway.served import BODY, HEAD, REQUEST, served

pytestmark = pytest.mark.anyio
BEGUN = HEAD + b"content-length: 2000\r\n\r\n"
SHORT_S = 0.05
ENOUGH = 1_024


@pytest.mark.parametrize("before", [b"", REQUEST, REQUEST + REQUEST], ids=["first", "second", "sent ahead"])
async def test_stuck(log: MemoryRecordLog, metrics: GatewayMetrics, before: bytes) -> None:
    """A body of which next to nothing comes is answered with 408, be it a connection's first or one of those sent ahead."""
    async with served(log, metrics, receive_timeout_s=SHORT_S) as gateway:
        client = await gateway.connect()
        await client.send(before + BEGUN + b"{")
        for _ in range(before.count(b"POST")):
            assert (await client.answer())[0] == 202
        status, head, body = await client.answer()
        assert (status, json.loads(body)["error"]["code"]) == (408, "slow_body")
        assert b"connection: close" in head
        assert await client.rest() == b""
        assert gateway.sample("requests_refused_total", code="slow_body") == 1
        assert gateway.sample("connections_closed_total", reason="body_timeout") == 1


@pytest.mark.parametrize("encoding", OtlpEncoding)
async def test_stuck_exporter(log: MemoryRecordLog, metrics: GatewayMetrics, encoding: OtlpEncoding) -> None:
    """Exporters are told in OTLP's form, in their own encoding."""
    async with served(log, metrics, receive_timeout_s=SHORT_S) as gateway:
        client = await gateway.connect()
        begun = BEGUN.replace(b"/v1/events", b"/v1/traces").replace(b"application/json", encoding.encode())
        await client.send(begun)
        status, head, body = await client.answer()
    assert (status, b"content-type: " + encoding.encode() in head) == (408, True)
    message = SlowBodyError().message
    assert body == status_body(encoding, status=408, message=f"slow_body: {message}")


@pytest.mark.parametrize("length", [10, 2_000])
async def test_malformed_exporter(log: MemoryRecordLog, metrics: GatewayMetrics, length: int) -> None:
    """So they are when what comes later is no HTTP, be there little of their body or much."""
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        begun = HEAD.replace(b"/v1/events", b"/v1/traces") + b"transfer-encoding: chunked\r\n\r\n"
        await client.send(begun + b"%x\r\n%s\r\nno size\r\n" % (length, b" " * length))
        status, _, body = await client.answer()
    assert (status, json.loads(body)["code"]) == (400, 3)


async def test_enough_of_one_sent_ahead(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """A request that had to wait for its turn begins when it comes, if enough of its body is there by then."""
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        await client.send(REQUEST + BEGUN + BODY.ljust(ENOUGH))
        assert (await client.answer())[0] == 202
        await gateway.until_sample(ENOUGH, "in_flight_bytes")
        await client.send(b" " * (2_000 - ENOUGH))
        assert (await client.answer())[0] == 202


async def test_stuck_later(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """A body that is read already has no more time than one that is not."""
    async with served(log, metrics, receive_timeout_s=0.5) as gateway:
        client = await gateway.connect()
        await client.send(BEGUN + b" " * ENOUGH)
        await gateway.until_sample(ENOUGH, "in_flight_bytes")
        assert (await client.answer())[0] == 408
        assert gateway.sample("connections_closed_total", reason="body_timeout") == 0


async def test_time_counts_from_head() -> None:
    """What was waited before a body was read is taken from the time that it has."""

    async def never() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    headers = [(b"content-type", b"application/json"), (b"content-length", b"2000")]
    scope = {"type": "http", "method": "POST", "path": "/v1/events", "headers": headers}
    awaited(scope, since=time.monotonic() - 100)
    limits = BodyLimits(body_max_bytes=9_000, inflated_max_bytes=9_000, inflate_max_ratio=100, receive_timeout_s=99)
    admission = Admission(max_bytes=9_000, max_requests=1, metrics=GatewayMetrics())
    async with asyncio.timeout(10):
        with admission.admit("p") as ticket, pytest.raises(SlowBodyError):
            await read_body(Request(scope, never), limits=limits, ticket=ticket, accepts="application/json")


async def test_head_begins_the_time(log: MemoryRecordLog, metrics: GatewayMetrics, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that had to wait for its body tells its route since when."""
    begun: list[float] = []
    monkeypatch.setattr(ingest, "begun_at", lambda scope: begun.append(begun_at(scope)) or begun_at(scope))
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        await client.send(BEGUN)
        assert await gateway.post() == 202
        head_was_there = time.monotonic()
        await client.send(BODY.ljust(2_000))
        assert (await client.answer())[0] == 202
    assert len(begun) == 2
    assert begun[1] < head_was_there


async def test_asks_first(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """Who asks whether to send a body is answered at once, and then has the time for it."""
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        await client.send(HEAD + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY))
        async with asyncio.timeout(10):
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(BODY)
        assert (await client.answer())[0] == 202


@pytest.mark.parametrize(
    "request_", [b"GET /ready HTTP/1.1\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", b"CONNECT x:1 HTTP/1.1\r\n\r\n"]
)
async def test_no_body_to_come(log: MemoryRecordLog, metrics: GatewayMetrics, request_: bytes) -> None:
    """Nothing is waited for where the connection was to become something else."""
    async with served(log, metrics, receive_timeout_s=4.0) as gateway:
        client = await gateway.connect()
        await client.send(request_)
        assert (await client.answer())[0] != 408


async def test_spared(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """When all connections are taken, one whose body does not come goes before one that is idle."""
    async with served(log, metrics, connections_max=2) as gateway:
        idle = await gateway.connect()
        await idle.send(REQUEST)
        assert (await idle.answer())[0] == 202
        stuck = await gateway.connect()
        await stuck.send(BEGUN)
        await idle.send(REQUEST)
        assert (await idle.answer())[0] == 202
        assert await gateway.post() == 202
        assert await stuck.rest() == b""
        await idle.send(REQUEST)
        assert (await idle.answer())[0] == 202


async def test_body_in_small_parts(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """Who reads a body is woken when there is something worth it or nothing more to come, not for every byte of a slow one."""
    body, held = BODY.ljust(2_000), set()
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        await client.send(HEAD + b"content-length: 2000\r\n\r\n")
        for at in range(2_000):
            await client.send(body[at : at + 1])
            await asyncio.sleep(0)
            held.add(gateway.sample("in_flight_bytes") if at < 1_999 else 0)
        assert (await client.answer())[0] == 202
    assert len(held) <= 2  # the second one when half of it was there
    assert held <= {0, *range(1_024, 2_000)}
