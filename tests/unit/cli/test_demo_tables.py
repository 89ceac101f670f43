"""The demo's tables."""

import io

from rich.console import Console
from rich.table import Table

from agenttracer_cli.demo.tables import agent_table, failure_table, one_of_each, run_table, step_table
from agenttracer_cli.demo.testing import a_failure, a_run, agent_stats, step_stats


def lines(table: Table) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=100).print(table)
    return [" ".join(line.split()) for line in file.getvalue().splitlines()]


def test_of_many_runs_the_newest_of_each_outcome_is_shown() -> None:
    """An outcome is the status and the failure that a run is known by."""
    runs = [
        a_run("5"),
        a_run("4", status="failure", code="timeout"),
        a_run("3"),
        a_run("2", status="success", code="timeout"),
        a_run("1", status="failure", code="timeout"),
    ]
    assert [run["run_id"] for run in one_of_each(runs)] == ["5", "4", "2"]


def test_a_run_without_an_end_has_no_latency() -> None:
    """Its field is empty, not zero."""
    table = run_table([a_run(), a_run("r2", status="abandoned", code="abandoned", latency_ms=None)])
    assert lines(table)[1:] == ["r1 agent 1 success 100", "r2 agent 1 abandoned abandoned"]


def test_a_full_run_id_fits_a_hundred_columns() -> None:
    """With the longest of everything that the examples have, so that it can be copied."""
    run = a_run("01a209f3-2e3b-7b88-b358-07843e893243", status="abandoned", code="unhandled_exception", latency_ms=12_345)
    run["agent_id"], run["agent_version"] = "research-agent", "0.9.2"
    assert len(lines(run_table([run]))) == 2


def test_failures_are_counted_by_class_most_frequent_first() -> None:
    """With the rules that found them, and a line for every class that was provoked and not found."""
    failures = [a_failure("auth"), a_failure("timeout"), a_failure("timeout")]
    assert lines(failure_table(failures, expected={"timeout", "cancelled"}))[1:] == [
        "tool timeout 2 class.timeout",
        "tool auth 1 class.auth",
        "cancelled 0 provoked and not found",
    ]


def test_steps_name_their_agent_where_it_changes() -> None:
    """And show errors as a share of their count."""
    step = step_stats()
    assert lines(step_table([step, step, step_stats(version="2")]))[1:] == [
        "a 1 tool search 8 25.0% 1.0 2.0 3.0",
        "tool search 8 25.0% 1.0 2.0 3.0",
        "a 2 tool search 8 25.0% 1.0 2.0 3.0",
    ]


def test_an_agent_whose_runs_are_all_running_has_no_failure_rate() -> None:
    """Nor percentiles."""
    assert lines(agent_table([agent_stats()]))[1:] == ["a 1 2"]
