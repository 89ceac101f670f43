"""The app over the fake store, reached through ASGI: no socket, no process."""

from collections.abc import AsyncIterator

import httpx
import pytest

from query_service.app import create_app
from query_service.settings import QuerySettings
from query_service.testing import FakeStore
from query_service.testing_rows import NOON


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
async def client(store: FakeStore) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(QuerySettings(retry_after_s=3), store, clock=lambda: NOON)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://query") as connected:
        yield connected
