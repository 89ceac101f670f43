"""The list of runs: its address is its state."""

import re

from playwright.sync_api import Browser, Page, expect

from tests.support.browser import settle, wait, watched
from tests.ui.conftest import Site


def rows(page: Page) -> list[str]:
    return page.locator("tbody tr").all_inner_texts()


def test_filters_survive_reload_back_forward_and_a_new_tab(site: Site, browser: Browser) -> None:
    """Whatever was chosen is in the address, and the address alone gives the same rows."""
    with watched(browser, site.url) as here:
        page = here.open("/runs")
        everything = rows(page)
        page.get_by_label("status").select_option("failure")
        wait(page, "location.search.includes('status=failure')")
        settle(page)
        failures = rows(page)
        assert failures != everything
        assert all("failure" in row for row in failures)
        page.get_by_label("agent", exact=True).fill("orders-agent")
        page.keyboard.press("Enter")
        wait(page, "location.search.includes('agent_id=orders-agent')")
        settle(page)
        filtered = rows(page)
        page.reload()
        settle(page)
        assert rows(page) == filtered
        assert page.get_by_label("status").input_value() == "failure"
        other = here.open(page.url.removeprefix(site.url))
        assert rows(other) == filtered
        page.go_back()
        wait(page, "!location.search.includes('agent_id')")
        settle(page)
        assert rows(page) == failures
        page.go_forward()
        wait(page, "location.search.includes('agent_id')")
        settle(page)
        assert rows(page) == filtered


def test_pages_of_the_list(site: Site, browser: Browser) -> None:
    """Older ones follow without a gap or a repeat, to the end, which is said."""
    with watched(browser, site.url) as here:
        page = here.open("/runs?agent_id=triage-agent")
        found: list[str] = []
        while True:
            found += page.locator("a.row-link").evaluate_all("links => links.map(link => link.pathname)")
            older = page.get_by_role("link", name="older")
            if not older.count():
                break
            older.click()
            page.wait_for_load_state()
            settle(page)
        assert "these are the oldest" in page.inner_text("main")
        assert found == [f"/runs/{run['run_id']}" for run in site.runs("agent_id=triage-agent&limit=500")]


def test_a_window_goes_along(site: Site, browser: Browser) -> None:
    """From page to page, with the zone of times, which is written."""
    with watched(browser, site.url) as here:
        page = here.open("/?range=7d")
        page.locator(".zone select").select_option("utc")
        page.get_by_role("link", name="Failures", exact=True).first.click()
        settle(page)
        assert "range=7d" in page.url
        assert "tz=utc" in page.url
        assert "UTC" in page.inner_text(".page-head")


def test_a_cell_of_the_heatmap_is_a_filter(site: Site, browser: Browser) -> None:
    """A click on it, and the same by its row of the table: the list shows as many runs as the cell says, and back undoes it."""
    with watched(browser, site.url) as here:
        page = here.open("/runs?agent_id=triage-agent&range=7d&tz=utc")
        page.locator(".heatmap summary").click()
        row = page.locator(".heatmap tbody tr").first
        runs = int(row.locator("td").nth(2).inner_text())
        row.get_by_role("button", name="show these").click()
        wait(page, "location.search.includes('max_latency_ms=')")
        settle(page)
        assert page.locator("a.row-link").count() == runs
        page.go_back()
        wait(page, "!location.search.includes('max_latency_ms=')")
        settle(page)
        box = page.locator(".heatmap canvas").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 1, box["y"] + 1)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2, steps=4)
        page.mouse.up()
        wait(page, "location.search.includes('max_latency_ms=') && location.search.includes('since=')")
        settle(page)
        assert page.locator("a.row-link").count() == 50


def test_a_part_of_the_heatmap_is_explained(site: Site, browser: Browser) -> None:
    """Dragged over the slowest: most are of the agent that reads pages, and the list of such runs is a click away."""
    with watched(browser, site.url) as here:
        page = here.open("/runs?range=7d&explain=1")
        canvas = page.locator(".heatmap canvas")
        box = canvas.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 1, box["y"] + 1)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20, steps=4)
        page.mouse.up()
        wait(page, "location.search.includes('min_latency_ms=')")
        table = page.get_by_role("region", name="What the chosen runs share")
        row = table.locator("tbody tr", has_text="reader-agent").first
        expect(row).to_contain_text(re.compile(r"\d %"))
        assert here.violations(page) == []
        page.get_by_role("link", name="of all agents").click()
        wait(page, "location.search.includes('within=project')")
        settle(page)
        table.locator("tbody tr", has_text="reader-agent").get_by_role("link", name="list").first.click()
        wait(page, "location.search.includes('agent_id=reader-agent')")


def test_without_a_filter_failed_runs_are_explained(site: Site, browser: Browser) -> None:
    """The timeouts of the refund service set them apart."""
    with watched(browser, site.url) as here:
        page = here.open("/runs?range=7d&explain=1&agent_id=orders-agent")
        table = page.get_by_role("region", name="What the chosen runs share")
        expect(table.locator("tbody tr", has_text="refund_api").first).to_be_visible()
        assert here.violations(page) == []
