"""What clients and orchestrators see while the log does not acknowledge."""

import asyncio
import json
from typing import NoReturn

import httpx
import pytest

from producer_gateway.app import create_app
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.process.drain import Drain
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from servicekit.testing import MemoryKeys, cache_of
from tests.unit.gateway import batches as make
from tests.unit.gateway.batches import Gateway
from tests.unit.gateway.served import REQUEST, served

pytestmark = pytest.mark.anyio


async def test_deadline(gateway: Gateway, log: MemoryRecordLog) -> None:
    """Without an acknowledgement the answer is 503 with Retry-After; nothing says that the events were accepted."""
    log.stalled = True
    async with gateway(request_deadline_s=0.05, receive_timeout_s=0.04) as client:
        answer = await client.post("/v1/events", json=make.batch(make.started()))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "log_unavailable")
    assert 1 <= int(answer.headers["retry-after"]) <= 3


async def test_known_outage(client: httpx.AsyncClient, log: MemoryRecordLog) -> None:
    """While the log is known to be away requests fail at once, readiness is red, liveness green; then all heals."""
    log.stopped = True
    answer = await client.post("/v1/events", json=make.batch(make.started()))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "kafka_unreachable")
    ready = await client.get("/ready")
    assert (ready.status_code, ready.json()) == (503, {"status": "not_ready", "reason": "kafka_unreachable"})
    assert (await client.get("/health")).status_code == 200
    log.stopped = False
    assert (await client.get("/ready")).status_code == 200
    assert (await client.post("/v1/events", json=make.batch(make.started()))).status_code == 202


async def test_draining(log: MemoryRecordLog) -> None:
    """A process that was told to end is not ready, and still finishes what reaches it."""
    drain = Drain()
    app = create_app(GatewaySettings(), log, keys=cache_of(MemoryKeys()), drain=drain)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client,
    ):
        assert (await client.get("/ready")).status_code == 200
        drain.begun = True
        assert (await client.get("/ready")).json()["reason"] == "draining"
    assert log.unready() == "closed"


async def test_cut_off(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """What is cancelled since the time to drain is over gets 503 and Retry-After, not the server's own page."""
    log.stalled, drain = True, Drain()
    async with served(log, metrics, drain=drain) as gateway:
        client = await gateway.connect()
        await client.send(REQUEST)
        await gateway.until_sample(1, "in_flight_requests")
        drain.begun = True
        gateway.cut_off()
        status, head, body = await client.answer()
        assert (status, json.loads(body)["error"]["code"]) == (503, "ending")
        assert b"retry-after: " in head
        assert gateway.sample("in_flight_requests") == 0


async def test_cancelled(client: httpx.AsyncClient, log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """Whoever cancels a request at any other time is obeyed."""
    log.stalled = True
    request = asyncio.create_task(client.post("/v1/events", json=make.batch(make.started())))
    async with asyncio.timeout(10):
        while not metrics.registry.get_sample_value("agenttracer_gateway_in_flight_requests"):  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_log_that_breaks_its_promise(gateway: Gateway, log: MemoryRecordLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error is a 500 in the gateway's own form, without a word of what happened."""

    async def append(*_args: object, **_kwargs: object) -> NoReturn:
        raise RuntimeError("canary-7f3a")

    monkeypatch.setattr(log, "append", append)
    async with gateway() as client:
        answer = await client.post("/v1/events", json=make.batch(make.started()))
    assert (answer.status_code, answer.json()) == (
        500,
        {"error": {"code": "internal", "field": None, "message": "Internal Server Error."}},
    )
