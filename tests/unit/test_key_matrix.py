"""Every route of both services against every kind of key.

Routes come from the services' own OpenAPI documents, so that one that is added without a lock fails here.
"""

import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route

from producer_gateway.api.openapi import BATCH_EXAMPLE
from producer_gateway.app import create_app as create_gateway
from producer_gateway.events.run_document import MINIMAL_EXAMPLE
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from query_service.app import create_app as create_query
from query_service.browser.pages import ASSET_PATHS, PAGE_PATHS
from query_service.settings import QuerySettings
from query_service.testing import FakeStore
from query_service.testing_rows import (
    DEFAULT_RUN,
    NOON,
    FailureSeed,
    RunRollupSeed,
    RunSeed,
    StepRollupSeed,
    StepSeed,
)
from servicekit.auth.key_cache import KeyCache
from servicekit.auth.keys import Scope
from servicekit.testing import MemoryKeys, cache_of
from tests.unit.gateway.otlp import spans

pytestmark = pytest.mark.anyio
OPEN: Final = {"/health", "/ready", "/metrics"}
"""All that answers without a key; besides, the document itself."""
HIDDEN: Final = {"/v1/metrics", "/v1/logs"}
"""Taken so that an exporter of all signals is content; nothing of them is kept, so no document offers them."""
BODIES: Final[Mapping[str, Mapping[str, bytes]]] = {
    "/v1/events": {"application/json": json.dumps(BATCH_EXAMPLE).encode()},
    "/v1/runs": {"application/json": json.dumps(MINIMAL_EXAMPLE).encode()},
    "/v1/traces": {
        "application/json": spans.as_json(spans.span()),
        "application/x-protobuf": spans.protobuf(json.loads(spans.as_json(spans.span()))),
    },
    **{path: {"application/json": b"{}", "application/x-protobuf": b""} for path in HIDDEN},
}
REFUSED: Final = ("none", "empty", "malformed", "unknown", "wrong secret", "revoked", "expired", "basic", "twice")
FINGERPRINT: Final = "9ae0" * 4
NEEDED: Final = {"format": "chrome", "a": DEFAULT_RUN, "b": DEFAULT_RUN, "last_event_id": 0}
"""A value for each parameter that a route does not do without."""
RESUMED: Final = {"/v1/tail"}
"""Routes that begin with what was there before."""
Call = tuple[str, str, str]
"""Method, path, and the type of the body."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Served:
    """A service, and the keys that it knows."""

    app: FastAPI
    client: httpx.AsyncClient
    keys: MemoryKeys
    ring: KeyCache
    scope: Scope
    log: MemoryRecordLog

    async def routes(self) -> list[Call]:
        """Every way to call every route that is not open; a body of each type that a route takes."""
        paths: dict[str, dict[str, Any]] = (await self.client.get("/openapi.json")).json()["paths"]
        return [
            (method.upper(), _addressed(path, operation), media_type)
            for path, operations in [*paths.items(), *self._hidden()]
            if path not in OPEN
            for method, operation in operations.items()
            for media_type in operation.get("requestBody", {}).get("content", {"": None})
        ]

    def _hidden(self) -> list[tuple[str, dict[str, Any]]]:
        """Routes that no document shows, as it would show them."""
        there = {route.path for route in _routes(self.app.routes)}
        operations = {"post": {"requestBody": {"content": dict.fromkeys(BODIES["/v1/traces"])}}}
        return [(path, operations) for path in sorted(HIDDEN) if path in there]

    async def call(self, call: Call, headers: list[tuple[str, str]]) -> httpx.Response:
        method, path, media_type = call
        content = BODIES[path][media_type] if media_type else None
        typed = [("content-type", media_type)] if media_type else []
        return await self.client.request(method, path, content=content, headers=[*headers, *typed])

    async def offering(self, kind: str) -> list[tuple[str, str]]:
        """Headers that offer a key of this kind."""
        ring = self.ring
        good, other_scopes = self.keys.create(self.scope), set(Scope) - {self.scope}
        if kind == "revoked":
            await ring.refresh()
            assert ring.find(good) is not None
            self.keys.revoke(good)
        expired = self.keys.create(self.scope, expires_at=time.time() + 3_600)
        record = self.keys.keys[expired.split("_")[1]]
        await ring.refresh()
        if kind == "expired":  # as it is between two refreshes
            ring._wall_clock = lambda: (record.expires_at or 0.0) + 1
        bearer = "authorization"
        offers = {
            "none": [],
            "empty": [(bearer, "Bearer ")],
            "malformed": [(bearer, f"Bearer {good}x")],
            "unknown": [(bearer, f"Bearer atk_{'z' * 12}_{good[17:]}")],
            "wrong secret": [(bearer, f"Bearer {good[:-1]}{'a' if good[-1] != 'a' else 'b'}")],
            "revoked": [(bearer, f"Bearer {good}")],
            "expired": [(bearer, f"Bearer {expired}")],
            "basic": [(bearer, "Basic eDp5")],
            "twice": [(bearer, f"Bearer {good}"), ("x-api-key", good)],
            "wrong scope": [("x-api-key", self.keys.create(*other_scopes))],
            "other project": [("x-api-key", self.keys.create(self.scope, project="theirs"))],
            "right": [(bearer, f"Bearer {good}")],
        }
        if kind in {"wrong scope", "other project"}:
            await ring.refresh()
        return offers[kind]


def _addressed(path: str, operation: Mapping[str, Any]) -> str:
    """The path of a run and a step that are there, with the parameters that must be given."""
    needed = [one for one in operation.get("parameters", []) if one["in"] == "query" and one["required"]]
    needed += [{"name": "last_event_id"}] if path in RESUMED else []
    query = "&".join(f"{one['name']}={NEEDED[one['name']]}" for one in needed)
    filled = path.format(run_id=DEFAULT_RUN, step_id=StepSeed().step_id, fingerprint=FINGERPRINT)
    return f"{filled}?{query}" if query else filled


@asynccontextmanager
async def service(name: str, *, anonymous_project: str | None = None, pages_port: int | None = None) -> AsyncIterator[Served]:
    keys, log = MemoryKeys(), MemoryRecordLog()
    await log.start()
    scope = Scope.INGEST if name == "gateway" else Scope.READ
    ring = cache_of(keys)
    await ring.refresh()
    if name == "gateway":
        app = create_gateway(GatewaySettings(anonymous_project=anonymous_project, pages_port=pages_port), log, keys=ring)
    else:
        store = FakeStore(
            RunSeed(project="default", session_digest="5e" * 16),
            *(kind(project="default") for kind in (StepSeed, RunRollupSeed)),
            StepRollupSeed(project="default", model="gpt-4o", input_tokens=7),
            FailureSeed(project="default", fingerprint=FINGERPRINT),
            *(RunSeed(run_id=uuid.UUID(int=n), agent="failing-bot", end_status="failure") for n in range(5)),
        )
        settings = QuerySettings(anonymous_project=anonymous_project)
        app = create_query(settings, store, keys=ring, clock=lambda: NOON + timedelta(minutes=5))
        app.state.feeds.end()  # a tail gives what was there, and ends
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        yield Served(app, client, keys, ring, scope, log)


SERVICES = pytest.mark.parametrize("name", ["gateway", "query"])


@SERVICES
@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("anonymous_project", [None, "default"])
async def test_whoever_has_no_live_key_is_answered_alike(name: str, kind: str, anonymous_project: str | None) -> None:
    """401, with the same bytes whatever is wrong with the key; where anonymous callers are let in, none at all passes."""
    async with service(name, anonymous_project=anonymous_project) as served:
        routes = await served.routes()
        offer = await served.offering(kind)
        unknown = [("x-api-key", "atk_" + "0" * 12 + "_" + "0" * 48)]
        for call in routes:
            answer = await served.call(call, offer)
            if kind == "none" and anonymous_project is not None:
                assert answer.status_code in {200, 202}, call
                continue
            other = await served.call(call, unknown)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), call
            assert (answer.content, answer.headers) == (other.content, other.headers), call
        assert anonymous_project is not None or not served.log.messages


@SERVICES
async def test_a_live_key_for_something_else_is_forbidden(name: str) -> None:
    """403 on every route, and nothing is taken."""
    async with service(name) as served:
        offer = await served.offering("wrong scope")
        for call in await served.routes():
            assert (await served.call(call, offer)).status_code == 403, call
        assert not served.log.messages


@SERVICES
async def test_the_right_key_passes(name: str) -> None:
    """Every route does what it is for: without this the refusals above would prove nothing."""
    async with service(name) as served:
        offer = await served.offering("right")
        for call in await served.routes():
            answer = await served.call(call, offer)
            assert answer.status_code in {200, 202}, call


async def test_a_key_sends_into_its_own_project() -> None:
    """Record and record key carry the project of the key, on every route."""
    async with service("gateway") as served:
        for kind, project in (("right", "default"), ("other project", "theirs")):
            offer = await served.offering(kind)
            for call in await served.routes():
                served.log.messages.clear()
                assert (await served.call(call, offer)).status_code in {200, 202}
                assert bool(served.log.messages) == (call[1] not in HIDDEN), call
                for message in served.log.messages:
                    assert message.key.startswith(f"{project}:".encode()), call
                    assert json.loads(message.value)["project"] == project, call


async def test_a_key_reads_its_own_project_alone() -> None:
    """Another project's lists are empty and its runs do not exist, exactly as runs that never were."""
    async with service("query") as served:
        right, other = await served.offering("right"), await served.offering("other project")
        for call in await served.routes():
            method, path, _ = call
            seen, unseen = await served.call(call, right), await served.call(call, other)
            if path == "/v1/session":
                assert seen.json()["project"] == "default"
                assert unseen.json()["project"] == "theirs"
            elif path.startswith(("/v1/export", "/v1/tail")):
                assert len(seen.text.splitlines()) > len(unseen.text.splitlines()), call
            elif FINGERPRINT in path:
                assert (seen.status_code, unseen.status_code) == (200, 404), call
            elif str(DEFAULT_RUN) in path:
                never = await served.call((method, path.replace(str(DEFAULT_RUN), str(uuid.uuid4())), ""), other)
                assert seen.status_code == 200, call
                assert (unseen.status_code, unseen.content) == (404, never.content), call
            else:
                assert _lists(seen), call
                assert not _lists(unseen), call


