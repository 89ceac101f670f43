"""Canaries in every channel of every route: none comes out again, though nearly all are there in what was sent."""

import io
from collections.abc import Callable, Iterator

import httpx
import pytest

from producer_gateway.testing import MemoryRecordLog
from tests.support.firewall import native, otlp
from tests.support.firewall.canaries import Canaries
from tests.support.firewall.scan import Scanner
from tests.support.firewall.sent import Sent
from tests.unit.gateway import batches
from tests.unit.gateway.otlp import spans

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("requests", "accepted"), [(otlp.requests, 9), (native.requests, 200)])
async def test_no_canary_comes_out(
    client: httpx.AsyncClient,
    lines: io.StringIO,
    log: MemoryRecordLog,
    requests: Callable[[Canaries], Iterator[Sent]],
    accepted: int,
) -> None:
    """None is in records, answers, logs at debug level or metrics, in any form; at least 99 % were in the input."""
    sing, sent, said = Canaries(), b"", b""
    for each in requests(sing):
        answer = await client.request(each.method, each.url, content=each.body, headers=dict(each.headers))
        assert answer.status_code < 500, each.url
        sent += each.everything()
        said += answer.content + repr(answer.headers).encode()
    said += (await client.get("/metrics")).content + lines.getvalue().encode()
    said += b"".join(message.key + message.value for message in log.messages)
    assert len(log.messages) >= accepted, "what was planted in was accepted, not refused as a whole"
    scanner = Scanner(sing)
    assert scanner.scan([("the input", sent)]).share_of(sing) >= 0.99, "the control"
    assert scanner.scan([("the output", said)]).places == {}


async def test_the_search_would_find_what_passes(client: httpx.AsyncClient, log: MemoryRecordLog) -> None:
    """A label in a row that takes labels does come through, and so does a step's name."""
    sing = Canaries()
    await client.post("/v1/traces", content=spans.as_json(spans.span(said={"gen_ai.request.model": sing.token()})))
    await client.post("/v1/events", json=batches.batch(batches.step(name=sing.token())))
    found = Scanner(sing).scan([("the log", b"".join(message.value for message in log.messages))])
    assert found.numbers == {0, 1}
