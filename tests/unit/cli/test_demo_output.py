"""What the demo prints, in a terminal and in a log."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from agenttracer_cli.demo import output
from agenttracer_cli.demo.examples import SentCounts
from agenttracer_cli.demo.figures import Figures, figures_of
from agenttracer_cli.demo.progress import SendProgress
from agenttracer_cli.demo.testing import a_failure, a_run

PROGRESS = SendProgress(
    sent=SentCounts(run_ids=frozenset({"r1"}), emitted=3, accepted=3), runs=[a_run("r1")], first_visible_s=0.2
)


def figures(progress: SendProgress) -> Figures:
    return figures_of(progress, [a_failure()], expected={"timeout"}, problems=())


@pytest.fixture
def file() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def console(file: io.StringIO) -> Console:
    """A log's."""
    return Console(file=file, highlight=False, width=output.WIDTH)


def test_a_log_gets_lines_and_no_control_characters(console: Console, file: io.StringIO) -> None:
    """Each turn of events once."""
    with output.progress_display(console) as display:
        display(PROGRESS)
        display(PROGRESS)
        display(replace(PROGRESS, all_visible_s=1.0))
    output.show_verdict(console, figures(replace(PROGRESS, all_visible_s=1.0)), where="build/demo.json")
    told = file.getvalue()
    assert told.count("the first run is visible") == 1
    assert "all 3 accepted events of 1 runs are visible" in told
    assert all(sign.isprintable() or sign == "\n" for sign in told)


def test_a_long_wait_is_not_silent(console: Console, file: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line comes even when nothing changes; why the query service does not answer is told there."""
    monkeypatch.setattr(output, "_LINE_EVERY_S", -1.0)
    with output.progress_display(console) as display:
        display(PROGRESS)
        display(replace(PROGRESS, query_error="no answer"))
    assert "3 events accepted, 3 visible" in file.getvalue()
    assert "no answer" in file.getvalue()


def test_the_verdict_says_equal_only_when_it_is(console: Console, file: io.StringIO) -> None:
    """And names what is missing."""
    output.show_verdict(console, figures(replace(PROGRESS, all_visible_s=1.0)), where="f")
    assert "3 accepted = 3 stored  (1 runs; the first run visible after 0.2 s, all after 1.0 s)" in file.getvalue()
    output.show_verdict(console, figures(replace(PROGRESS, runs=[a_run("r1", stored=2)])), where="f")
    assert "3 accepted ≠ 2 stored" in file.getvalue()
    assert "missing: 3 events were accepted and 2 are stored" in file.getvalue()
