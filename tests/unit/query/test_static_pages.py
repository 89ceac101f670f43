"""The built pages as they are served: whole, compressed, cached for ever by name, and unable to load anything from elsewhere."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from query_service.api.error_handlers import QueryErrorHandlers
from query_service.browser.pages import PAGE_PATHS, BuiltPages, SecurityHeaders, pages_router

pytestmark = pytest.mark.anyio
INDEX = b"<!doctype html><title>x</title>"


@pytest.fixture
def built(tmp_path: Path) -> BuiltPages:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_bytes(INDEX)
    (tmp_path / "index.html.gz").write_bytes(gzip.compress(INDEX))
    (tmp_path / "assets" / "index-abc.js").write_bytes(b"let a = 1")
    (tmp_path / "assets" / "index-abc.js.gz").write_bytes(gzip.compress(b"let a = 1"))
    (tmp_path / "assets" / "index-abc.js.br").write_bytes(b"packed")
    return BuiltPages.read(tmp_path)


@pytest.fixture
async def pages(built: BuiltPages) -> AsyncIterator[httpx.AsyncClient]:
    async with _client(built) as client:
        yield client


def _client(built: BuiltPages) -> httpx.AsyncClient:
    app = FastAPI(docs_url=None, redoc_url=None)
    app.include_router(pages_router(built))
    QueryErrorHandlers(retry_after_s=1).install(app)
    app.add_middleware(SecurityHeaders)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://query")


async def test_every_page_is_the_same_document(pages: httpx.AsyncClient) -> None:
    """Its script shows what the address asks for. An address that is no page stays a 404."""
    for path in PAGE_PATHS:
        answer = await pages.get(path.replace("{agent_id:path}", "team/a").replace("{", "").replace("}", ""))
        assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (200, INDEX, "no-cache"), path
    assert (await pages.get("/nowhere")).status_code == 404


async def test_nothing_from_elsewhere_can_run(pages: httpx.AsyncClient) -> None:
    """The policy has no exception, and no other site may frame or read a page."""
    headers = (await pages.get("/")).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (headers["x-content-type-options"], headers["cross-origin-resource-policy"]) == ("nosniff", "same-origin")


async def test_files_are_sent_in_the_smallest_form_that_is_taken(pages: httpx.AsyncClient) -> None:
    """And kept for ever: another content has another name."""
    where = "/assets/index-abc.js"
    packed = {}
    for accepted in ("br, gzip", "gzip", "identity", "br;q=0, gzip"):
        async with pages.stream("GET", where, headers={"accept-encoding": accepted}) as answer:
            packed[accepted] = answer.headers.get("content-encoding"), b"".join([part async for part in answer.aiter_raw()])
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["content-type"].startswith("text/javascript")
    assert packed["br, gzip"] == ("br", b"packed")
    assert packed["gzip"][0] == packed["br;q=0, gzip"][0] == "gzip"
    assert packed["identity"] == (None, b"let a = 1")
    assert (await pages.get("/assets/nothing.js")).status_code == 404
    assert (await pages.get("/assets/..%2findex.html")).status_code == 404


async def test_a_document_that_is_known_is_not_sent_again(pages: httpx.AsyncClient) -> None:
    """304, with the headers that a browser needs."""
    first = await pages.get("/")
    again = await pages.get("/runs", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]


async def test_without_a_build_it_says_so() -> None:
    """503 with the command to type; the API does not depend on it."""
    async with _client(BuiltPages()) as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "pages_not_built")
