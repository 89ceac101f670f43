"""The app over the fake store, reached through ASGI: no socket, no process."""

from collections.abc import AsyncIterator

import httpx
import pytest

from query_service.app import create_app
from query_service.settings import QuerySettings
from query_service.testing import FakeStore
from query_service.testing_rows import NOON
from servicekit.auth.keys import Scope
from servicekit.testing import MemoryKeys, cache_of


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
async def client(store: FakeStore) -> AsyncIterator[httpx.AsyncClient]:
    keys = MemoryKeys()
    key, ring = keys.create(Scope.READ), cache_of(keys)
    await ring.refresh()
    app = create_app(QuerySettings(retry_after_s=3), store, keys=ring, clock=lambda: NOON)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://query", headers=headers) as connected:
        yield connected
