"""Size, encoding, time and load: what a request may take of the gateway."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from producer_gateway.metrics import GatewayMetrics
from producer_gateway.testing import MemoryRecordLog
from tests.unit.gateway import batches as make
from tests.unit.gateway.batches import Gateway

Mangle = Callable[[bytes], bytes]

pytestmark = pytest.mark.anyio
GZIP = {"content-encoding": "gzip"}


async def _chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_gzip(client: httpx.AsyncClient) -> None:
    """One layer of gzip is read."""
    body = gzip.compress(make.body(make.started()))
    assert (await client.post("/v1/events", content=body, headers=GZIP)).status_code == 202


async def test_declared_size(gateway: Gateway) -> None:
    """A Content-Length over the limit is refused before a byte of the body is read."""
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"x"

    async with gateway(body_max_bytes=1_000) as client:
        answer = await client.post("/v1/events", content=body(), headers={"content-length": "1001"})
    assert (answer.status_code, answer.json()["error"]["code"], read) == (413, "body_too_large", [])
    assert answer.headers["connection"] == "close"


async def test_chunked_size(gateway: Gateway) -> None:
    """A body of unknown length is counted while it arrives; the rest is never asked for."""
    asked = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            asked.append(1)
            yield b"x" * 100

    async with gateway(body_max_bytes=1_000) as client:
        answer = await client.post("/v1/events", content=endless())
    assert (answer.status_code, len(asked)) == (413, 11)


async def test_body_as_large_as_allowed(gateway: Gateway) -> None:
    """The limit itself is allowed."""
    body = make.body(make.started())
    async with gateway(body_max_bytes=len(body), inflated_max_bytes=len(body)) as client:
        assert (await client.post("/v1/events", content=body)).status_code == 202
        assert (await client.post("/v1/events", content=gzip.compress(body), headers=GZIP)).status_code == 202


async def test_bomb(client: httpx.AsyncClient) -> None:
    """A body that inflates beyond its ratio or the limit is refused with 413."""
    bomb = gzip.compress(b" " * 50_000_000)
    answer = await client.post("/v1/events", content=bomb, headers=GZIP)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "inflated_too_large")


async def test_inflated_size(gateway: Gateway) -> None:
    """The limit on the inflated size holds whatever the ratio."""
    body = make.body(*[make.step(seq=seq) for seq in range(50)])
    async with gateway(inflated_max_bytes=len(body) - 1) as client:
        assert (await client.post("/v1/events", content=gzip.compress(body), headers=GZIP)).status_code == 413


@pytest.mark.parametrize(
    "mangle",
    [
        lambda body: body,
        lambda body: b"",
        zlib.compress,
        lambda body: gzip.compress(body)[:-1],
        lambda body: gzip.compress(body) + b"more",
        lambda body: gzip.compress(body) + gzip.compress(body),
        lambda body: gzip.compress(body)[:-8] + b"\0" * 8,
    ],
    ids=["plain", "empty", "zlib", "cut off", "followed", "two members", "wrong checksum"],
)
async def test_not_one_gzip_member(client: httpx.AsyncClient, mangle: Mangle) -> None:
    """What says gzip and is not exactly one sound member is refused with 400."""
    answer = await client.post("/v1/events", content=mangle(make.body(make.started())), headers=GZIP)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "compression")


async def test_two_layers(client: httpx.AsyncClient) -> None:
    """A second layer of gzip is not looked into."""
    body = gzip.compress(gzip.compress(make.body(make.started())))
    assert (await client.post("/v1/events", content=body, headers=GZIP)).status_code == 400
    answer = await client.post("/v1/events", content=body, headers={"content-encoding": "gzip, gzip"})
    assert answer.status_code == 415


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd, gzip", "identity, gzip", "x" * 5_000])
async def test_unknown_encoding(client: httpx.AsyncClient, encoding: str) -> None:
    """Other encodings are refused with 415 and the names of those that are read."""
    answer = await client.post("/v1/events", content=make.body(make.started()), headers={"content-encoding": encoding})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip, zstd")


@pytest.mark.parametrize("route", ["/v1/events", "/v1/runs"])
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
async def test_content_type(client: httpx.AsyncClient, route: str, content_type: str) -> None:
    """What a page in a browser could post without asking is refused with 415."""
    answer = await client.post(route, content=make.body(make.started()), headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "content_type")


async def test_slow_body(gateway: Gateway) -> None:
    """A body that does not arrive in time is answered with 408."""

    async def stuck() -> AsyncIterator[bytes]:
        yield make.body(make.started())[:10]
        await asyncio.Event().wait()

    async with gateway(receive_timeout_s=0.02) as client:
        answer = await client.post("/v1/events", content=stuck())
    assert (answer.status_code, answer.headers["connection"]) == (408, "close")


async def test_requests_in_flight(gateway: Gateway, log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """One request more than allowed is shed with 503 and Retry-After, and readiness says so; afterwards there is room again."""
    log.stalled = True
    async with gateway(in_flight_max_requests=1, request_deadline_s=0.5, receive_timeout_s=0.1) as client:
        first = asyncio.create_task(client.post("/v1/events", content=make.body(make.started())))
        async with asyncio.timeout(5):
            while not metrics.registry.get_sample_value("agenttracer_gateway_in_flight_requests"):  # noqa: ASYNC110 - what other tasks bring about sets no event for us
                await asyncio.sleep(0)
        second = await client.post("/v1/events", content=make.body(make.started()))
        assert (second.status_code, second.json()["error"]["code"]) == (503, "overloaded")
        assert int(second.headers["retry-after"]) >= 1
        assert (await client.get("/ready")).json() == {"status": "not_ready", "reason": "overloaded"}
        assert (await first).status_code == 503
        log.stalled = False
        assert (await client.get("/ready")).status_code == 200
        assert (await client.post("/v1/events", content=make.body(make.started()))).status_code == 202
    assert metrics.registry.get_sample_value("agenttracer_gateway_in_flight_requests") == 0


@pytest.mark.parametrize("compress", [lambda body: body, gzip.compress])
async def test_bytes_in_flight(gateway: Gateway, compress: Mangle, metrics: GatewayMetrics) -> None:
    """Bytes beyond the budget are shed with 503, as received or inflated, and the budget is given back."""
    body = compress(make.body(*[make.step(seq=seq) for seq in range(100)]))
    headers = GZIP if body[:1] != b"{" else {}
    async with gateway(in_flight_max_bytes=5_000) as client:
        answer = await client.post("/v1/events", content=_chunks(body[:100], body[100:]), headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
        assert (await client.post("/v1/events", content=make.body(make.started()))).status_code == 202
    assert metrics.registry.get_sample_value("agenttracer_gateway_in_flight_bytes") == 0


async def test_slow_senders_keep_nobody_out(gateway: Gateway) -> None:
    """Bodies on their way take no place: while one hangs, a whole request gets the only place."""
    begun, never = asyncio.Event(), asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        begun.set()
        await never.wait()

    async with gateway(in_flight_max_requests=1) as client:
        slow = asyncio.create_task(client.post("/v1/events", content=stuck()))
        await begun.wait()
        assert (await client.post("/v1/events", content=make.body(make.started()))).status_code == 202
        slow.cancel()
        await asyncio.wait([slow])
