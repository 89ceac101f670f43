"""Content that was sent by every way in is on no page: neither in what is drawn, nor in what is kept, nor in any answer."""

from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser

from agenttracer_cli.admin.api_keys import Purpose
from servicekit.auth.keys import Scope
from tests.support.browser import Watched, settle, watched
from tests.support.firewall import native, otlp
from tests.support.firewall.canaries import Canaries
from tests.support.firewall.scan import Scanner
from tests.support.firewall.sent import Sent
from tests.support.stacks import until
from tests.ui.conftest import Site

PROJECT = "canaries"
RUNS_LOOKED_AT = 2
KEPT = "JSON.stringify([document.cookie, Object.entries(localStorage), Object.entries(sessionStorage), document.title])"


@pytest.fixture(scope="module")
def sung(site: Site) -> tuple[Canaries, str]:
    """What was planted into a project of its own, and a key that reads it."""
    sing = Canaries()
    pipeline = site.pipeline
    keys = [
        pipeline.keys.replace(Purpose(project=PROJECT, scopes=frozenset({scope}), name=scope.value), pepper=pipeline.pepper).text
        for scope in (Scope.INGEST, Scope.READ)
    ]
    with httpx.Client(base_url=site.gateway.url, timeout=30, headers={"authorization": f"Bearer {keys[0]}"}) as client:
        known(f"{site.gateway.url}/v1/events", keys[0], method="POST")
        known(f"{site.url}/v1/runs", keys[1], method="GET")
        for each in requests(sing):
            client.request(each.method, each.url, content=each.body, headers=dict(each.headers))
    pipeline.wait_covered(len(pipeline.topic_values()))
    return sing, keys[1]


def known(url: str, key: str, *, method: str) -> None:
    """Wait until a service that was there before the key has read it."""
    headers = {"authorization": f"Bearer {key}"}
    until(lambda: httpx.request(method, url, headers=headers).status_code != 401, timeout_s=30, what="the key is known")


def requests(sing: Canaries) -> Iterator[Sent]:
    yield from otlp.requests(sing)
    yield from native.requests(sing)


def test_no_page_holds_a_canary(site: Site, browser: Browser, sung: tuple[Canaries, str]) -> None:
    """Hundreds were planted and runs came of them; a page on which one was typed into the address is found."""
    sing, key = sung
    scanner = Scanner(sing)
    with watched(browser, site.url) as here:
        signed_in = here.context.request.post(f"{site.url}/v1/session", headers={"Authorization": f"Bearer {key}"})
        assert signed_in.status == 200
        runs = here.context.request.get(f"{site.url}/v1/runs?limit={RUNS_LOOKED_AT}").json()["runs"]
        assert len(runs) == RUNS_LOOKED_AT
        assert len(sing.planted) > 500
        places = [place for path in pages(runs) for place in rendered(here, path)]
        answers = [(url, here.context.request.get(url).body()) for url in sorted(set(here.asked))]
        assert scanner.scan([*places, *answers]).places == {}
        assert any(url.endswith("/tree") for url, _ in answers)
        assert scanner.scan(rendered(here, f"/runs?agent_id={sing.token()}")).places != {}


def pages(runs: list[dict[str, str]]) -> list[str]:
    """Every page of the project."""
    agents = sorted({quote(run["agent_id"], safe="") for run in runs})
    return [
        "/?range=30d",
        "/runs?range=30d",
        "/failures?range=30d",
        "/agents?range=30d",
        f"/agents/{agents[0]}?range=30d",
        f"/compare?range=30d&a_agent_id={agents[0]}&b_agent_id={agents[-1]}",
        "/sessions?range=30d",
        "/trust?range=30d",
        *(f"/runs/{run['run_id']}?tab={tab}" for run in runs for tab in ("steps", "graph", "failures", "producers", "json")),
    ]


def rendered(here: Watched, path: str) -> list[tuple[str, bytes]]:
    """What is drawn, and what the browser keeps. Of the waterfall with a step chosen."""
    page = here.open(path)
    if path.endswith("tab=steps"):
        page.keyboard.press("End")
        page.wait_for_load_state("networkidle")
        settle(page)
    found = [(f"drawn {path}", page.content().encode()), (f"kept {path}", str(page.evaluate(KEPT)).encode())]
    page.close()
    return found
