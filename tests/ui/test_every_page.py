"""Every page, light and dark, wide and narrow: it shows its data, asks nobody else, and axe-core finds nothing."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Route

from tests.support.browser import NARROW, WIDE, settle, watched
from tests.ui.conftest import SESSION, Site


def pages(site: Site) -> dict[str, str]:
    """A path of each kind, and what stands on it."""
    failed = site.runs("status=failure&agent_id=orders-agent&limit=1")[0]
    versions = {"a": "0.4.1", "b": "0.5.0"}
    sides = "&".join(f"{side}_agent_id=reader-agent&{side}_agent_version={versions[side]}" for side in versions)
    where = f"/runs/{failed['run_id']}"
    return {
        "/?range=7d": "What got worse",
        "/runs": "orders-agent",
        "/runs?status=failure": "failure",
        "/runs?agent_id=nobody": "No run matches",
        where: "Chosen step",
        f"{where}?tab=graph": "added up",
        f"{where}?tab=failures": "root cause",
        f"{where}?tab=producers": "complete",
        f"{where}?tab=json": "The same from a program",
        "/runs/00000000-0000-0000-0000-000000000000": "no run of this id",
        "/failures?range=7d": "refund_api",
        "/failures?range=7d&failure_type=retrieval": "retrieval",
        "/docs": "/v1/runs/{run_id}/steps",
        "/runs?range=7d": "Latency over time",
        "/agents?range=7d": "orders-agent",
        "/agents/orders-agent?range=7d": "Steps and tools",
        "/agents/nobody": "no agent of this name",
        "/compare?range=7d": "one of these pairs",
        f"/compare?range=7d&{sides}": "worse",
        "/runs?range=7d&explain=1": "What do these share?",
        f"/compare?a={failed['run_id']}": "Choose the run",
        "/sessions?range=7d": SESSION[:8],
        f"/sessions/{SESSION}": "oldest first",
        "/trust?range=7d": "What is known to be missing",
    }


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_pages_are_whole_and_accessible(site: Site, browser: Browser, size: dict[str, int]) -> None:
    """WCAG by axe-core on every page and state, of which the dark has its colours alone; nothing is wider than the screen."""
    with watched(browser, site.url, size=size) as here:
        for path, words in pages(site).items():
            page = here.open(path)
            assert words.lower() in page.inner_text("body").lower() or page.locator(f"[aria-label='{words}']").count(), path
            assert here.violations(page) == [], path
            page.emulate_media(color_scheme="dark")
            assert here.violations(page, colours_alone=True) == [], f"{path} in the dark"
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is wider than the screen"
            page.close()


def test_an_address_that_is_no_page_is_a_404(site: Site, browser: Browser) -> None:
    """Also inside, where the script has no page for it."""
    with watched(browser, site.url) as here:
        page = here.context.new_page()
        answer = page.goto(f"{site.url}/nowhere")
        assert answer is not None
        assert answer.status == 404


def test_the_navigation_leads_to_pages(site: Site, browser: Browser) -> None:
    """Each of its links, by a click and as an address of its own."""
    with watched(browser, site.url) as here:
        page = here.open("/")
        links = page.locator("nav[aria-label='Pages'] a").evaluate_all("links => links.map(link => link.pathname)")
        assert len(links) == 8
        for path in links:
            page.locator(f"nav[aria-label='Pages'] a[href^='{path}']").last.click()
            settle(page)
            for shown in (page, other := here.open(path)):
                assert "no such page" not in shown.inner_text("main"), path
                assert shown.locator("nav[aria-label='Pages'] a[aria-current='page']").count() == 1, path
            other.close()


def answering(body: str) -> Callable[[Route], None]:
    return lambda route: route.fulfill(body=body)


def test_the_header_says_until_when_all_is_there(site: Site, browser: Browser) -> None:
    """As the API says it; unknown where it says nothing, and a warning where it stands still."""
    with watched(browser, site.url) as here:
        page = here.open("/docs?tz=utc")
        page.wait_for_selector(".complete-to")
        said = page.inner_text(".complete-to")
        assert re.fullmatch(r"complete to \d\d:\d\d:\d\d", said), said
        for complete_to, words in (("null", "unknown"), ('"2026-01-31T12:00:00Z"', "behind")):
            answer = f'{{"runs": [], "next_cursor": null, "complete_to": {complete_to}}}'
            here.context.route("**/v1/runs?limit=1", answering(answer))
            page = here.open("/docs")
            page.wait_for_selector(f".complete-to:has-text('{words}')")
            here.context.unroute("**/v1/runs?limit=1")
