"""OTLP over gRPC, spoken to over a real socket: the same records, answers and refusals as over HTTP."""

import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc import aio
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest, ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from producer_gateway.app import create_app
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.otlp_grpc.server import GrpcDoor
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from servicekit.auth.keys import Scope
from servicekit.testing import MemoryKeys, cache_of
from tests.support.firewall import otlp
from tests.support.firewall.canaries import Canaries
from tests.support.firewall.scan import Scanner
from tests.unit.gateway.batches import NOW_US, Records
from tests.unit.gateway.otlp import spans as make
from tests.unit.gateway.otlp.spans import CHILD, ROOT

pytestmark = pytest.mark.anyio
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
TRACE = (make.span(CHILD, ROOT, said={"gen_ai.operation.name": "chat"}), make.span(ROOT))


class Caller:
    """A client with a key, or without."""

    def __init__(self, channel: aio.Channel, key: str, door: GrpcDoor, metrics: GatewayMetrics) -> None:
        self._channel = channel
        self.key = key
        self.door = door
        self.metrics = metrics

    async def __call__(
        self, message: bytes, *, method: str = TRACES, key: str | None = None, compression: grpc.Compression | None = None
    ) -> bytes:
        call = self._channel.unary_unary(method)
        said = (("x-api-key", self.key if key is None else key),)
        answer = await call(message, metadata=said, timeout=10, compression=compression)
        assert isinstance(answer, bytes)
        return answer


Door = Callable[..., AbstractAsyncContextManager[Caller]]


@pytest.fixture
def door(log: MemoryRecordLog, keys: MemoryKeys) -> Door:
    @asynccontextmanager
    async def serve(**members: object) -> AsyncIterator[Caller]:
        settings, metrics = GatewaySettings.model_validate(members), GatewayMetrics()
        key, ring = keys.create(Scope.INGEST), cache_of(keys)
        app = create_app(settings, log, keys=ring, metrics=metrics, clock_us=lambda: NOW_US)
        await log.start()
        await ring.refresh()
        opened = GrpcDoor(settings, app.state.ingest, metrics)
        await opened.start(0)
        try:
            async with aio.insecure_channel(f"127.0.0.1:{opened.port}") as channel:
                yield Caller(channel, key, opened, metrics)
        finally:
            await opened.stop()

    return serve


@pytest.fixture
async def call(door: Door) -> AsyncIterator[Caller]:
    async with door() as caller:
        yield caller


async def test_a_trace_becomes_the_same_records(call: Caller, client: object, log: MemoryRecordLog) -> None:
    """As over HTTP, plain and in gzip."""
    body = make.protobuf(make.request(*TRACE))
    answer = await client.post("/v1/traces", content=body, headers=make.PROTOBUF)  # type: ignore[attr-defined]  # the fixture's
    assert answer.status_code == 200
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        assert await call(body, compression=compression) == b""
    assert len(log.messages) == 3
    assert len(set(log.messages)) == 1


async def test_partial_success(call: Caller, records: Records) -> None:
    """Spans that cannot be stored are counted; the others are durable."""
    answer = await call(make.protobuf(make.request(make.span("0" * 16), *TRACE)))
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert (partial.rejected_spans, "span_id must be 8 bytes" in partial.error_message) == (1, True)
    assert len(records()) == 1


async def _code(call: Caller, message: bytes, **how: object) -> tuple[grpc.StatusCode, aio.AioRpcError]:
    with pytest.raises(aio.AioRpcError) as raised:
        await call(message, **how)  # type: ignore[arg-type]  # as the test says
    return raised.value.code(), raised.value


async def test_refusals(call: Caller, log: MemoryRecordLog) -> None:
    """Each in gRPC's own words, never to be tried again, and counted under the code that HTTP has for it."""
    body = make.protobuf(make.request(*TRACE))
    for message, how, code, ours in (
        (body, {"key": ""}, grpc.StatusCode.UNAUTHENTICATED, "unauthenticated"),
        (body, {"key": "atk_unknown"}, grpc.StatusCode.UNAUTHENTICATED, "unauthenticated"),
        (b"\x00", {}, grpc.StatusCode.INVALID_ARGUMENT, "protobuf"),
        (b"\x0a\x00" * 500_000, {}, grpc.StatusCode.INVALID_ARGUMENT, "too_many_spans"),
        (gzip.compress(b"x" * 9_000_000), {"compression": None}, grpc.StatusCode.INVALID_ARGUMENT, "inflated_too_large"),
    ):
        found, error = await _code(call, message, **how)
        assert (found, (error.details() or "").partition(":")[0]) == (code, ours)
        assert not [key for key, _ in error.trailing_metadata() or () if key.endswith("-bin")]
        assert call.metrics.registry.get_sample_value("agenttracer_gateway_requests_refused_total", {"code": ours})
    assert log.messages == []


async def test_a_message_that_is_too_large(door: Door, log: MemoryRecordLog) -> None:
    """It is refused by gRPC itself before it is read."""
    async with door(otlp_body_max_bytes=1_000) as call:
        code, _ = await _code(call, b"x" * 1_001)
    assert (code, log.messages) == (grpc.StatusCode.RESOURCE_EXHAUSTED, [])


