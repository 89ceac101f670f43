"""A run with agents inside: one waterfall, in which each stands where it was started."""

import time
import uuid
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, expect

from agenttracer.wire.envelope import VERSION, Producer, Record
from agenttracer.wire.events import Event, RunFinished, RunStarted, StepFinished
from agenttracer.wire.vocabulary import RunEnd, StepKind, StepStatus
from tests.support.browser import wait, watched
from tests.support.long_run import TIMEOUT
from tests.ui.conftest import Site

SECOND = 1_000_000
NAMES = ("plan", "delegate", "search-agent", "lookup", "pay-agent", "charge", "answer")
LEVELS = ("1", "1", "2", "3", "3", "4", "1")


@dataclass(frozen=True)
class Nested:
    """The ids of a run, of the agent that it started in its second step, and of the one that this one started somewhere."""

    top: str
    inner: str
    deep: str


def step(run_id: str, number: int, name: str, *, at: int, failed: bool = False) -> StepFinished:
    return StepFinished(
        run_id=run_id,
        seq=number,
        step_id=f"{number:016x}",
        kind=StepKind.TOOL,
        name=name,
        started_at=at,
        duration_us=SECOND // 2,
        status=StepStatus.ERROR if failed else StepStatus.OK,
        evidence=TIMEOUT if failed else None,
    )


def record(agent: str, *events: Event) -> Record:
    producer = Producer(id=agent, agent=agent, agent_version="1")
    return Record(v=VERSION, project="default", producer=producer, received_at=int(time.time() * SECOND), events=events)


@pytest.fixture(scope="module")
def nested(site: Site) -> Nested:
    ids = Nested(*(str(uuid.uuid4()) for _ in range(3)))
    at = int(time.time() * SECOND) - 60 * SECOND
    start = RunStarted(run_id=ids.top, seq=0, started_at=at)
    inside = RunStarted(run_id=ids.inner, seq=0, started_at=at + SECOND, parent_run_id=ids.top, parent_step_id=f"{2:016x}")
    below = RunStarted(run_id=ids.deep, seq=0, started_at=at + 2 * SECOND, parent_run_id=ids.inner)

    def end(run_id: str, after_s: int, status: RunEnd, emitted: int) -> RunFinished:
        return RunFinished(run_id=run_id, seq=emitted - 1, ended_at=at + after_s * SECOND, status=status, emitted=emitted)

    site.pipeline.produce(
        [
            record(
                "top-agent",
                start,
                step(ids.top, 1, "plan", at=at),
                step(ids.top, 2, "delegate", at=at + SECOND),
                step(ids.top, 3, "answer", at=at + 4 * SECOND),
                end(ids.top, 5, RunEnd.SUCCESS, 5),
            ),
            record("search-agent", inside, step(ids.inner, 1, "lookup", at=at + SECOND), end(ids.inner, 3, RunEnd.SUCCESS, 3)),
            record(
                "pay-agent",
                below,
                step(ids.deep, 1, "charge", at=at + 2 * SECOND, failed=True),
                end(ids.deep, 3, RunEnd.FAILURE, 3),
            ),
        ]
    )
    for run_id, steps in ((ids.top, 3), (ids.inner, 1), (ids.deep, 1)):
        site.await_run(run_id)
        site.await_steps(run_id, steps)
    return ids


def test_agents_inside_stand_where_they_were_started(site: Site, browser: Browser, nested: Nested) -> None:
    """By ids alone, at any depth, with their status in words; what failed in them is reached by n and g."""
    with watched(browser, site.url) as here:
        page = here.open(f"/runs/{nested.top}")
        expect(page.locator(".wf-text")).to_have_text(NAMES)
        assert page.locator(".wf-row").evaluate_all("rows => rows.map(row => row.ariaLevel)") == list(LEVELS)
        row = page.locator(".wf-row", has_text="pay-agent")
        expect(row).to_contain_text("failure")
        expect(page.locator(".facts")).to_contain_text("agents inside")
        page.keyboard.press("n")
        expect(page.locator(".wf-row.chosen .wf-text")).to_have_text("charge")
        expect(page.locator(".wf-row.chosen .mark-root")).to_have_count(1)
        assert here.violations(page) == []
        row.click()
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".wf-row")).to_have_count(len(NAMES) - 1)
        page.get_by_role("link", name="open as a run of its own").click()
        wait(page, f"location.pathname === '/runs/{nested.deep}'")
        page.get_by_role("link", name=f"run {nested.inner[:8]}").click()
        wait(page, f"location.pathname === '/runs/{nested.inner}'")
        expect(page.locator(".wf-text")).to_have_text(NAMES[3:6])


def test_a_link_opens_at_a_step_of_an_agent_inside(site: Site, browser: Browser, nested: Nested) -> None:
    """The step is asked for from the run that it is of."""
    with watched(browser, site.url) as here:
        page = here.open(f"/runs/{nested.top}")
        page.locator(".wf-row", has_text="charge").click()
        detail = page.get_by_label("Chosen step")
        expect(detail.get_by_role("link", name="pay-agent")).to_be_visible()
        expect(detail).to_contain_text("TimeoutError")
        wait(page, "location.search.includes('step=')")
        page.wait_for_load_state("networkidle")
        assert any(f"/v1/runs/{nested.deep}/steps/" in url for url in here.asked)


def test_the_graph_holds_the_agents_inside(site: Site, browser: Browser, nested: Nested) -> None:
    """As steps by the path of their names."""
    with watched(browser, site.url) as here:
        page = here.open(f"/runs/{nested.top}?tab=graph")
        for name in NAMES:
            expect(page.locator(".node", has_text=name)).to_have_count(1)
