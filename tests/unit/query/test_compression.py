"""Answers are compressed where that saves a packet and the client takes it."""

import httpx
import pytest

from query_service.testing import FakeStore
from query_service.testing_rows import RunSeed

pytestmark = pytest.mark.anyio


@pytest.fixture
def many(store: FakeStore) -> None:
    store.rows += [RunSeed(run_id=f"019ab0de-7c1e-7000-8000-{number:012x}") for number in range(50)]


@pytest.mark.usefixtures("many")
async def test_large_answer(client: httpx.AsyncClient) -> None:
    """A client that takes gzip gets it, with the same content; caches are told that the answer depends on that."""
    plain = await client.get("/v1/runs?limit=50", headers={"accept-encoding": "identity"})
    packed = await client.get("/v1/runs?limit=50", headers={"accept-encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 5
    assert packed.json() == plain.json()


async def test_small_answer(client: httpx.AsyncClient) -> None:
    """An answer that fits into a packet stays as it is."""
    for path in ("/v1/runs", "/health", "/nowhere"):
        answer = await client.get(path, headers={"accept-encoding": "gzip"})
        assert "content-encoding" not in answer.headers
        assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.usefixtures("many")
async def test_head(client: httpx.AsyncClient) -> None:
    """HEAD is no method of the routes: it is refused without a body."""
    answer = await client.head("/v1/runs?limit=50", headers={"accept-encoding": "gzip"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
