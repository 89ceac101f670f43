"""Names from outside are text on every page, whatever they look like."""

import json
import re
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from playwright.sync_api import Browser, Dialog, Route, expect

from tests.support.browser import NARROW, settle, watched
from tests.ui.conftest import Site

AGENT = "<script>alert(1)</script>"
STEP = "\u202etxt.exe"
VERSION = "n" * 64
NAMES = {
    "reader-agent": AGENT,
    "0.5.0": VERSION,
    "0.4.1": "~0123456789",
    "fetch_page": STEP,
    "outline": "\u67e5\u8be2\u8ba2\u5355",
    "compose_answer": "javascript:alert(1)",
    "HTTPStatusError": "<img src=x onerror=alert(1)>",
    "claude-sonnet-4": "'\"><b>k</b>",
}
"""Names of the demo's week, and what stands for them in every answer of the API: worse than it ever gives."""
ELEMENTS = "main script, main img, main b:text-is('k')"


def renamed(route: Route, site: Site) -> None:
    """Answer as the service does, with other names; ask it with its own."""
    url = urlsplit(route.request.url)
    known = {hostile: name for name, hostile in NAMES.items()}
    query = [(key, known.get(value, value)) for key, value in parse_qsl(url.query)]
    answer = route.fetch(url=f"{site.url}{url.path}?{urlencode(query)}")
    body = answer.text()
    for name, hostile in NAMES.items():
        body = body.replace(f'"{name}"', json.dumps(hostile))
    route.fulfill(status=answer.status, content_type="application/json", body=body)


def test_hostile_names_are_text(site: Site, browser: Browser) -> None:
    """No element comes of them, no dialog, no page wider than the screen; each is shown as it is, and its links work."""
    run = site.runs("agent_id=reader-agent&agent_version=0.5.0&failure_code=not_found&limit=1")[0]["run_id"]
    other = site.runs("agent_id=reader-agent&agent_version=0.4.1&limit=1")[0]["run_id"]
    failures = site.get(f"/v1/runs/{run}/failures")["failures"]
    assert isinstance(failures, list)
    agent = quote(AGENT, safe="")
    sides = f"a_agent_id={agent}&a_agent_version={NAMES['0.4.1']}&b_agent_id={agent}&b_agent_version={VERSION}"
    pages = {
        "/?range=7d": (AGENT, VERSION, "'\"><b>k</b>"),
        f"/runs?range=7d&agent_id={agent}": (AGENT, VERSION),
        "/failures?range=7d": (AGENT, STEP),
        f"/failures/{failures[0]['fingerprint']}?range=7d": (AGENT, STEP, VERSION),
        "/agents?range=7d": (AGENT, NAMES["0.4.1"]),
        f"/agents/{agent}?range=7d": (AGENT, VERSION, STEP, "javascript:alert(1)"),
        f"/compare?range=7d&{sides}": (AGENT, VERSION, NAMES["0.4.1"], STEP),
        f"/runs/{run}": (AGENT, VERSION, STEP),
        f"/runs/{run}?tab=graph": (AGENT, STEP, NAMES["outline"]),
        f"/runs/{run}?tab=failures": (STEP, NAMES["HTTPStatusError"]),
        f"/runs/{run}?tab=json": (AGENT, VERSION),
        f"/runs/{other}": (NAMES["0.4.1"],),
        "/trust?range=7d": ("complete to",),
    }
    dialogs: list[str] = []

    def close(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    with watched(browser, site.url, size=NARROW) as here:
        here.context.on("dialog", close)
        here.context.route(re.compile(r"/v1/"), lambda route: renamed(route, site))
        for path, names in pages.items():
            page = here.open(path)
            for name in names:
                expect(page.locator("main")).to_contain_text(name)
            assert page.locator(ELEMENTS).count() == 0, path
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            page.close()
        page = here.open("/agents?range=7d")
        page.locator("main").get_by_role("link", name=AGENT, exact=True).first.click()
        expect(page.locator("h1")).to_have_text(AGENT)
        settle(page)
    assert dialogs == []


def test_what_the_gateway_makes_of_hostile_names(site: Site, browser: Browser) -> None:
    """A run that was sent with such names is shown, and none of them is in it."""
    hostile = {
        "agent_id": "hostile",
        "agent_version": "1",
        "status": "failure",
        "steps": [
            {"kind": "tool", "name": AGENT, "latency_ms": 1},
            {"kind": "tool", "name": STEP, "latency_ms": 1, "error_class": "<img src=x onerror=alert(1)>"},
            {"kind": "tool", "name": NAMES["outline"], "latency_ms": 1, "metadata": {"<b>k</b>": "v", "k": "<i>v</i>"}},
        ],
    }
    (run_id,) = site.send(hostile)
    with watched(browser, site.url) as here:
        page = here.open(f"/runs/{run_id}")
        expect(page.locator(".wf-row")).to_have_count(3)
        text = page.inner_text("main")
        assert not [name for name in NAMES.values() if name in text]
