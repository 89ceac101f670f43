"""Agents and their versions: from one to what differs between two of them, and a session with its runs."""

from playwright.sync_api import Browser, expect

from tests.support.browser import settle, wait, watched
from tests.ui.conftest import SESSION, Site


def test_from_an_agent_to_what_changed(site: Site, browser: Browser) -> None:
    """Overview, agent, comparison by links; the figures are those of the API, and a choice is in the address."""
    with watched(browser, site.url) as here:
        page = here.open("/?range=7d")
        page.locator("main").get_by_role("link", name="reader-agent", exact=True).last.click()
        page.wait_for_selector("h1:has-text('reader-agent')")
        settle(page)
        steps = page.locator("[aria-label='Steps and tools by version'] tbody tr")
        page.get_by_role("link", name="most errors").click()
        wait(page, "location.search.includes('steps=errors')")
        assert "fetch_page" in steps.first.inner_text()
        page.get_by_role("link", name="compare 0.5.0").click()
        page.wait_for_selector("h1:has-text('Compare')")
        settle(page)
        assert page.get_by_label("version A").input_value() == "0.4.1"
        slower = page.locator("tbody tr", has_text="latency, p50").first
        assert "worse" in slower.inner_text()
        page.get_by_role("link", name="swap").click()
        wait(page, "location.search.includes('a_agent_version=0.5.0')")
        settle(page)
        assert "better" in page.locator("tbody tr", has_text="latency, p50").first.inner_text()
        page.reload()
        settle(page)
        assert page.get_by_label("version A").input_value() == "0.5.0"


def test_a_session_is_its_runs_in_order(site: Site, browser: Browser) -> None:
    """From the list to the session, from there to a run, and back to the session; what is lost is on the page of trust."""
    with watched(browser, site.url) as here:
        page = here.open("/sessions")
        page.get_by_role("link", name=SESSION[:8]).click()
        page.wait_for_selector("h1:has-text('Session')")
        settle(page)
        expected = [run["run_id"] for run in site.runs(f"session={SESSION}")][::-1]
        links = page.locator("a.row-link").evaluate_all("links => links.map(link => link.pathname)")
        assert links == [f"/runs/{run_id}" for run_id in expected]
        page.locator("a.row-link").first.click()
        page.wait_for_selector(".neighbours")
        page.keyboard.press("j")
        wait(page, f"location.pathname === '/runs/{expected[1]}'")
        page.wait_for_selector(".facts")
        page.get_by_role("link", name="list", exact=True).click()
        page.wait_for_selector("h1:has-text('Session')")
        page.get_by_role("link", name="Trust").click()
        page.wait_for_selector("h1:has-text('Trust')")
        settle(page)
        assert "1 lost" in page.locator("tbody tr", has_text="chat-agent").first.inner_text()


def test_one_run_beside_another(site: Site, browser: Browser) -> None:
    """From a run to those it can be laid beside, to where the paths part; the other way round says the same with other signs."""
    failed = site.runs("agent_id=orders-agent&status=failure&limit=1")[0]["run_id"]
    fine = site.runs("agent_id=orders-agent&status=success&limit=1")[0]["run_id"]
    with watched(browser, site.url) as here:
        page = here.open(f"/runs/{failed}")
        page.get_by_role("link", name="compare", exact=True).click()
        page.wait_for_selector("h1:has-text('Two runs')")
        settle(page)
        assert here.violations(page) == []
        page.locator("tbody td a").first.click()
        wait(page, "location.search.includes('&b=')")
        expect(page.locator(".banner")).to_contain_text("same path")
        page = here.open(f"/compare?a={fine}&b={failed}")
        step = page.get_by_role("region", name="Steps: A and B").locator("tbody tr", has_text="refund_api")
        expect(step).to_contain_text("+2 failed")
        expect(page.get_by_role("region", name="Failures: A and B")).to_contain_text("timeout")
        assert here.violations(page) == []
        page.get_by_role("link", name="swap").click()
        expect(step).to_contain_text("\u22122 failed")
        page.reload()
        expect(step).to_contain_text("\u22122 failed")
