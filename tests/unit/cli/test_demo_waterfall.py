"""One run drawn as a waterfall."""

import pytest

from agenttracer_cli.demo.testing import a_failure, a_run, a_step
from agenttracer_cli.demo.waterfall import bar, lines_of, waterfall


def test_children_stand_under_their_parent_in_the_order_of_the_api() -> None:
    """Also when steps of different parents took turns."""
    steps = [a_step("a"), a_step("b"), a_step("a1", parent="a"), a_step("b1", parent="b"), a_step("a2", parent="a")]
    assert [(line.step["step_id"], line.depth) for line in lines_of(steps, [])] == [
        ("a", 0),
        ("a1", 1),
        ("a2", 1),
        ("b", 0),
        ("b1", 1),
    ]


def test_a_step_whose_parent_did_not_arrive_is_shown_all_the_same() -> None:
    """At the top, since nothing is known of what it was nested in."""
    assert [line.depth for line in lines_of([a_step("a", parent="lost"), a_step("b", parent="a")], [])] == [0, 1]


@pytest.mark.parametrize(
    ("offset_ms", "latency_ms", "drawn"),
    [
        (0, 100, "██████████"),
        (50, 20, "     ██"),
        (20, 0, "  █"),  # too short to see, and seen
        (100, 0, "         █"),  # at the very end
        (-30, 50, "██"),  # clocks disagree
        (80, 500, "        ██"),  # went on after its run
    ],
)
def test_a_bar_is_never_empty_and_never_too_long(offset_ms: float, latency_ms: float, drawn: str) -> None:
    """Whatever the clocks say."""
    assert bar(offset_ms, latency_ms, total_ms=100, width=10) == drawn


def test_a_run_without_any_duration_can_be_drawn() -> None:
    """Its steps took no measurable time."""
    assert bar(0, 0, total_ms=0, width=10) == "█"


def test_a_failure_stands_under_its_step_and_a_runs_own_failure_at_the_end() -> None:
    """With its type, its code and the class of the error, or else the rule that found it."""
    steps = [
        a_step("outer", status="error", cause="inner"),
        a_step("inner", parent="outer", status="error", attempt=2, offset_ms=5),
    ]
    failures = [a_failure(step_id="inner"), a_failure("too_many_turns", error_class=None)]
    lines = waterfall(a_run(status="failure"), steps, failures, width=80).plain.splitlines()
    assert lines[1].startswith("↑ tool outer ")
    assert lines[2].startswith("✗   tool inner (attempt 2) ")
    assert lines[3] == "    └ tool timeout (TimeoutError)"
    assert lines[4] == "✗ the run itself: tool too_many_turns (rule class.too_many_turns)"


def test_no_line_is_wider_than_asked_for() -> None:
    """Long names are clipped."""
    step = a_step("n" * 64, attempt=3, latency_ms=100)
    drawing = waterfall(a_run(), [step], [], width=100).plain
    assert [len(line) for line in drawing.splitlines()] == [100, 100]
    assert "…" in drawing


def test_a_run_that_never_ended_is_drawn_as_far_as_it_went() -> None:
    """Its last step ends the time axis."""
    drawing = waterfall(a_run(status="abandoned", latency_ms=None), [a_step("a", offset_ms=30, latency_ms=12)], [], width=100)
    assert drawing.plain.splitlines()[0].endswith("42 ms")
