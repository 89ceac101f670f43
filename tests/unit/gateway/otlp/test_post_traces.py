"""`POST /v1/traces`: what is accepted, what is answered, and what lies in the log afterwards."""

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from agenttracer.wire.envelope import BATCH_MAX_EVENTS
from producer_gateway.errors import BodyTooLargeError
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.otlp import decode_protobuf
from producer_gateway.testing import MemoryRecordLog
from servicekit import codec
from tests.unit.gateway.batches import Gateway, Records
from tests.unit.gateway.otlp import spans as make
from tests.unit.gateway.otlp.spans import CHILD, LEAF, PROTOBUF, ROOT, RUN, START_US

pytestmark = pytest.mark.anyio
MIB = 1024 * 1024
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gemini-2@001",
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.prompt": "free text",
}
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Refund Agent"}
TRACE = (make.span(CHILD, ROOT, said=CHAT), make.span(ROOT, said=AGENT))


def _nested(value: bytes, *tags: str) -> bytes:
    """`value` as a field of a field: protobuf tags in hex, from the inside out."""
    for tag in tags:
        value = bytes.fromhex(tag) + make.length(value) + value
    return value


async def _post(client: httpx.AsyncClient, body: bytes, **headers: str) -> httpx.Response:
    return await client.post("/v1/traces", content=body, headers=PROTOBUF | headers)


async def test_a_trace_becomes_a_run(client: httpx.AsyncClient, records: Records) -> None:
    """The root starts and ends the run, each other span is a step, all in one record under the trace's id."""
    answer = await _post(client, make.protobuf(make.request(*TRACE)))
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/x-protobuf"
    (record,) = records()
    assert record["producer"] == {
        "id": "otlp",
        "agent": "Refund-Agent",
        "agent_version": "1.4.2",
        "sdk": "otel-unknown-unknown",
    }
    assert record["events"] == [
        {
            "type": "step_finished",
            "run_id": RUN,
            "seq": 0,
            "step_id": CHILD,
            "kind": "respond",
            "name": "some-span",
            "started_at": START_US,
            "duration_us": 2000,
            "status": "ok",
            "parent_step_id": ROOT,
            "metadata": {"model": "gemini-2:001", "input_tokens": 12, "finish_reason": "stop"},
        },
        {"type": "run_started", "run_id": RUN, "seq": 0, "started_at": START_US},
        {"type": "run_finished", "run_id": RUN, "seq": 0, "ended_at": START_US + 2000, "status": "success", "emitted": 0},
    ]


async def test_json_gives_the_same_records(client: httpx.AsyncClient, log: MemoryRecordLog) -> None:
    """JSON, protobuf, gzip of either and a second export of the same spans give equal records."""
    bodies = make.as_json(*TRACE), make.protobuf(make.request(*TRACE))
    for body, media in zip(bodies, ("application/json", "application/x-protobuf"), strict=True):
        for encoding, sent in (("identity", body), ("gzip", gzip.compress(body)), ("identity", body)):
            headers = {"content-type": media, "content-encoding": encoding}
            answer = await client.post("/v1/traces", content=sent, headers=headers)
            assert (answer.status_code, answer.headers["content-type"]) == (200, media)
    assert answer.status_code == 200
    assert len(log.messages) == 6
    assert len(set(log.messages)) == 1


async def test_json_as_protobuf_allows_it(client: httpx.AsyncClient, log: MemoryRecordLog) -> None:
    """Numbers as strings, whole numbers with a point and null for what is not set: other writers of OTLP's JSON do so."""
    plain = make.span(said={"gen_ai.operation.name": "chat"}, flags=256, name="")
    plain["attributes"].append({"key": "gen_ai.usage.input_tokens", "value": {"intValue": "5"}})
    other = {**plain, "flags": "256", "parentSpanId": None, "status": {"code": None}, "links": None, "kind": None, "name": None}
    other["attributes"] = [
        *plain["attributes"][:-1],
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": 5.0}},
        {"key": None},
    ]
    for each in (plain, other):
        assert (await client.post("/v1/traces", content=make.as_json(each))).json() == {}
    assert len(set(log.messages)) == 1


