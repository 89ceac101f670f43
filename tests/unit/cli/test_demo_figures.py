"""The demo's figures, and what they call missing."""

import json
from dataclasses import replace
from pathlib import Path

from agenttracer_cli.demo.examples import SentCounts
from agenttracer_cli.demo.figures import Figures, figures_of, write_figures
from agenttracer_cli.demo.progress import SendProgress
from agenttracer_cli.demo.testing import a_failure, a_run

PROGRESS = SendProgress(
    sent=SentCounts(run_ids=frozenset({"r1", "r2"}), emitted=6, accepted=6),
    runs=[a_run("r1"), a_run("r2", status="failure", code="timeout")],
    first_visible_s=0.204,
    all_visible_s=1.0,
    settled=True,
)


def of(progress: SendProgress, *, expected: set[str] | None = None, problems: tuple[str, ...] = ()) -> Figures:
    return figures_of(progress, [a_failure(), a_failure("auth")], expected=expected or {"timeout"}, problems=problems)


def test_figures_count_what_was_read_back(tmp_path: Path) -> None:
    """And the file holds them, with failures by code and by type."""
    file = tmp_path / "build" / "demo.json"
    write_figures(file, of(PROGRESS))
    assert json.loads(file.read_text()) == {
        "runs": 2,
        "runs_started": 2,
        "emitted": 6,
        "accepted": 6,
        "dropped": 0,
        "stored": 6,
        "seconds_to_first_visible": 0.2,
        "seconds_to_visible": 1.0,
        "runs_by_status": {"failure": 1, "success": 1},
        "failures": {"auth": 1, "timeout": 1},
        "failures_by_type": {"tool": 2},
        "failures_expected": ["timeout"],
        "missing": [],
    }


def test_an_accepted_event_that_is_not_stored_is_missing() -> None:
    """So is a run of which nothing arrived."""
    progress = replace(PROGRESS, runs=[a_run("r1")])
    assert of(progress).missing == ["6 events were accepted and 3 are stored", "2 runs were started and 1 are visible"]


def test_more_stored_than_accepted_is_no_success_either() -> None:
    """Something counted wrongly, or somebody else spoke for these runs."""
    assert of(replace(PROGRESS, runs=[a_run("r1"), a_run("r2", stored=4)])).missing == ["6 events were accepted and 7 are stored"]


def test_a_provoked_class_that_was_not_found_is_missing() -> None:
    """By name."""
    assert of(PROGRESS, expected={"timeout", "abandoned"}).missing == ["failure class abandoned was provoked and not found"]


def test_nothing_accepted_is_no_success() -> None:
    """Although nothing equals nothing."""
    (line,) = of(SendProgress()).missing
    assert "nothing was accepted" in line


def test_events_that_the_sdk_dropped_are_missing() -> None:
    """The demo shows a pipeline without loss."""
    sent = replace(PROGRESS.sent, emitted=8, dropped=2)
    assert of(replace(PROGRESS, sent=sent)).missing == ["2 of 8 events were dropped by the SDK before they were accepted"]


def test_an_example_that_broke_is_missing() -> None:
    """The rest is shown all the same."""
    assert of(PROGRESS, problems=("example fleet.py ended with OSError",)).missing == ["example fleet.py ended with OSError"]
