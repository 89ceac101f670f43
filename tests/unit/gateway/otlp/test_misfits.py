"""Spans that are nearly right, by hand; those by chance are in tests/fuzz."""

import json

import httpx
import pytest

from producer_gateway.testing import MemoryRecordLog
from servicekit import codec
from tests.unit.gateway.otlp import spans as make
from tests.unit.gateway.otlp.spans import CHILD, PROTOBUF

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "members",
    [
        {"startTimeUnixNano": str(2**64 - 1)},
        {"endTimeUnixNano": str(2**64 - 1)},
        {"endTimeUnixNano": str(make.START_NS + 400 * 86_400 * 10**9)},
        {"traceId": "ab"},
        {"traceId": "zz" * 16},
        {"spanId": "é" * 16},
        {"parentSpanId": "ab" * 20_000},
        {"startTimeUnixNano": "12 o'clock"},
    ],
)
async def test_spans_that_cannot_be_stored(client: httpx.AsyncClient, log: MemoryRecordLog, members: dict[str, str]) -> None:
    """Such a span is rejected alone, whatever is wrong with its ids and times."""
    spans = [make.span(**{"spanId": CHILD, **members}), make.span()]
    answer = await client.post("/v1/traces", content=make.as_json(*spans))
    assert (answer.status_code, answer.json()["partialSuccess"]["rejectedSpans"]) == (200, "1")
    record, _ = codec.read_record(log.messages[0].value)
    assert len(record.events) == 2


@pytest.mark.parametrize("depth", [50, 99, 200, 20_000])
async def test_deep_nesting(client: httpx.AsyncClient, depth: int) -> None:
    """Values nested to any depth are passed over or refused, in both encodings."""
    head, tail = '{"arrayValue":{"values":[', "]}}"
    text = make.as_json(make.span(said={"x": "here"})).decode().replace('{"stringValue": "here"}', head * depth + tail * depth)
    assert (await client.post("/v1/traces", content=text.encode())).status_code in {200, 400}
    value = b""
    for _ in range(min(depth, 5_000)):  # AnyValue.array_value.values, from the inside out
        for tag in (b"\x0a", b"\x2a"):
            value = tag + make.length(value) + value
    for tag in (b"\x12", b"\x4a", b"\x12", b"\x12", b"\x0a"):  # KeyValue.value, Span.attributes, up to the request
        value = tag + make.length(value) + value
    assert (await client.post("/v1/traces", content=value, headers=PROTOBUF)).status_code in {200, 400}


async def test_numbers_that_are_none(client: httpx.AsyncClient, log: MemoryRecordLog) -> None:
    """NaN and the infinities are left out, as JSON's strings and as protobuf's doubles."""
    said = {"gen_ai.request.temperature": float("nan"), "gen_ai.request.top_p": float("inf")}
    body = make.request(make.span(said=said))
    for content, headers in ((json.dumps(body).encode(), {}), (make.protobuf(body), PROTOBUF)):
        assert (await client.post("/v1/traces", content=content, headers=headers)).status_code == 200
    assert all("metadata" not in json.loads(message.value)["events"][0] for message in log.messages)