async def test_full_success_in_json(client: httpx.AsyncClient) -> None:
    """`partialSuccess` is unset when every span was taken, also when there was none."""
    for body in (make.as_json(*TRACE), b"{}", b'{"resourceSpans":[]}', make.as_json()):
        answer = await client.post("/v1/traces", content=body)
        assert (answer.status_code, answer.json()) == (200, {})


async def test_a_record_a_run(client: httpx.AsyncClient, log: MemoryRecordLog) -> None:
    """Spans of several traces in one request lie in one record each."""
    other = make.TRACE[::-1]
    spans = [make.span(CHILD, ROOT), make.span(CHILD, ROOT, traceId=other), make.span(), make.span(traceId=other)]
    await client.post("/v1/traces", content=make.as_json(*spans))
    assert len(log.messages) == len({message.key for message in log.messages}) == 2


async def test_partial_success(client: httpx.AsyncClient, records: Records, metrics: GatewayMetrics) -> None:
    """Spans that the contract cannot hold are counted by field and rule in words; the others are durable."""
    bad = [
        make.span(traceId="00" * 16),
        make.span("0" * 16),
        make.span(CHILD, CHILD),
        make.span(CHILD, ROOT, startTimeUnixNano="1"),
    ]
    body = make.request(*bad, *TRACE)
    reason = (
        "1 span: parent_span_id must be empty, or 8 bytes other than those of the span itself (step_id); "
        "1 span: span_id must be 8 bytes that are not all zero (step_id); "
        "1 span: start_time_unix_nano must be from 2000 to 2100 (range); "
        "1 span: trace_id must be 16 bytes that are not all zero (run_id)"
    )
    answer = await client.post("/v1/traces", content=json.dumps(body).encode())
    assert answer.json() == {"partialSuccess": {"rejectedSpans": "4", "errorMessage": reason}}
    answer = await _post(client, make.protobuf(body))
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partial.rejected_spans, partial.error_message) == (200, 4, reason)
    assert [len(record["events"]) for record in records()] == [3, 3]
    refused = metrics.registry.get_sample_value("agenttracer_gateway_events_refused_total", {"reason": "step_id"})
    assert refused == 4


