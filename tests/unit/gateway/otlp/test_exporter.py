"""The OpenTelemetry SDK and its exporter, unchanged, against a gateway on a socket."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from queue import Queue
from threading import Thread

import pytest
import uvicorn
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from producer_gateway.app import create_app
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.otlp_grpc.server import GrpcDoor
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from servicekit.auth.keys import Scope
from servicekit.testing import MemoryKeys, cache_of
from tests.unit.gateway.batches import Records


@contextmanager
def served(log: MemoryRecordLog, keys: MemoryKeys) -> Iterator[str]:
    """The gateway's address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        app = create_app(GatewaySettings(), log, keys=cache_of(keys))
        config = uvicorn.Config(app, log_config=None, lifespan="on", ws="none")
        server = uvicorn.Server(config)
        thread = Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@contextmanager
def served_by_grpc(log: MemoryRecordLog, keys: MemoryKeys) -> Iterator[str]:
    """The gateway's address for gRPC."""
    settings = GatewaySettings()
    opened: Queue[int] = Queue()
    loop = asyncio.new_event_loop()
    ending = asyncio.Event()

    async def serve() -> None:
        ring = cache_of(keys)
        await log.start()
        await ring.refresh()
        door = GrpcDoor(settings, create_app(settings, log, keys=ring).state.ingest, GatewayMetrics())
        await door.start(0)
        opened.put(door.port)
        await ending.wait()
        await door.stop()

    thread = Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    yield f"http://127.0.0.1:{opened.get(timeout=10)}"
    loop.call_soon_threadsafe(ending.set)
    thread.join(10)
    loop.close()


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_the_real_exporter_of_grpc(
    log: MemoryRecordLog, records: Records, keys: MemoryKeys, monkeypatch: pytest.MonkeyPatch, compression: str | None
) -> None:
    """Given an address and a key by its own variables, and no protocol, it delivers a run."""
    if compression is not None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-api-key={keys.create(Scope.INGEST)}")
    with served_by_grpc(log, keys) as address:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        provider = TracerProvider(resource=Resource({"service.name": "support agent"}))
        provider.add_span_processor(BatchSpanProcessor(GrpcSpanExporter()))
        with provider.get_tracer("test").start_as_current_span("trip planner"):
            pass
        provider.shutdown()
    (record,) = records()
    assert [event["type"] for event in record["events"]] == ["run_started", "run_finished"]


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_real_exporter(
    log: MemoryRecordLog, records: Records, keys: MemoryKeys, monkeypatch: pytest.MonkeyPatch, compression: Compression
) -> None:
    """Given nothing but the address and, by its own variable, a key, it delivers a run with its steps under the trace's id."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer%20{keys.create(Scope.INGEST)}")
    with served(log, keys) as address:
        provider = TracerProvider(resource=Resource({"service.name": "support agent"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{address}/v1/traces", compression=compression)))
        tracer = provider.get_tracer("test")
        with tracer.start_as_current_span("a whole sentence") as root:
            with tracer.start_as_current_span("search", attributes={"openinference.span.kind": "TOOL", "tool.name": "search"}):
                pass
            trace_id = f"{root.get_span_context().trace_id:032x}"
        provider.shutdown()
    (record,) = records()
    assert record["producer"]["agent"] == "support-agent"
    assert [event["type"] for event in record["events"]] == ["step_finished", "run_started", "run_finished"]
    assert {event["run_id"].replace("-", "") for event in record["events"]} == {trace_id}
