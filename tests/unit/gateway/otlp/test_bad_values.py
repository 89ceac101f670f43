"""One bad value in one span costs no other span, and the span itself at the most: both encodings, every place, every kind."""

import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from producer_gateway.otlp import decode_json
from producer_gateway.otlp.mended.json_text import cut, mend
from tests.unit.gateway.batches import Records
from tests.unit.gateway.otlp import spans as make
from tests.unit.gateway.otlp.spans import CHILD, PROTOBUF, ROOT, Json

pytestmark = pytest.mark.anyio
GOOD = 19
MARK = "MARKMARKMARK"
SAID = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
HALVES = [
    r"abc \ud83d",
    r"\ude00 abc",
    r"\ud83d\ud83d\ude00",
    r"a\\\ud83d",
    r"\udfff\ud800",
    r"\uD83D!",
    r"\ud83",
    r"\x41",
    r"\u00zz",
]
BROKEN = [b"abc \xed\xa0\xbd", "abc 😀".encode()[:-1], b"\xff\xfe", b"\xc0\x80", b"\xf5\x80\x80\x80", b"\x80"]


def _spans(bad: Json) -> list[Json]:
    good = [make.span(f"{number + 1:016x}", ROOT, said=SAID) for number in range(GOOD)]
    return [*good[:7], bad, *good[7:]]


def _places() -> Iterator[tuple[str, Json]]:
    """A span with the mark in one place."""
    failed = make.failed("ValueError")
    yield "attribute", make.span(CHILD, ROOT, said={**SAID, "gen_ai.output.messages": MARK}, **failed)
    yield "row", make.span(CHILD, ROOT, said={**SAID, "gen_ai.request.model": MARK}, **failed)
    yield "tool", make.span(CHILD, ROOT, said={**SAID, "gen_ai.tool.name": MARK}, **failed)
    yield "reasons", make.span(CHILD, ROOT, said={**SAID, "gen_ai.response.finish_reasons": [MARK, "stop"]}, **failed)
    yield "nested", make.span(CHILD, ROOT, said={**SAID, "x": {"y": [[MARK]]}}, **failed)
    yield "key", make.span(CHILD, ROOT, said={**SAID, MARK: 1}, **failed)
    yield "long key", make.span(CHILD, ROOT, said={**SAID, "k" * 150 + MARK: 1}, **failed)
    yield "long value", make.span(CHILD, ROOT, said={**SAID, "k" * 150: MARK}, **failed)
    yield "name", make.span(CHILD, ROOT, said=SAID, **{**failed, "name": MARK})
    yield "status", make.span(CHILD, ROOT, said=SAID, **{**failed, "status": {"code": 2, "message": MARK}})
    yield "trace state", make.span(CHILD, ROOT, said=SAID, traceState=MARK, **failed)
    for attribute in ("exception.type", "exception.message", "exception.stacktrace"):
        event = {"name": "exception", "attributes": make.attributes({"exception.type": "E", attribute: MARK})}
        yield attribute, make.span(CHILD, ROOT, said=SAID, status={"code": 2}, events=[event])
    yield "event", make.span(CHILD, ROOT, said=SAID, **{**failed, "events": [{"name": MARK}, *failed["events"]]})
    yield "link", make.span(CHILD, ROOT, said=SAID, links=[{"attributes": make.attributes({"x": MARK})}], **failed)


PLACES = dict(_places())


async def _post_json(client: httpx.AsyncClient, body: bytes) -> int:
    answer = await client.post("/v1/traces", content=body)
    assert answer.status_code == 200, answer.text
    return int(answer.json().get("partialSuccess", {}).get("rejectedSpans", 0))


async def _post_protobuf(client: httpx.AsyncClient, body: bytes) -> int:
    answer = await client.post("/v1/traces", content=body, headers=PROTOBUF)
    assert answer.status_code == 200, answer.content
    return ExportTraceServiceResponse.FromString(answer.content).partial_success.rejected_spans


def _stored(records: Records) -> dict[str, Any]:
    return {event["step_id"]: event for record in records() for event in record["events"] if "step_id" in event}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", [*HALVES, "\x07 bell", "tab\tnew\nline"])
