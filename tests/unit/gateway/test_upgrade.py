"""Clients that offer to go on in another protocol, as Java's own does with HTTP/2: they are served in this one."""

import pytest

from producer_gateway.metrics import GatewayMetrics
from producer_gateway.testing import MemoryRecordLog
from tests.unit.gateway.served import BODY, HEAD, REQUEST, served

pytestmark = pytest.mark.anyio
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
DECLARED = b"content-length: %d\r\n\r\n" % len(BODY)
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize("apart", [False, True], ids=["one packet", "two"])
@pytest.mark.parametrize(
    ("end_of_head", "body"),
    [(DECLARED, BODY), (CHUNKED, b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))],
    ids=["declared", "chunked"],
)
async def test_served(log: MemoryRecordLog, metrics: GatewayMetrics, end_of_head: bytes, body: bytes, *, apart: bool) -> None:
    """The offer is not taken, and the request is read as any other, with its body; so is the next one."""
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        for packet in (HEAD + OFFER + end_of_head, body) if apart else (HEAD + OFFER + end_of_head + body,):
            await client.send(packet)
            assert await gateway.post() == 202
        assert (await client.answer())[0] == 202
        await client.send(REQUEST)
        assert (await client.answer())[0] == 202


@pytest.mark.parametrize("before", [b"POST ", REQUEST], ids=["torn apart", "sent ahead"])
async def test_body_is_no_request(log: MemoryRecordLog, metrics: GatewayMetrics, before: bytes) -> None:
    """Where the offer is seen too late to be passed over, the request is refused, and its body never taken for another one."""
    asking = HEAD + OFFER + b"content-length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        if before == REQUEST:
            await client.send(REQUEST + asking)
        else:
            await client.send(before)
            assert await gateway.post() == 202
            await client.send(asking.removeprefix(before))
        answers = await client.rest()
    assert b"HTTP/1.1 200" not in answers
    assert b"malformed_request" in answers or before == REQUEST
    assert gateway.sample("requests_refused_total", code="malformed_request") == 1


async def test_without_body(log: MemoryRecordLog, metrics: GatewayMetrics) -> None:
    """A page is shown to such a client too."""
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            await client.send(b"GET /health HTTP/1.1\r\nhost: x\r\n" + OFFER + b"\r\n")
            assert (await client.answer())[0] == 200