def _lists(answer: httpx.Response) -> list[Any]:
    """Everything that the answer lists."""
    assert answer.status_code == 200
    return list(_items(answer.json()))


def _items(value: object) -> Iterator[Any]:
    if isinstance(value, list):
        yield from (item for item in value if not (isinstance(item, dict) and {item.get("total"), item.get("n_a")} & {0}))
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in {"times", "latency_ms"}:  # what the window is, whoever asks
                yield from _items(inner)


@SERVICES
async def test_the_document_says_which_routes_need_a_key(name: str) -> None:
    """Both ways to send one, both refusals; and the open routes are the ones listed here, no more."""
    async with service(name) as served:
        document = (await served.client.get("/openapi.json")).json()
        schemes = document["components"]["securitySchemes"]
        for path, operations in document["paths"].items():
            for operation in operations.values():
                assert ("security" in operation) == (path not in OPEN), path
                if path not in OPEN:
                    assert operation["security"] == [{scheme: []} for scheme in schemes]
                    assert operation["responses"].keys() >= {"401", "403"}
        for path in OPEN:
            assert (await served.client.get(path)).status_code == 200


async def test_metrics_leave_the_port_of_clients() -> None:
    """A gateway with a port for its pages tells nobody on the other one who sends how much; balancers still ask it there."""
    async with service("gateway", pages_port=0) as served:
        document = (await served.client.get("/openapi.json")).json()
        assert OPEN & document["paths"].keys() == {"/health", "/ready"}
        statuses = {path: (await served.client.get(path)).status_code for path in OPEN}
        assert statuses == {"/health": 200, "/ready": 200, "/metrics": 404}