async def test_a_record_that_the_log_refuses(client: httpx.AsyncClient, log: MemoryRecordLog) -> None:
    """Spans of a record that can never be durable are rejected as spans, however many events they became."""
    log._message_max_bytes = 10
    answer = await client.post("/v1/traces", content=make.as_json(*TRACE))
    assert answer.json()["partialSuccess"] == {
        "rejectedSpans": "2",
        "errorMessage": "2 spans: span is too large for a record of the log (record_too_large)",
    }


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"\x00", {}, 400, "protobuf"),
        (b"\x0a\xff\xff\xff\xff\x7f", {}, 400, "protobuf"),
        (b"no gzip", {"content-encoding": "gzip"}, 400, "compression"),
        (b"", {"content-encoding": "zstd"}, 400, "compression"),
        (b"", {"content-encoding": "br"}, 415, "content_encoding"),
        (b"[", {"content-type": "application/json"}, 400, "otlp_json"),
        (b'{"resourceSpans":7}', {"content-type": "application/json; charset=utf-8"}, 400, "otlp_json"),
        (b'{"a":' * 100_000, {"content-type": "application/json"}, 400, "otlp_json"),
        (b"{}", {"content-type": "text/plain"}, 415, "content_type"),
        (b"x" * (8 * MIB + 1), {}, 413, "body_too_large"),
    ],
)
async def test_refusals(client: httpx.AsyncClient, body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    """What cannot be read is refused with a google.rpc.Status in the request's encoding, and never to be tried again."""
    answer = await _post(client, body, **headers)
    assert answer.status_code == status
    assert "retry-after" not in answer.headers
    if answer.headers["content-type"] == "application/json":
        assert answer.json()["code"] == 3
        assert answer.json()["message"].startswith(f"{code}: ")
    else:
        said = Status.FromString(answer.content)
        assert said.code == 3
        assert said.message.startswith(f"{code}: ")


async def test_too_many_spans(gateway: Gateway, log: MemoryRecordLog) -> None:
    """The limit on spans in a request is one of its own."""
    async with gateway(otlp_spans_max=2) as client:
        answer = await client.post("/v1/traces", content=make.as_json(*[make.span()] * 3))
    assert (answer.status_code, answer.json()["message"].partition(":")[0], log.messages) == (413, "too_many_spans", [])


async def test_an_sdks_batch_with_long_content(client: httpx.AsyncClient, records: Records) -> None:
    """OpenTelemetry's 512 spans with prompts of 12 KiB each, not compressed, are taken in both encodings."""
    said = CHAT | {"gen_ai.prompt": "free text " * 1_200}
    spans = [make.span(f"{number:016x}", ROOT, said=said) for number in range(1, 513)]
    body = make.request(*spans)
    for content, media in ((make.protobuf(body), PROTOBUF["content-type"]), (json.dumps(body).encode(), "application/json")):
        assert 5 * MIB < len(content) < 8 * MIB
        answer = await client.post("/v1/traces", content=content, headers={"content-type": media})
        assert answer.status_code == 200
    assert [len(record["events"]) for record in records()] == [512, 512]


async def test_a_collectors_batch(client: httpx.AsyncClient, records: Records) -> None:
    """10,000 spans of one run are taken, in records of no more events than a reader takes."""
    spans = [make.span(f"{number:016x}", ROOT, said=CHAT) for number in range(1, 10_001)]
    answer = await _post(client, make.protobuf(make.request(*spans)))
    assert (answer.status_code, answer.content) == (200, b"")
    sizes = [len(record["events"]) for record in records()]
    assert sum(sizes) == 10_000
    assert max(sizes) <= BATCH_MAX_EVENTS


async def test_small_spans_are_charged_for_what_they_become(gateway: Gateway) -> None:
    """Of one size the body of a thousand spans takes more of the in-flight budget than the body of one."""
    small = make.protobuf(make.request(*[make.span(f"{number:016x}", ROOT) for number in range(1, 1_001)]))
    large = make.protobuf(make.request(make.span(said={"x": "x" * (len(small) - 200)})))
    async with gateway(in_flight_max_bytes=1_000_000) as client:
        assert [(await _post(client, body)).status_code for body in (small, large)] == [503, 200]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\x0a\x00" * 500_000, "too_many_spans"),
        (_nested(b"\x12\x00" * 500_000, "0a"), "too_many_spans"),
        (_nested(b"\x12\x00" * 500_000, "12", "0a"), "too_many_spans"),
        (_nested(b"\x4a\x00" * 500_000, "12", "12", "0a"), "too_many_attributes"),
        (_nested(b"\x0a\x00" * 500_000, "0a", "0a"), "too_many_attributes"),
        (
            _nested(b"\x7a\x02\x18\x02" + _nested(b"\x12\x09exception" + b"\x1a\x00" * 500_000, "5a"), "12", "12", "0a"),
            "too_many_attributes",
        ),
    ],
    ids=["resources", "scopes", "spans", "attributes", "resource attributes", "event attributes"],
)
async def test_swarms(client: httpx.AsyncClient, body: bytes, code: str) -> None:
    """Half a million empty messages of any kind are refused before they are looked at."""
    answer = await _post(client, body)
    assert (answer.status_code, Status.FromString(answer.content).message.partition(":")[0]) == (413, code)


def test_a_swarm_of_attributes_is_not_copied() -> None:
    """They are counted where the parser left them: a list of half a million takes 4 MB."""
    body = _nested(b"\x4a\x00" * 500_000, "12", "12", "0a")
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLargeError):
            decode_protobuf.decode(body, spans_max=5_000)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000  # of which the span itself is one
    finally:
        tracemalloc.stop()


async def test_the_document_describes_the_route(client: httpx.AsyncClient) -> None:
    """Both encodings and every status stand in the OpenAPI document."""
    route = (await client.get("/openapi.json")).json()["paths"]["/v1/traces"]["post"]
    assert route["requestBody"]["content"].keys() == {"application/x-protobuf", "application/json"}
    assert {"200", "400", "408", "413", "415", "503"} <= route["responses"].keys()