async def test_text_that_is_no_json(client: httpx.AsyncClient, records: Records, place: str, text: str) -> None:
    """Halves of surrogates, wrong escapes, control characters: all spans are stored, the bad one as failed as it was."""
    body = make.as_json(*_spans(PLACES[place])).decode().replace(MARK, text)
    assert await _post_json(client, body.encode()) == 0
    stored = _stored(records)
    assert len(stored) == GOOD + 1
    assert (stored[CHILD]["kind"], stored[CHILD]["status"]) == ("tool", "error")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("bad", BROKEN)
async def test_bytes_that_are_not_utf8(client: httpx.AsyncClient, records: Records, place: str, bad: bytes) -> None:
    """The same of such bytes, in both encodings."""
    body = make.request(*_spans(PLACES[place]))
    bad = bad[:12].ljust(len(MARK), b".")
    for post, whole in ((_post_protobuf, make.protobuf(body)), (_post_json, json.dumps(body).encode())):
        assert await post(client, whole.replace(MARK.encode(), bad)) == 0
    first, second = records()[0]["events"], records()[1]["events"]
    assert len(first) == GOOD + 1
    assert first == second
    assert (_stored(records)[CHILD]["kind"], _stored(records)[CHILD]["status"]) == ("tool", "error")


async def test_a_resource_with_a_bad_value(client: httpx.AsyncClient, records: Records) -> None:
    """It costs that value alone: what the resource names is read."""
    body = make.request(*_spans(make.span(CHILD, ROOT)), resource=make.SERVICE | {"process.command_line": MARK})
    assert await _post_protobuf(client, make.protobuf(body).replace(MARK.encode(), b"abc \xed\xa0\xbd.....")) == 0
    assert await _post_json(client, json.dumps(body).replace(MARK, r"\ud83d").encode()) == 0
    assert [each["producer"]["agent"] for each in records()] == ["support-agent"] * 2


VALUES = [
    "5",
    "true",
    "[]",
    "{}",
    '"x"',
    "1.5",
    "null",
    "[[1]]",
    '{"a":{"b":[]}}',
    "-1",
    "1e400",
    "NaN",
    "9" * 400,
    "[5]",
    '["x"]',
    "[{}]",
]
MEMBERS = sorted(make.span(CHILD, ROOT, said=SAID, **make.failed("ValueError")).keys() | {"flags", "links", "traceState", "kind"})


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("member", MEMBERS)
async def test_members_of_any_type(client: httpx.AsyncClient, records: Records, member: str, value: str) -> None:
    """Whatever stands in a member of a span, the other spans are stored, and the span itself, or it is counted as rejected."""
    bad = make.span(CHILD, ROOT, said=SAID, **make.failed("ValueError")) | {member: MARK}
    body = make.as_json(*_spans(bad)).decode().replace(f'"{MARK}"', value)
    rejected = await _post_json(client, body.encode())
    alive = [event for record in records() for event in record["events"] if event["type"] == "run_heartbeat"]  # it has no end
    assert len(_stored(records)) + rejected + len(alive) == GOOD + 1


@pytest.mark.parametrize("value", VALUES)
async def test_spans_and_values_of_any_type(client: httpx.AsyncClient, records: Records, value: str) -> None:
    """The same of a value inside of attributes, of an attribute, and of a span that is none."""
    for bad in (
        '{"key":"gen_ai.request.model","value":%s}',
        '{"key":%s,"value":{"stringValue":"x"}}',
        '{"key":"gen_ai.usage.input_tokens","value":{"intValue":%s}}',
        '{"key":"gen_ai.request.model","value":{"stringValue":%s}}',
        '{"key":"gen_ai.request.stream","value":{"boolValue":%s}}',
        '{"key":"gen_ai.response.finish_reasons","value":{"arrayValue":%s}}',
        '{"key":"gen_ai.response.finish_reasons","value":{"arrayValue":{"values":[%s]}}}',
        "%s",
    ):
        span = make.as_json(*_spans(make.span(CHILD, ROOT, said=SAID) | {"attributes": [MARK, *make.attributes(SAID)]}))
        assert await _post_json(client, span.decode().replace(f'"{MARK}"', bad.replace("%s", value)).encode()) == 0
        assert _stored(records)[CHILD]["name"] == "search"
    body = json.dumps(make.request(*_spans(make.span(CHILD, ROOT)), MARK)).replace(f'"{MARK}"', value)  # type: ignore[arg-type]  # replaced
    assert await _post_json(client, body.encode()) == 1