@SERVICES
async def test_no_route_hides_from_the_document(name: str) -> None:
    """What the document does not show, the tests above do not try: only the document itself, and files."""
    async with service(name) as served:
        paths = (await served.client.get("/openapi.json")).json()["paths"]
        shown = {route.path for route in _routes(served.app.routes)}
        assert shown - paths.keys() <= {"/openapi.json", *PAGE_PATHS, *ASSET_PATHS, *HIDDEN}
        assert shown >= paths.keys()


def _routes(routes: Sequence[Any]) -> Iterator[Route]:
    """Every route, included routers opened."""
    for route in routes:
        if isinstance(route, Route):
            yield route
        else:
            yield from _routes(getattr(route, "original_router", route).routes)  # FastAPI keeps included routers apart


@SERVICES
async def test_keys_that_cannot_be_checked_are_not_judged(name: str) -> None:
    """A process that never saw the keys says 503 to all of them, with Retry-After, and is not ready."""
    async with service(name) as served:
        served.ring._loaded_at = None
        for call in await served.routes():
            answer = await served.call(call, [("x-api-key", "anything")])
            assert (answer.status_code, "retry-after" in answer.headers) == (503, True), call
        ready = await served.client.get("/ready")
        assert (ready.status_code, ready.json()["reason"]) == (503, "keys_unavailable")


async def test_a_key_is_asked_for_before_the_body() -> None:
    """Of a request without a key not a byte of the body is read, whatever its headers say."""
    async with service("gateway") as served:
        for _, path, media_type in await served.routes():
            read = []

            async def body(read: list[int] = read) -> AsyncIterator[bytes]:
                read.append(1)
                yield b"x"

            for content_type in (media_type, "text/plain"):
                answer = await served.client.post(path, content=body(), headers={"content-type": content_type})
                assert answer.status_code == 401
            assert read == [], path


async def test_a_question_is_not_judged_before_its_key() -> None:
    """Nobody without a key learns which parameters there are."""
    async with service("query") as served:
        for _, path, _ in await served.routes():
            assert (await served.client.get(f"{path}?nonsense=1&limit=x")).status_code == 401
        assert (await served.client.get("/v1/runs/no-uuid")).status_code == 401


async def test_otlp_refusals_are_statuses_in_the_encoding_of_the_request() -> None:
    """google.rpc.Status with the codes for unauthenticated and for permission denied."""
    async with service("gateway") as served:
        forbidden = await served.offering("wrong scope")
        for offer, code in (([], 16), (forbidden, 7)):
            answer = await served.call(("POST", "/v1/traces", "application/json"), offer)
            assert answer.json()["code"] == code
            answer = await served.call(("POST", "/v1/traces", "application/x-protobuf"), offer)
            assert answer.headers["content-type"] == "application/x-protobuf"
            assert answer.content[:2] == bytes([0x08, code])
