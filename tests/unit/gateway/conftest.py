"""A gateway on a log in memory, spoken to over ASGI: no socket, no Kafka."""

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest

from producer_gateway.app import create_app
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryNames, MemoryRecordLog
from servicekit.auth.keys import Scope
from servicekit.logs import ContentFreeFormatter
from servicekit.testing import MemoryKeys, cache_of
from tests.unit.gateway.batches import NOW_US, Gateway, Records


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def metrics() -> GatewayMetrics:
    return GatewayMetrics()


@pytest.fixture
def log() -> MemoryRecordLog:
    return MemoryRecordLog()


@pytest.fixture
def keys() -> MemoryKeys:
    return MemoryKeys()


@pytest.fixture
def names() -> MemoryNames:
    return MemoryNames()


@pytest.fixture
def gateway(log: MemoryRecordLog, metrics: GatewayMetrics, keys: MemoryKeys, names: MemoryNames) -> Gateway:
    """Serve with settings of the test's choice, to a client with a key of the project `default`."""

    @asynccontextmanager
    async def serve(**settings: float | str) -> AsyncIterator[httpx.AsyncClient]:
        key, ring = keys.create(Scope.INGEST), cache_of(keys)
        told = GatewaySettings.model_validate(settings)
        app = create_app(told, log, keys=ring, names=names, metrics=metrics, clock_us=lambda: NOW_US)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        await log.start()
        await ring.refresh()
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            client.headers.update({"content-type": "application/json", "authorization": f"Bearer {key}"})
            yield client

    return serve


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway() as client:
        yield client


@pytest.fixture
def records(log: MemoryRecordLog) -> Records:
    """What lies in the log, decoded."""
    return lambda: [json.loads(message.value) for message in log.messages]


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