async def test_a_slow_line(gateway: Gateway, records: Records) -> None:
    """A body may take longer than a batch's, and longer than the whole request could if it came at once."""
    body = make.protobuf(make.request(*TRACE))

    async def slowly() -> AsyncIterator[bytes]:
        yield body[:10]
        await asyncio.sleep(1.2)
        yield body[10:]

    async with gateway(request_deadline_s=1.0, receive_timeout_s=0.1) as client:
        answer = await client.post("/v1/traces", content=slowly(), headers=PROTOBUF)
        assert answer.status_code == 200
        assert (await client.post("/v1/events", content=slowly())).status_code == 408
    assert len(records()) == 1


@pytest.mark.parametrize("fault", ["stopped", "stalled"])
async def test_unavailable(gateway: Gateway, log: MemoryRecordLog, fault: str) -> None:
    """Without the log's acknowledgement the answer is a retryable 503 with Retry-After, never a 200."""
    setattr(log, fault, True)
    async with gateway(request_deadline_s=0.2, receive_timeout_s=0.1) as client:
        answer = await _post(client, make.protobuf(make.request(*TRACE)))
    assert (answer.status_code, Status.FromString(answer.content).code) == (503, 14)
    assert int(answer.headers["retry-after"]) >= 1


async def test_an_unexpected_error_in_the_requests_encoding(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a bug of ours is answered as a Status."""
    monkeypatch.setattr(codec, "record_encoder", None)
    answer = await _post(client, make.protobuf(make.request(*TRACE)))
    assert (answer.status_code, Status.FromString(answer.content).code) == (500, 13)


async def test_what_was_left_out_is_counted_by_class(client: httpx.AsyncClient, metrics: GatewayMetrics) -> None:
    """Attributes outside the table count under the first segment of a known name, or `other`; misfits under their rule."""
    said = {"gen_ai.prompt": "a b", "x.secret": 1, "secret": 2, "gen_ai.tool.name": "a b", "llm.model_name": "a b"}
    await client.post("/v1/traces", content=make.as_json(make.span(LEAF, ROOT, said=said)))
    count = metrics.registry.get_sample_value
    dropped = {
        name: count("agenttracer_gateway_otlp_attributes_dropped_total", {"name_class": name}) for name in ("gen_ai", "other")
    }
    assert dropped == {"gen_ai": 1, "other": 2}
    assert count("agenttracer_gateway_values_dropped_total", {"rule": "name"}) == 1
    assert count("agenttracer_gateway_values_dropped_total", {"rule": "metadata_value"}) == 1


@pytest.mark.parametrize("encode", [make.protobuf, lambda body: json.dumps(body).encode()], ids=["protobuf", "json"])
async def test_what_all_but_spans_lose_is_counted(
    client: httpx.AsyncClient, metrics: GatewayMetrics, encode: Callable[[object], bytes]
) -> None:
    """Attributes of a resource outside its table, of events, links and scopes count as those of spans do, by name alone."""
    resource = make.SERVICE | {"host.name": "here", "process.command_args": ["a", "b"], "Team": "secret"}
    links = [{"traceId": "", "spanId": "", "attributes": make.attributes({"user.id": "u"})}]
    said = {"gen_ai.prompt": "free text", "Ä" * 70: 1, "message.content": ["a"]}
    events = [{"name": "gen_ai.content.prompt", "attributes": make.attributes(said)}]
    failed = make.failed("ReadTimeout")
    spans = [
        make.span(LEAF, ROOT, links=links, **{**failed, "events": events + failed["events"] + events}),
        make.span(CHILD, ROOT, events=events + failed["events"], said={"gen_ai.prompt": "x", "message.content": "y"}),
    ]
    body = make.request(*spans, resource=resource)
    body["resourceSpans"][0]["scopeSpans"][0]["scope"] = {"name": "x", "attributes": make.attributes({"user.id": "u"})}
    headers = PROTOBUF if encode is make.protobuf else {}
    assert (await client.post("/v1/traces", content=encode(body), headers=headers)).status_code == 200
    count = metrics.registry.get_sample_value
    dropped = {
        name: count("agenttracer_gateway_otlp_attributes_dropped_total", {"name_class": name})
        for name in ("host", "process", "other", "exception", "user", "gen_ai", "message")
    }
    assert dropped == {"host": 1, "process": 1, "other": 1 + 3, "exception": 2 + 3, "user": 2, "gen_ai": 4, "message": 4}
