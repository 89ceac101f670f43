"""Canaries in every channel of OTLP: none comes out again, though nearly all are there in what was sent."""

import base64
import gzip
import io
import json
import logging
from collections.abc import Iterator
from itertools import count

import httpx
import pytest

from producer_gateway.metrics import Metrics
from producer_gateway.otlp import table
from producer_gateway.testing import MemoryRecordLog
from servicekit.logs import ContentFreeFormatter
from tests.unit.gateway.otlp import spans as make
from tests.unit.gateway.otlp.spans import CHILD, PROTOBUF, ROOT, Json

pytestmark = pytest.mark.anyio
_NUMBERED = [name for name in table.ROWS if table.ROWS[name].read in (table.count, table.number, table.status, table.amount)]
_NAMED = [name for name in table.ROWS if name not in _NUMBERED]


class Canaries:
    """Unique strings. `token` has the form of a name and goes where no string may pass, `text` is free text."""

    def __init__(self) -> None:
        self.planted: list[str] = []
        self._numbers = count()

    def token(self) -> str:
        self.planted.append(f"Canary{next(self._numbers):05d}q")
        return self.planted[-1]

    def text(self) -> str:
        return f"the {self.token()} sings"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that any logger says at debug level, as the service would write it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(ContentFreeFormatter())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


def _unknown(sing: Canaries) -> dict[str, object]:
    """Attributes of no row, of every type and depth."""
    deep: object = sing.token()
    for _ in range(8):
        deep = {sing.token(): [deep, sing.token()]}
    content = (
        "gen_ai.prompt",
        "gen_ai.input.messages",
        "input.value",
        "llm.input_messages.0.message.content",
        "exception.message",
    )
    return {
        **{name: sing.text() for name in content},
        **{name: sing.token() for name in ("session.id", "user.id", "tool.parameters", "gen_ai.tool.call.arguments")},
        sing.token(): sing.token(),
        sing.text(): 1,
        f"gen_ai.{sing.token()}": True,
        f"retrieval.documents.0.{sing.token()}": sing.token(),
        "array": [sing.token(), [sing.text()], 1.5],
        "bytes": sing.token().encode(),
        "deep": deep,
    }


def _known(sing: Canaries) -> dict[str, object]:
    """Attributes of the table, with what their rows must not let through: free text, or strings where numbers stand."""
    return {
        **{name: sing.text() for name in _NAMED},
        **{name: sing.token() for name in _NUMBERED},
    }


def _span(sing: Canaries, span_id: str, parent: str, said: dict[str, object]) -> Json:
    link = {"traceId": "ab" * 16, "spanId": "cd" * 8, "traceState": f"k={sing.token()}"}
    exception = {"exception.type": sing.text(), "exception.message": sing.token(), "exception.stacktrace": sing.token()}
    return make.span(
        span_id,
        parent,
        said=said,
        name=sing.token(),
        traceState=f"{sing.token().lower()}={sing.token()}",
        status={"code": 2, "message": sing.token()},
        events=[
            {"name": sing.token(), "attributes": make.attributes({sing.token(): sing.token(), "exception.type": sing.token()})},
            {"name": "exception", "attributes": make.attributes({**exception, sing.token(): [sing.token()]})},
        ],
        links=[{**link, "attributes": make.attributes({sing.token(): sing.token()})}],
    )


def _request(sing: Canaries) -> Json:
    spans = [_span(sing, CHILD, ROOT, _unknown(sing)), _span(sing, ROOT, "", _known(sing)), _span(sing, ROOT, "", _unknown(sing))]
    typed = {name: {"a": sing.token()} if at % 2 else sing.token().encode() for at, name in enumerate(table.ROWS)}
    listed = {name: [sing.text(), sing.text()] for name in table.ROWS}
    spans += [_span(sing, CHILD, ROOT, typed), _span(sing, CHILD, ROOT, listed)]
    resource = {
        "host.name": sing.token(),
        sing.token(): sing.token(),
        **{name: f"({sing.text()})" for name in table.RESOURCE_ROWS},
    }
    body = make.request(*spans, resource=resource)
    part = body["resourceSpans"][0]
    part["schemaUrl"] = sing.token()
    part["scopeSpans"][0] |= {
        "scope": {"name": sing.token(), "version": sing.token(), "attributes": make.attributes({sing.token(): sing.token()})},
        "schemaUrl": sing.token(),
    }
    return body


def _requests(sing: Canaries) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Address, body and headers."""
    for _ in range(3):
        body = _request(sing)
        text = json.dumps(body).encode()
        yield "/v1/traces", text, {}
        yield "/v1/traces", make.protobuf(body), PROTOBUF
        yield "/v1/traces", gzip.compress(text, 0), {"content-encoding": "gzip"}
        yield "/v1/traces", text[:-9], {}
        yield "/v1/traces", make.protobuf(body)[:-9], PROTOBUF
    for member in ("traceId", "spanId", "parentSpanId", "startTimeUnixNano", "endTimeUnixNano", "kind", "flags", "events"):
        yield "/v1/traces", make.as_json(make.span(), make.span(CHILD, **{member: sing.token()})), {}
    for headers in ({}, PROTOBUF, {"content-encoding": "gzip"}):
        yield "/v1/traces", sing.token().encode(), headers
        yield f"/v1/traces?{sing.token()}={sing.token()}", sing.token().encode(), headers
        yield f"/v1/traces/{sing.token()}", b"{}", headers
    for name in (
        "content-type",
        "content-encoding",
        "baggage",
        "user-agent",
        "traceparent",
        "tracestate",
        "authorization",
        "cookie",
    ):
        yield "/v1/traces", make.as_json(make.span()), {name: sing.token()}


def _forms(canary: str) -> Iterator[bytes]:
    raw = canary.encode()
    yield raw
    yield raw.hex().encode()
    yield base64.b64encode(raw)[:-4]
    yield canary.encode("utf-16-le")
    yield canary.lower().encode()


async def test_no_canary_comes_out(client: httpx.AsyncClient, lines: io.StringIO, log: MemoryRecordLog, metrics: Metrics) -> None:
    """None of more than a thousand is in records, answers, logs at debug level or metrics; at least 99 % were in the input."""
    sing, sent, said = Canaries(), b"", b""
    for url, body, headers in _requests(sing):
        answer = await client.post(url, content=body, headers=headers)
        assert answer.status_code < 500
        sent += url.encode() + repr(headers).encode() + (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        said += answer.content + repr(answer.headers).encode()
    said += (await client.get("/metrics")).content + lines.getvalue().encode()
    said += b"".join(message.key + message.value for message in log.messages)
    assert len(sing.planted) > 1_000
    assert len(log.messages) >= 9, "what was planted in was accepted, not refused as a whole"
    found = [canary for canary in sing.planted if any(form in sent for form in _forms(canary))]
    assert len(found) >= 0.99 * len(sing.planted), "the control"
    assert [canary for canary in sing.planted if any(form in said for form in _forms(canary))] == []


async def test_the_search_would_find_what_passes(client: httpx.AsyncClient, log: MemoryRecordLog) -> None:
    """A label in a row that takes labels does come through."""
    await client.post("/v1/traces", content=make.as_json(make.span(said={"gen_ai.request.model": "Canary00000q"})))
    assert b"Canary00000q" in log.messages[0].value
