"""Signing a browser in: the cookie opens what the key opened, as long as it does, and nobody else can make or send one."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import pytest

from query_service.app import create_app
from query_service.settings import QuerySettings
from query_service.testing import FakeStore
from query_service.testing_rows import RunSeed
from servicekit.auth.key_cache import KeyCache
from servicekit.auth.keys import Scope
from servicekit.testing import MemoryKeys, cache_of

pytestmark = pytest.mark.anyio


class Browser:
    """Keeps cookies, and sends no key but where it signs in."""

    def __init__(self, client: httpx.AsyncClient, keys: MemoryKeys, ring: KeyCache) -> None:
        self.client, self.keys, self.ring = client, keys, ring

    async def key(self, *scopes: Scope, project: str = "shop") -> str:
        made = self.keys.create(*scopes, project=project)
        await self.ring.refresh()
        return made

    async def sign_in(self, key: str, **headers: str) -> httpx.Response:
        return await self.client.post("/v1/session", headers={"authorization": f"Bearer {key}", **headers})


@asynccontextmanager
async def browser(*, anonymous: str | None = None, address: str = "http://query") -> AsyncIterator[Browser]:
    keys = MemoryKeys()
    ring = cache_of(keys)
    await ring.refresh()
    store = FakeStore(RunSeed(project="shop"), RunSeed(project="shop", run_id=UUID(int=7)))
    app = create_app(QuerySettings(anonymous_project=anonymous, session_s=3_600), store, keys=ring)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=address) as client:
        yield Browser(client, keys, ring)


async def test_a_read_key_signs_in() -> None:
    """From then on the cookie alone shows the key's project, and another project's stays unseen."""
    async with browser() as person:
        assert (await person.client.get("/v1/runs")).status_code == 401
        answer = await person.sign_in(await person.key(Scope.READ))
        assert answer.json() | {"guide": None} == {"project": "shop", "signed_in": True, "anonymous": False, "guide": None}
        assert len((await person.client.get("/v1/runs")).json()["runs"]) == 2
        assert (await person.client.get("/v1/session")).json()["signed_in"]
        assert (await person.sign_in(await person.key(Scope.READ, project="other"))).json()["project"] == "other"
        assert (await person.client.get("/v1/runs")).json()["runs"] == []


async def test_the_cookie_holds_no_key_and_no_script_reads_it() -> None:
    """HttpOnly and SameSite=Strict, Secure where TLS is spoken or a proxy says so; of the key it has the public id alone."""
    async with browser() as person:
        key = await person.key(Scope.READ)
        plain = (await person.sign_in(key)).headers["set-cookie"]
        assert "HttpOnly" in plain
        assert "SameSite=strict" in plain
        assert "Secure" not in plain
        assert key.split("_")[2] not in plain
        assert "Secure" in (await person.sign_in(key, **{"x-forwarded-proto": "https"})).headers["set-cookie"]
    async with browser(address="https://query") as person:
        assert "Secure" in (await person.sign_in(await person.key(Scope.READ))).headers["set-cookie"]


async def test_a_wrong_key_or_one_without_the_scope_gets_no_cookie() -> None:
    """401 and 403, as everywhere."""
    async with browser() as person:
        wrong = await person.sign_in("atk_" + "0" * 12 + "_" + "0" * 48)
        other = await person.sign_in(await person.key(Scope.INGEST))
        assert (wrong.status_code, other.status_code) == (401, 403)
        assert "set-cookie" not in wrong.headers
        assert "set-cookie" not in other.headers


async def test_a_session_ends_with_its_key_or_by_signing_out() -> None:
    """The answer takes the dead cookie away, so that the next request is one without."""
    async with browser() as person:
        key = await person.key(Scope.READ)
        await person.sign_in(key)
        person.keys.revoke(key)
        await person.ring.refresh()
        ended = await person.client.get("/v1/runs")
        assert (ended.status_code, ended.json()["error"]["code"]) == (401, "session_ended")
        assert (await person.client.get("/v1/runs")).json()["error"]["code"] == "unauthenticated"
        await person.sign_in(await person.key(Scope.READ))
        assert not (await person.client.request("DELETE", "/v1/session")).json()["signed_in"]
        assert (await person.client.get("/v1/runs")).status_code == 401


async def test_a_session_ends_in_time() -> None:
    """After `session_s` seconds, whatever the browser does with the cookie."""
    async with browser() as person:
        await person.sign_in(await person.key(Scope.READ))
        (cookie,) = list(person.client.cookies.jar)
        seconds = int(str(cookie.value).split(".")[1]) - time.time()
        assert 3_500 < seconds <= 3_601
        kept = {"cookie": f"{cookie.name}={cookie.value}"}
        assert (await person.client.get("/v1/runs", headers=kept)).status_code == 200
        now = time.time()
        person.ring._wall_clock = lambda: now + 3_602
        assert (await person.client.get("/v1/runs", headers=kept)).status_code == 401


async def test_a_cookie_that_was_tampered_with_opens_nothing() -> None:
    """Another key's id, a later end, another seal, no form at all."""
    async with browser() as person:
        await person.sign_in(await person.key(Scope.READ))
        (cookie,) = list(person.client.cookies.jar)
        key_id, ends, seal = str(cookie.value).split(".")
        other = (await person.key(Scope.READ, project="other")).split("_")[1]
        forged = f"{other}.{ends}.{seal}", f"{key_id}.{int(ends) + 1}.{seal}", f"{key_id}.{ends}.{'0' * 64}"
        for value in (*forged, "x", "..", "a.b.é"):
            person.client.cookies.clear()
            answer = await person.client.get("/v1/runs", headers={"cookie": f"{cookie.name}={value}".encode()})
            assert answer.status_code == 401, value


async def test_a_local_stack_needs_no_session() -> None:
    """Its project is shown without a key, and a cookie of another stack on this machine is none of its business."""
    async with browser(anonymous="shop", address="http://127.0.0.1") as person:
        found = (await person.client.get("/v1/session", headers={"cookie": "agenttracer_0=x; other=y"})).json()
        assert (found["project"], found["signed_in"], found["anonymous"]) == ("shop", False, True)
        assert "set-cookie" not in (await person.client.post("/v1/session")).headers


async def test_a_key_in_a_header_wins_over_the_cookie() -> None:
    """A program in a browser that is signed in gets what its key says."""
    async with browser() as person:
        await person.sign_in(await person.key(Scope.READ))
        other = await person.key(Scope.READ, project="other")
        assert (await person.client.get("/v1/runs", headers={"x-api-key": other})).json()["runs"] == []