async def test_a_span_of_other_bytes(client: httpx.AsyncClient, records: Records) -> None:
    """A span in protobuf whose bytes are none is rejected alone, and the answer says so."""
    span = make.protobuf(make.request(*_spans(make.span(CHILD, ROOT, name=MARK))))
    at = span.index(MARK.encode()) - 2
    broken = span[:at] + b"\x2f" + span[at + 1 :]  # a group's end in place of the name
    answer = await client.post("/v1/traces", content=broken, headers=PROTOBUF)
    said = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (said.rejected_spans, said.error_message) == (1, "1 span: span cannot be read (malformed)")
    assert len(_stored(records)) == GOOD


async def test_an_attribute_of_other_bytes(client: httpx.AsyncClient, records: Records) -> None:
    """Attributes, statuses, events and links that are none of these cost themselves."""
    bad = make.span(CHILD, ROOT, said={**SAID, "x": MARK})
    span = make.protobuf(make.request(*_spans(bad)))
    for other in (b"\xff" * 12, b"\x0f" * 12, b"\x0a\x7f" + b"." * 10):
        assert (
            await _post_protobuf(client, span.replace(b"\x12\x0e\x0a\x0c" + MARK.encode(), b"\x12\x0e\x0a\x0c"[:4] + other)) == 0
        )
    assert len(_stored(records)) == GOOD + 1


@pytest.mark.parametrize("depth", [70, 900, 20_000])
async def test_a_value_that_is_nested_deep(client: httpx.AsyncClient, records: Records, depth: int) -> None:
    """It costs itself, in both encodings."""
    head, tail = '{"arrayValue":{"values":[', "]}}"
    text = make.as_json(*_spans(make.span(CHILD, ROOT, said={**SAID, "x": MARK}))).decode()
    text = text.replace(f'{{"stringValue": "{MARK}"}}', head * depth + tail * depth)
    assert await _post_json(client, text.encode()) == 0
    assert _stored(records)[CHILD]["name"] == "search"
    assert len(_stored(records)) == GOOD + 1


def test_what_is_right_stays_as_it_is() -> None:
    """Text of every kind that JSON has is not changed, at whatever border it lies."""
    chance = random.Random(1)
    alphabet = ["a", "\\", '"', "\n", "\t", "é", "\u2028", "😀", "NaN", " ", ",", "[", "{", "}", "]", "\\u", "ud83d"]
    for _ in range(300):
        said = {
            "".join(chance.choices(alphabet, k=chance.randint(0, 8))): "".join(chance.choices(alphabet, k=40)) for _ in range(3)
        }
        for text in (json.dumps(said), json.dumps(said, ensure_ascii=False)):
            assert json.loads(mend(text.encode())) == said or "NaN" in text
            assert cut(text.encode()) == text.encode()


def test_no_character_is_torn_by_the_pieces() -> None:
    """Characters of several bytes are whole wherever a piece ends."""
    text = ("é😀" * 40_000).encode()
    for shift in range(4):
        assert mend(b'"' + b"x" * shift + text + b'"') == b'"' + b"x" * shift + text + b'"'


def test_a_half_is_replaced_alone() -> None:
    """A pair beside it, and a backslash that is one, stay."""
    assert mend(rb'"\ud83d\ud83d\ude00 \\ud83d \\\ude00"') == rb'"\ufffd\ud83d\ude00 \\ud83d \\\ufffd"'
    assert mend(b'{"a":NaN,"b":[-Infinity, 1],"c":"NaN"}') == b'{"a":null,"b":[null, 1],"c":"NaN"}'


def test_what_is_no_request_stays_one() -> None:
    """What has no list of spans, or ends in the middle, is refused whole."""
    from producer_gateway.errors import NotOtlpError

    whole = make.as_json(make.span())
    for body in (
        b"",
        b"[]",
        b"5",
        b'"x"',
        b"null",
        b'{"resourceSpans":5}',
        b'{"resourceSpans":"\\ud83d"}',
        whole[:-1],
        whole[:50],
    ):
        with pytest.raises(NotOtlpError):
            decode_json.decode(body, spans_max=10)
