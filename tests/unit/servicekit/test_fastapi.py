"""FastAPI's own telemetry would carry addresses with their query strings to wherever OTEL_* points. Ours has it off."""

import os
import subprocess
import sys

import pytest

_SERVE = """
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
{app}
TestClient(app, raise_server_exceptions=False).get("/nowhere?q=hush")
print(len(exporter.get_finished_spans()))
"""
_GATEWAY = """
from producer_gateway.app import create_app
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from servicekit.testing import MemoryKeys, cache_of
app = create_app(GatewaySettings(), MemoryRecordLog(), keys=cache_of(MemoryKeys()), metrics=GatewayMetrics())
"""
_QUERY = """
from query_service.app import create_app
from query_service.settings import QuerySettings
from query_service.testing import FakeStore
from servicekit.testing import MemoryKeys, cache_of
app = create_app(QuerySettings(anonymous_project="default"), FakeStore(), keys=cache_of(MemoryKeys()))
"""

_PAGES = """
from prometheus_client import CollectorRegistry
from servicekit.http.server import ops_app

async def ready():
    return None

app = ops_app(readiness=ready, registry=CollectorRegistry())
"""


def spans(app: str) -> int:
    """How many spans one request leaves in a process that has a tracer provider."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTTRACER_", "OTEL_"))}
    environment |= {"OTEL_TRACES_EXPORTER": "console"}
    done = subprocess.run(
        [sys.executable, "-c", _SERVE.format(app=app)], env=environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1])


@pytest.mark.parametrize("app", [_GATEWAY, _QUERY, _PAGES], ids=["gateway", "query", "pages"])
def test_off(app: str) -> None:
    """No request becomes a span of the framework's."""
    assert spans(app) == 0


def test_on_by_itself() -> None:
    """Control: without being told, the framework does."""
    assert spans("app = FastAPI()") > 0