async def test_a_bomb(call: Caller) -> None:
    """A message that inflates to far more than it was is refused by our own bound, not inflated by gRPC's."""
    code, error = await _code(call, b"\0" * 50_000_000, compression=grpc.Compression.Gzip)
    assert (code, (error.details() or "").partition(":")[0]) == (grpc.StatusCode.INVALID_ARGUMENT, "inflated_too_large")


@pytest.mark.parametrize("fault", ["stopped", "stalled"])
async def test_unavailable(door: Door, log: MemoryRecordLog, fault: str) -> None:
    """Without the log's acknowledgement: UNAVAILABLE, and how long to wait where either kind of client looks for it."""
    setattr(log, fault, True)
    async with door(request_deadline_s=0.2, receive_timeout_s=0.1) as call:
        code, error = await _code(call, make.protobuf(make.request(*TRACE)))
    trailers = dict(error.trailing_metadata() or ())
    assert code is grpc.StatusCode.UNAVAILABLE
    assert RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"]).retry_delay.seconds >= 1
    status, wait = Status.FromString(trailers["grpc-status-details-bin"]), RetryInfo()
    assert status.details[0].Unpack(wait)
    assert (status.code, wait.retry_delay.seconds >= 1) == (14, True)


async def test_a_bug_of_ours(call: Caller, monkeypatch: pytest.MonkeyPatch, lines: object) -> None:
    """It is answered as one, and logged by its class alone."""
    from servicekit import codec

    monkeypatch.setattr(codec, "record_encoder", None)
    code, error = await _code(call, make.protobuf(make.request(*TRACE)))
    assert (code, error.details()) == (grpc.StatusCode.INTERNAL, "internal: Internal Server Error.")


async def test_other_signals(call: Caller, client: object, log: MemoryRecordLog) -> None:
    """Metrics and logs are taken and thrown away, by gRPC and HTTP, and the answer counts them."""
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add().body.string_value = "a secret"
    metrics = ExportMetricsServiceRequest()
    for _ in range(2):
        metrics.resource_metrics.add().scope_metrics.add().metrics.add().name = "m"
    for method, url, message, kind, member, count in (
        (LOGS, "/v1/logs", logs, ExportLogsServiceResponse, "rejected_log_records", 1),
        (METRICS, "/v1/metrics", metrics, ExportMetricsServiceResponse, "rejected_data_points", 2),
    ):
        body = message.SerializeToString()
        by_http = await client.post(url, content=body, headers=make.PROTOBUF)  # type: ignore[attr-defined]  # the fixture's
        assert by_http.status_code == 200
        for answer in (await call(body, method=method), by_http.content):
            partial = kind.FromString(answer).partial_success
            assert (getattr(partial, member), "only traces are kept" in partial.error_message) == (count, True)
            assert b"secret" not in answer
        assert await call(b"", method=method) == b""
        assert (await _code(call, body, method=method, key="no"))[0] is grpc.StatusCode.UNAUTHENTICATED
        assert (await _code(call, b"\x0a\xff", method=method))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert log.messages == []


@pytest.mark.parametrize(
    ("url", "body", "count"),
    [
        ("/v1/logs", {"resourceLogs": [{"scopeLogs": [{"logRecords": [{}, {}]}, {}]}, {}]}, "rejectedLogRecords"),
        ("/v1/metrics", {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{}, {}]}]}]}, "rejectedDataPoints"),
    ],
)
async def test_other_signals_in_json(client: object, url: str, body: object, count: str) -> None:
    """The same in JSON; what is none is refused."""
    answer = await client.post(url, content=json.dumps(body).encode())  # type: ignore[attr-defined]  # the fixture's
    assert (answer.status_code, answer.json()["partialSuccess"][count]) == (200, "2")
    assert (await client.post(url, content=b"{}")).json() == {}  # type: ignore[attr-defined]  # as above
    assert (await client.post(url, content=b"[]")).status_code == 400  # type: ignore[attr-defined]  # as above


async def test_no_canary_comes_out(door: Door, log: MemoryRecordLog, lines: object) -> None:
    """None of those in all channels of a request is in records, answers, log lines or metrics."""
    sing, said, sent = Canaries(), b"", b""
    async with door() as call:
        for _ in range(3):
            for method in (TRACES, METRICS, LOGS):
                message = make.protobuf(otlp.request(sing))
                sent += message
                try:
                    said += await call(message, method=method)
                except aio.AioRpcError as error:
                    said += repr(error).encode()
        said += repr((await _code(call, sing.token().encode() * 20))[1]).encode()
        said += repr((await _code(call, b"", key=sing.token()))[1]).encode()
    said += b"".join(message.key + message.value for message in log.messages) + lines.getvalue().encode()  # type: ignore[attr-defined]  # the fixture's
    assert len(log.messages) >= 3
    assert Scanner(sing).scan([("the output", said)]).places == {}


async def test_calls_in_flight_are_finished(door: Door, log: MemoryRecordLog) -> None:
    """A call that has begun when the door closes gets its answer."""
    import asyncio

    log.stalled = True
    async with door(request_deadline_s=1.0, receive_timeout_s=0.5) as call:
        pending = asyncio.create_task(_code(call, make.protobuf(make.request(*TRACE))))
        await asyncio.sleep(0.3)
        await call.door.stop()
        assert pending.done() or await asyncio.wait_for(asyncio.shield(pending), 1)
    code, error = await pending
    assert (code, (error.details() or "").partition(":")[0]) == (grpc.StatusCode.UNAVAILABLE, "log_unavailable")
