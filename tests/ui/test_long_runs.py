"""Runs of 10,000 and of 100,000 steps: few rows are mounted, and keys and map reach all. How fast is no matter of these tests."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import long_run
from tests.support.browser import watched
from tests.ui.conftest import Site

STEPS = 10_000
ROWS_MOST = 80
FAILING = 40
"""Every so many steps fails: more than are diagnosed."""


@pytest.fixture(scope="module")
def long(site: Site) -> str:
    """In the topic, as a fleet would send it."""
    run_id = next(long_run.run_ids())
    events = [
        long_run.start(run_id),
        *long_run.steps(STEPS, failing=FAILING, run_id=run_id),
        long_run.end(STEPS, run_id),
    ]
    site.pipeline.produce(list(long_run.records(events, flush=2_000)))
    site.await_run(run_id)
    site.await_steps(run_id, STEPS)
    return run_id


def test_a_run_of_ten_thousand_steps(site: Site, browser: Browser, long: str) -> None:
    """Fewer than 80 rows are in the document, wherever one is; the last failure is reached; what is not judged says so."""
    with watched(browser, site.url) as here:
        page = here.open(f"/runs/{long}")
        expect(page.locator(".tools")).to_contain_text(f"{STEPS // FAILING} failing")
        expect(page.locator("main")).to_contain_text("first 1,000 steps")
        walk(page, failing=STEPS // FAILING)


def test_a_run_of_a_hundred_thousand_steps(site: Site, browser: Browser, long: str) -> None:
    """The same of ten times as many, which are answered to the page here: what it does with them is the same."""
    tree = tenfold(site.get(f"/v1/runs/{long}/tree"))
    with watched(browser, site.url) as here:
        here.context.route("**/tree", lambda route: route.fulfill(json=tree))
        page = here.open(f"/runs/{long}")
        expect(page.locator(".tools")).to_contain_text("2,500 failing")
        walk(page, failing=2_500)


def walk(page: Page, *, failing: int) -> None:
    """To the end, to the last failure and the one before, by the map to the middle, and back to the start."""
    chosen = page.locator(".wf-row.chosen")
    assert page.locator(".wf-row").count() < ROWS_MOST
    page.keyboard.press("0")
    page.keyboard.press("End")
    expect(chosen).to_be_visible()
    assert page.locator(".wf-row").count() < ROWS_MOST
    page.keyboard.press("p")
    expect(page.locator(".tools")).to_contain_text(re.compile(rf"failure [\d,]+ of {failing:,}"))
    expect(chosen.locator(".mark-unjudged")).to_be_visible()
    page.keyboard.press("p")
    expect(chosen.locator(".mark-unjudged")).to_be_visible()
    drawn = page.locator(".wf-map")
    box = drawn.bounding_box()
    assert box is not None
    drawn.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    expect(page.locator(".tools")).to_contain_text(f"{failing:,} failing")
    expect(chosen).to_be_visible()
    page.keyboard.press("Home")
    expect(page.locator("#wf-0.chosen")).to_be_visible()
    assert page.locator(".wf-row").count() < ROWS_MOST


def tenfold(tree: dict[str, Any]) -> dict[str, Any]:
    """Ten times its steps and failures, one copy after the other."""
    size, failures, took = len(tree["steps"]["id"]), len(tree["failures"]["id"]), STEPS * long_run.EVERY_US

    def times(columns: dict[str, list[Any]], by: dict[str, int]) -> dict[str, list[Any]]:
        def again(name: str, value: Any, copy: int) -> Any:
            if name == "id":
                return f"{copy}{value[1:]}"
            return value + copy * by[name] if name in by and value != -1 else value

        return {name: [again(name, value, copy) for copy in range(10) for value in column] for name, column in columns.items()}

    steps = times(tree["steps"], {"parent": size, "cause": size, "start_us": took})
    found = times(tree["failures"], {"step": size, "caused_by": failures, "at_us": took})
    return {**tree, "steps": steps, "failures": found, "steps_total": 10 * size}
