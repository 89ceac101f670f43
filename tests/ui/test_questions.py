"""What somebody wants to know who sees the demo's week for the first time: each answer from the first page in five clicks."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser import settle, watched
from tests.ui.conftest import SESSION, Site

CLICKS_MOST = 5


@dataclass
class Visitor:
    """Somebody with a mouse, on the page that `demo --keep` names."""

    page: Page
    clicks: int = 0

    def click(self, *names: str) -> None:
        """Links and buttons, by what is written on them."""
        for name in names:
            self.to(self.page.locator("a:visible, button:visible", has_text=re.compile(rf"^{re.escape(name)}$")).first)

    def to(self, place: Locator) -> None:
        self.clicks += 1
        assert self.clicks <= CLICKS_MOST
        place.click()

    def choose(self, label: str, option: str) -> None:
        """Of a list: a click to open it, one to choose."""
        self.clicks += 2
        assert self.clicks <= CLICKS_MOST
        named = self.page.locator("span", has_text=re.compile(f"^{label}$"))
        self.page.locator("label", has=named).locator("select").select_option(option)

    def sees(self, *words: str, where: str = "main") -> None:
        for each in words:
            expect(self.page.locator(where).first).to_contain_text(each)

    def row(self, *words: str) -> Locator:
        """The first row that says all of this."""
        found = self.page.locator("tbody tr")
        for each in words:
            found = found.filter(has_text=each)
        return found.first


@contextmanager
def visitor(site: Site, browser: Browser) -> Iterator[Visitor]:
    with watched(browser, site.url) as here:
        yield Visitor(here.open("/"))


def test_which_version_got_worse_and_why(site: Site, browser: Browser) -> None:
    """The newest version of orders-agent, and of its steps the refund service fails more."""
    with visitor(site, browser) as who:
        who.click("7d")
        who.sees("orders-agent", "2.3.1 \u2192 2.4.0", where=".changes li")
        who.to(who.page.locator(".changes li a").first)
        expect(who.row("refund_api", "error rate")).to_contain_text("worse")


def test_the_root_cause_of_a_failed_run(site: Site, browser: Browser) -> None:
    """Of any failed run: in its head, and a click away in its waterfall."""
    with visitor(site, browser) as who:
        who.click("Runs")
        who.choose("status", "failure")
        settle(who.page)
        who.to(who.row("orders-agent", "timeout").locator("a.row-link"))
        who.to(who.page.get_by_role("button", name="\u25c6 root cause"))
        expect(who.page.locator(".wf-row.chosen .mark-root")).to_be_visible()
        who.sees("root cause", "rule", where=".detail")


def test_the_slowest_tool_and_its_trend(site: Site, browser: Browser) -> None:
    """Tools of all agents by their p95, each with its course over the week."""
    with visitor(site, browser) as who:
        who.click("Agents", "tools alone")
        slowest = who.page.get_by_label("Steps and tools by version").locator("tbody tr").first
        expect(slowest).to_contain_text("refund_api")
        expect(slowest.locator("svg")).to_have_attribute("aria-label", re.compile(r"^From .+ to .+, at most .+"))


def test_tokens_of_each_model_yesterday(site: Site, browser: Browser) -> None:
    """A whole day of the chosen zone, with its cost."""
    with visitor(site, browser) as who:
        who.click("yesterday")
        for model in ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4"):
            expect(who.row(model)).to_contain_text(re.compile(r"\d,\d{3}"))
        who.sees("list prices", "USD")


def test_what_the_slow_runs_share(site: Site, browser: Browser) -> None:
    """Dragged over the top of the heatmap, and explained."""
    with visitor(site, browser) as who:
        who.click("7d", "Runs")
        drawn = who.page.locator(".heatmap canvas")
        box = drawn.bounding_box()
        assert box is not None
        who.clicks += 1
        drawn.drag_to(drawn, source_position={"x": 2, "y": 2}, target_position={"x": box["width"] - 3, "y": 20})
        who.click("explain")
        expect(who.row("reader-agent", "points")).to_be_visible()


def test_is_anything_missing(site: Site, browser: Browser) -> None:
    """Until when all is there, and what was lost by whom."""
    with visitor(site, browser) as who:
        who.click("Trust")
        who.sees("complete to", "with losses", "without a reason")
        expect(who.row("chat-agent")).to_contain_text("1 lost")


def test_what_fails_most_and_since_when(site: Site, browser: Browser) -> None:
    """Kinds of failure, the most frequent first; each says when it was seen first and last, and in how much of each version."""
    with visitor(site, browser) as who:
        who.click("7d", "Failures")
        who.to(who.page.locator("tbody tr a").first)
        who.sees("first seen", "last seen")
        expect(who.page.get_by_role("region", name="By version").locator("tbody tr").first).to_contain_text("%")


def test_is_a_failure_made_good(site: Site, browser: Browser) -> None:
    """How many of a kind were recovered from."""
    with visitor(site, browser) as who:
        who.click("7d", "Failures")
        who.choose("outcome", "recovered")
        expect(who.row("rate_limited")).to_contain_text("lookup_order")


def test_did_the_release_make_runs_slower(site: Site, browser: Browser) -> None:
    """The reader's newer version beside the one before it."""
    with visitor(site, browser) as who:
        who.click("Agents", "reader-agent")
        who.to(who.page.get_by_role("link", name="compare 0.5.0"))
        expect(who.row("latency, p50")).to_contain_text("worse")


def test_which_step_fails_most(site: Site, browser: Browser) -> None:
    """Of one agent."""
    with visitor(site, browser) as who:
        who.click("Agents", "reader-agent", "most errors")
        expect(who.page.get_by_label("Steps and tools by version").locator("tbody tr").first).to_contain_text("fetch_page")


def test_what_happened_in_one_conversation(site: Site, browser: Browser) -> None:
    """Its runs in order."""
    with visitor(site, browser) as who:
        who.click("Sessions", SESSION[:8])
        expect(who.page.locator("a.row-link")).to_have_count(2)


def test_which_other_runs_took_the_same_path(site: Site, browser: Browser) -> None:
    """From a run to those of its shape."""
    with visitor(site, browser) as who:
        who.click("Runs")
        who.to(who.page.locator("tbody tr", has_text="triage-agent").locator("a.row-link").first)
        who.to(who.page.get_by_title("Runs that took the same path"))
        expect(who.row("triage-agent")).to_be_visible()


def test_how_many_runs_there_were_on_each_day(site: Site, browser: Browser) -> None:
    """The week has seven days, and each of them has runs."""
    with visitor(site, browser) as who:
        who.click("7d")
        settle(who.page)
        runs = who.page.locator("figure.chart").first
        who.to(runs.locator("summary"))
        days = {text[:6] for text in runs.locator("tbody tr td:first-child").all_inner_texts()}
        assert len(days) >= 7


def test_all_of_it_as_a_file(site: Site, browser: Browser) -> None:
    """The runs of the filters that are shown, as CSV."""
    with visitor(site, browser) as who:
        who.click("7d", "Runs")
        with who.page.expect_download() as caught:
            who.click("CSV")
        lines = caught.value.path().read_text().splitlines()
        assert lines[0].startswith("run_id,agent_id")
        assert len(lines) > 1_000
