"""Which requests go the short way, and that it leads to the same answers."""

import httpx
import pytest
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from producer_gateway.api.fast_path import FastPath, fast_endpoints
from producer_gateway.app import create_app
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from servicekit.testing import MemoryKeys, cache_of

pytestmark = pytest.mark.anyio


def endpoints(log: MemoryRecordLog) -> dict[tuple[str, str], object]:
    (path,) = [
        each for each in create_app(GatewaySettings(), log, keys=cache_of(MemoryKeys())).user_middleware if each.cls is FastPath
    ]  # type: ignore[comparison-overlap]  # a class
    found = path.kwargs["endpoints"]
    assert isinstance(found, dict)
    return found


def test_all_ways_in_are_hot(log: MemoryRecordLog) -> None:
    """Every ingest route goes the short way, and nothing else does."""
    assert endpoints(log).keys() == {("POST", f"/v1/{way}") for way in ("events", "runs", "traces", "metrics", "logs")}


def test_a_dependency_leaves_the_fast_path() -> None:
    """What FastAPI must give a route, on itself or on its router, is never skipped."""

    def guard() -> None: ...

    async def plain(request: Request) -> Response: ...
    async def asks(request: Request, size: int) -> Response: ...

    guarded = APIRouter(dependencies=[Depends(guard)])
    guarded.post("/router")(plain)
    router = APIRouter(prefix="/v1")
    router.post("/route", dependencies=[Depends(guard)])(plain)
    router.post("/parameter")(asks)
    router.post("/plain")(plain)
    assert fast_endpoints([guarded, router]).keys() == {("POST", "/v1/plain")}


async def test_later_middleware_stands_before_the_fast_path(log: MemoryRecordLog) -> None:
    """Middleware that somebody adds to the app sees hot requests too."""
    seen = []

    class Watch:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["path"])
            await self.app(scope, receive, send)

    app = create_app(GatewaySettings(), log, keys=cache_of(MemoryKeys()))
    app.add_middleware(Watch)
    await log.start()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        await client.post("/v1/events", content=b"{}")
    assert seen == ["/v1/events"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/events", 405), ("POST", "/v1/events/", 404), ("POST", "/v1/event", 404)]
)
async def test_all_else_goes_the_usual_way(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    """Another method or path is answered by the framework's routes, in the gateway's words."""
    answer = await client.request(method, path)
    assert (answer.status_code, set(answer.json())) == (status, {"error"})
