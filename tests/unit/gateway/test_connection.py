"""What a client may do before it has sent a request: little, and not for long."""

import asyncio
import json
from contextlib import suppress
from dataclasses import replace

import pytest

from producer_gateway.metrics import GatewayMetrics
from producer_gateway.process.connections import connection_policy
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from tests.unit.gateway.served import BODY, HEAD, REQUEST, served

pytestmark = pytest.mark.anyio
LARGE = b"x-more: " + b"x" * 20_000
MIB = 1024 * 1024
CODES = {413: "body_too_large", 431: "head_too_large", 400: "malformed_request"}
TOO_LARGE = HEAD + b"content-length: %d\r\n\r\n" % (1024 * MIB) + b"x" * 1024


def code(body: bytes) -> str:
    return str(json.loads(body)["error"]["code"])


async def test_request_after_request(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """A connection takes one request after the other, in pieces of any size, and is counted while it is open."""
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        for size in (len(REQUEST), 7, 1):
            for at in range(0, len(REQUEST), size):
                await client.send(REQUEST[at : at + size])
            assert (await client.answer())[0] == 202
        assert gateway.sample("connections") == 1
        client.writer.close()
        await gateway.until_sample(0, "connections")
    assert len(log.messages) == 3


async def test_nothing_sent(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """Who connects and says nothing is disconnected without a word."""
    async with served(log, metrics, head_timeout_s=0.05) as gateway:
        client = await gateway.connect()
        assert await client.rest() == b""
        assert gateway.sample("connections_closed_total", reason="head_timeout") == 1


@pytest.mark.parametrize("before", [b"", REQUEST])
async def test_half_a_head(log: MemoryRecordLog, metrics: GatewayMetrics, before: bytes) -> None:
    """A head that is not complete in time is answered with 408, as a connection's first or a later one."""
    async with served(log, metrics, head_timeout_s=0.05) as gateway:
        client = await gateway.connect()
        if before:
            await client.send(before)
            assert (await client.answer())[0] == 202
        await client.send(HEAD)
        status, head, body = await client.answer()
        assert (status, code(body)) == (408, "slow_head")
        assert b"connection: close" in head
        assert await client.rest() == b""


async def test_drip(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """Dripping bytes does not move the deadline: neither those of a head nor the line breaks that may stand before it."""
    async with served(log, metrics, head_timeout_s=0.1, idle_timeout_s=0.1) as gateway:
        for drop in (b"x", b"\r\n"):
            client = await gateway.connect()
            await client.send(REQUEST + HEAD if drop == b"x" else REQUEST)
            assert (await client.answer())[0] == 202
            rest = asyncio.create_task(client.rest())
            async with asyncio.timeout(10):
                while not rest.done():
                    client.writer.write(drop)
                    await asyncio.sleep(0.01)
        closed = [gateway.sample("connections_closed_total", reason=reason) for reason in ("head_timeout", "idle_timeout")]
        assert closed == [1, 1]


async def test_idle(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """A connection that has had its answer is closed when no further request comes."""
    async with served(log, metrics, idle_timeout_s=0.05) as gateway:
        client = await gateway.connect()
        await client.send(REQUEST)
        assert (await client.answer())[0] == 202
        assert await client.rest() == b""
        assert gateway.sample("connections_closed_total", reason="idle_timeout") == 1


async def test_answer_not_taken(log: MemoryRecordLog, metrics: GatewayMetrics, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that never reads is gone after its timeout: its answer is not kept for it."""
    monkeypatch.setattr("producer_gateway.events.validate.MISFITS_MAX", 5_000)  # so that the answer is a large one
    async with served(log, metrics, answer_timeout_s=0.1) as gateway:
        client = await gateway.connect(receive_buffer_bytes=4_096)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio types it as a write transport
        events = [{"type": "no such", "x" * 40: index} for index in range(5_000)]
        refused = json.dumps({**json.loads(BODY), "events": events}).encode()
        for _ in range(3):
            client.writer.write(HEAD + b"content-length: %d\r\n\r\n" % len(refused) + refused)
        await gateway.until_sample(0, "connections")
        assert gateway.sample("connections_closed_total", reason="answer_timeout") == 1


@pytest.mark.parametrize(
    "request_bytes",
    [HEAD + LARGE, HEAD + LARGE + b"\r\n\r\n", b"GET /" + b"x" * 20_000, b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n"],
    ids=["header without end", "header", "address without end", "address"],
)
async def test_large_head(log: MemoryRecordLog, metrics: GatewayMetrics, request_bytes: bytes) -> None:
    """A head over the limit is answered with 431, complete or not."""
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        await client.send(request_bytes)
        status, _, body = await client.answer()
        assert (status, code(body)) == (431, "head_too_large")


async def test_many_small_headers(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """Headers count together, and anew with each request."""
    small = HEAD + b"x: 1234567890\r\n" * 80 + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
    async with served(log, metrics, head_max_bytes=1_024) as gateway:
        client = await gateway.connect()
        for _ in range(5):
            await client.send(small)
            assert (await client.answer())[0] == 202
        await client.send(small.replace(b"\r\nx:", b"\r\nx: 1\r\nyyyyyyyyyyyyyy:"))
        assert (await client.answer())[0] == 431


@pytest.mark.parametrize("tail", [b"0\r\n" + LARGE, b"1;" + b"x" * 20_000], ids=["trailer", "chunk extension"])
async def test_bytes_that_are_no_body(log: MemoryRecordLog, metrics: GatewayMetrics, tail: bytes) -> None:
    """What stands around the body is bounded too: trailers and chunk extensions."""
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        await client.send(HEAD + b"transfer-encoding: chunked\r\n\r\n1000\r\n" + b" " * 4_096 + b"\r\n")
        await gateway.until_sample(4_096, "in_flight_bytes")
        for at in range(0, len(tail), 4_000):
            await client.send(tail[at : at + 4_000])
        assert (await client.answer())[0] == 431


@pytest.mark.parametrize("behind", [b"no HTTP\r\n\r\n", HEAD], ids=["malformed", "slow"])
async def test_fault_behind_a_request(log: MemoryRecordLog, metrics: GatewayMetrics, behind: bytes) -> None:
    """What is wrong with bytes behind a request is never said in the place of its answer."""
    log.stalled = True
    async with served(log, metrics, head_timeout_s=0.1) as gateway:
        client = await gateway.connect()
        await client.send(REQUEST + behind)
        assert (await client.rest())[:12] in {b"", b"HTTP/1.1 503"}


async def test_no_http(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """What is not HTTP is answered with 400 in the form of every other error."""
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        await client.send(b"\x16\x03\x01 secret words\r\n\r\n")
        status, _, body = await client.answer()
        assert (status, code(body), b"secret" in body) == (400, "malformed_request", False)
        assert gateway.sample("requests_refused_total", code="malformed_request") == 1


async def test_grpc(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """Who sends gRPC is told what is spoken here; the count shows it to ops, since gRPC's clients do not read the answer."""
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        await client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        status, _, body = await client.answer()
        assert (status, code(body), b"http/protobuf" in body) == (400, "http2", True)
        assert gateway.sample("requests_refused_total", code="http2") == 1


async def test_requests_ahead(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """A few requests may be sent ahead; thousands in one packet end the connection instead of filling memory."""
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        await client.send(REQUEST * 3)
        assert [(await client.answer())[0] for _ in range(3)] == [202] * 3
        await client.send(b"GET /health HTTP/1.1\r\n\r\n" * 2_000)
        assert (await client.rest()).count(b"200 OK") <= 5


async def test_room_for_one_more(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """When all connections are taken, the one that waits longest for its head goes first, then the longest idle."""
    async with served(log, metrics, connections_max=2) as gateway:
        idle = await gateway.connect()
        await idle.send(REQUEST)
        assert (await idle.answer())[0] == 202
        silent = await gateway.connect()
        assert await gateway.post() == 202
        assert await silent.rest() == b""
        assert await gateway.post() == 202
        assert gateway.sample("connections_closed_total", reason="evicted") == 2
        assert await idle.rest() == b""


async def test_no_room(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """When all connections are at work, one more gets 503 and Retry-After, and the others their answers."""
    async with served(log, metrics, connections_max=1) as gateway:
        busy = await gateway.connect()
        await busy.send(HEAD + b"content-length: 2005\r\n\r\n" + BODY.ljust(2_000))
        await gateway.until_sample(2_000, "in_flight_bytes")
        refused = await gateway.connect()
        await refused.send(REQUEST)
        status, head, body = await refused.answer()
        assert (status, code(body)) == (503, "too_many_connections")
        assert b"retry-after: " in head
        await busy.send(b" " * 5)
        assert (await busy.answer())[0] == 202


@pytest.mark.parametrize(
    ("begun", "status"),
    [(TOO_LARGE, 413), (TOO_LARGE + b"x" * 200_000, 413), (HEAD + LARGE, 431), (b"no HTTP\r\n\r\n", 400)],
    ids=["413", "413 with more than is kept", "431", "400"],
)
async def test_answered_while_sending(log: MemoryRecordLog, metrics: GatewayMetrics, begun: bytes, status: int) -> None:
    """Who goes on sending after the answer is heard out: the whole answer waits to be read, with the end of the connection."""
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        await client.send(begun)
        await gateway.until_sample(1, "requests_refused_total", code=CODES[status])
        for _ in range(3 * 16):
            await client.send(b"x" * 65_536)
        got, head, body = await client.answer()
        assert (got, code(body)) == (status, CODES[status])
        assert b"connection: close" in head
        assert await client.rest() == b""
        client.writer.close()
        await gateway.until_sample(0, "connections")
        assert not any(gateway.sample("connections_closed_total", reason=f"linger_{end}") for end in ("bytes", "timeout"))


async def test_sending_without_end(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """Who sends on and on after its answer is cut off after so many bytes, of which none is kept."""
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        await client.send(TOO_LARGE)
        with suppress(ConnectionError):
            for _ in range(64):
                await client.send(b"x" * MIB)
        await gateway.until_sample(0, "connections")
        assert gateway.sample("connections_closed_total", reason="linger_bytes") == 1
        assert gateway.sample("in_flight_bytes") == 0


async def test_not_ending(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """Who neither sends nor closes after its answer is gone after a while."""
    policy = replace(connection_policy(GatewaySettings(), metrics), linger_timeout_s=0.1)
    async with served(log, metrics, policy=policy) as gateway:
        client = await gateway.connect()
        await client.send(TOO_LARGE)
        assert (await client.answer())[0] == 413
        await gateway.until_sample(0, "connections")
        assert gateway.sample("connections_closed_total", reason="linger_timeout") == 1


async def test_answered_ones_take_no_room(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """When all connections are taken, one that was answered while it was sending goes before any other."""
    async with served(log, metrics, connections_max=2) as gateway:
        silent = await gateway.connect()
        await gateway.until_sample(1, "connections")
        answered = await gateway.connect()
        await answered.send(TOO_LARGE)
        assert (await answered.answer())[0] == 413
        assert await gateway.post() == 202
        assert gateway.sample("connections_closed_total", reason="evicted") == 1
        await silent.send(REQUEST)
        assert (await silent.answer())[0] == 202
