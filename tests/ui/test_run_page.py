"""The run page, by keyboard alone: folding, failures, root cause, gaps, neighbours, a link to a step."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser import Watched, wait, watched
from tests.ui.conftest import Site

CHOSEN = ".wf-row.chosen"
TIMES = "\u00d7"


@pytest.fixture(scope="module")
def failed(site: Site) -> str:
    """A run with repeats, a retry that helped, and a failure at its end."""
    steps: list[dict[str, Any]] = [
        {"kind": "plan", "name": "outline", "latency_ms": 40},
        *({"kind": "retrieve", "name": "fetch_page", "latency_ms": 20} for _ in range(37)),
        {"kind": "tool", "name": "lookup", "latency_ms": 30, "error_class": "ReadTimeout"},
        {"kind": "tool", "name": "lookup", "latency_ms": 30, "attempt": 2},
        {
            "kind": "tool",
            "name": "refund",
            "latency_ms": 50,
            "started_at": "2026-11-20T10:10:00Z",
            "error_class": "ReadTimeout",
            "metadata": {"amount_cents": 1250},
        },
    ]
    document = {
        "agent_id": "keys-agent",
        "agent_version": "1",
        "status": "failure",
        "started_at": "2026-11-20T10:00:00Z",
        "steps": steps,
    }
    return site.send(document)[0]


def opened(here: Watched, run_id: str, query: str = "") -> Page:
    page = here.open(f"/runs/{run_id}{query}")
    page.wait_for_selector(".wf-row")
    return page


def chosen(page: Page) -> Locator:
    return page.locator(f"{CHOSEN} .wf-text")


def named(page: Page, name: str) -> Locator:
    return page.locator(".wf-row", has_text=name)


def test_repeats_are_one_row_until_they_are_opened(site: Site, browser: Browser, failed: str) -> None:
    """The heading counts them; right opens it, left goes back to it and closes it."""
    with watched(browser, site.url) as here:
        page = opened(here, failed)
        expect(named(page, "fetch_page")).to_have_count(1)
        expect(named(page, "fetch_page")).to_contain_text(f"{TIMES}37")
        for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
            page.keyboard.press(key)
        expect(page.locator(".wf-row[aria-level='2']").first).to_be_visible()
        page.keyboard.press("ArrowRight")
        expect(page.locator(f"{CHOSEN}[aria-level='2']")).to_have_count(1)
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        expect(named(page, "fetch_page")).to_have_count(1)


def test_failures_are_found_by_keys(site: Site, browser: Browser, failed: str) -> None:
    """Keys n and p go through what fails, g to the root cause; what was recovered says so."""
    with watched(browser, site.url) as here:
        page = opened(here, failed)
        page.keyboard.press("n")
        expect(chosen(page)).to_have_text("lookup")
        expect(page.locator(f"{CHOSEN} .mark-recovered")).to_have_count(1)
        page.keyboard.press("n")
        expect(chosen(page)).to_have_text("refund")
        page.keyboard.press("p")
        expect(chosen(page)).to_have_text("lookup")
        page.keyboard.press("g")
        expect(chosen(page)).to_have_text("refund")
        expect(page.locator(f"{CHOSEN} .mark-root")).to_have_count(1)


def test_a_step_says_what_is_known_of_it(site: Site, browser: Browser, failed: str) -> None:
    """Its figures at once, its failure with the rule and the evidence, and its metadata as it was sent."""
    with watched(browser, site.url) as here:
        page = opened(here, failed)
        page.keyboard.press("g")
        detail = page.get_by_label("Chosen step")
        for words in ("refund", "50 ms", "tool \u00b7 timeout", "class.timeout", "ReadTimeout", "amount_cents", "1,250"):
            expect(detail).to_contain_text(words)
        detail.get_by_role("link", name="others like it").click()
        expect(page.locator("h1")).to_have_text("tool \u00b7 timeout")


def test_a_link_opens_at_its_step(site: Site, browser: Browser, failed: str) -> None:
    """Also one inside of folded repeats; the address follows what is chosen, and back leaves the run."""
    step = site.get(f"/v1/runs/{failed}/steps")["steps"][20]  # type: ignore[index]
    with watched(browser, site.url) as here:
        page = opened(here, failed, f"?step={step['step_id']}")
        expect(chosen(page)).to_have_text("fetch_page")
        page.keyboard.press("g")
        wait(page, f"!location.search.includes('{step['step_id']}') && location.search.includes('step=')")
        page.reload()
        expect(chosen(page)).to_have_text("refund")


def test_idle_gaps_are_squeezed(site: Site, browser: Browser, failed: str) -> None:
    """Ten minutes without a step take almost no room, and the axis marks them."""
    with watched(browser, site.url) as here:
        page = opened(here, failed)
        width = "document.querySelector('.bar.ghost').getBoundingClientRect().width"
        before = page.evaluate(width)
        page.keyboard.press(".")
        expect(page.locator(".wf-gap-mark")).to_have_count(1)
        wait(page, f"{width} > 20 * {before}")


def test_depth_keys_fold(site: Site, browser: Browser, failed: str) -> None:
    """1 leaves the first level alone, 0 everything."""
    with watched(browser, site.url) as here:
        page = opened(here, failed, "?step=nothing")
        page.keyboard.press("n")
        page.keyboard.press("1")
        expect(page.locator(".wf-row[aria-level='2']")).to_have_count(0)
        page.keyboard.press("0")
        expect(page.locator(".wf-row")).to_have_count(5)


def test_the_map_leads_anywhere(site: Site, browser: Browser, failed: str) -> None:
    """A click goes to the step that stands there, a drag looks closer, z shows the whole again."""
    with watched(browser, site.url) as here:
        page = opened(here, failed)
        drawn = page.locator(".wf-map")
        box = drawn.bounding_box()
        assert box is not None
        drawn.click(position={"x": box["width"] - 2, "y": box["height"] - 2})
        expect(chosen(page)).to_have_text("refund")
        fit = page.get_by_role("button", name="fit")
        expect(fit).to_be_disabled()
        page.mouse.move(box["x"] + 5, box["y"] + 5)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5, steps=3)
        page.mouse.up()
        expect(fit).to_be_enabled()
        page.keyboard.press("z")
        expect(fit).to_be_disabled()


def test_j_and_k_go_through_the_list(site: Site, browser: Browser) -> None:
    """The list that the run was opened from, with its filters; the way back leads there."""
    with watched(browser, site.url) as here:
        page = here.open("/runs?agent_id=triage-agent")
        expected = [run["run_id"] for run in site.runs("agent_id=triage-agent&limit=3")]
        page.locator("a.row-link").first.click()
        page.wait_for_selector(".neighbours")
        seen = []
        for key in ("", "j", "j", "k"):
            if key:
                before = page.url
                page.keyboard.press(key)
                wait(page, f"location.href !== {before!r}")
            page.wait_for_selector(".neighbours")
            seen.append(page.url.split("/runs/")[1][:36])
        assert seen == [*expected, expected[1]]
        page.locator(".neighbours a", has_text="list").click()
        page.wait_for_selector("a.row-link")
        assert "agent_id=triage-agent" in page.url
