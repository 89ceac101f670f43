"""The demo: it sends, waits, reads back, prints, writes the figures and gives the exit code."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rich.console import Console

from agenttracer_cli.demo import output
from agenttracer_cli.demo.examples import ExampleRunner
from agenttracer_cli.demo.figures import Figures, figures_of, write_figures
from agenttracer_cli.demo.progress import SendProgress, await_visible
from agenttracer_cli.demo.query_api import QueryApi
from agenttracer_cli.demo.responses import FailureJson, RunJson
from agenttracer_cli.demo.tables import agent_table, failure_table, one_of_each, run_table, step_table
from agenttracer_cli.demo.waterfall import waterfall
from agenttracer_cli.local.endpoints import PipelineEndpoints

_MISSING: Final = 1


def run_demo(endpoints: PipelineEndpoints, *, figures_file: Path) -> int:
    """Give 0 if all that was accepted is stored and every provoked class of failure was found, else 1.

    Raises DeployError when the examples are not here, or the query service goes away while it is read back.
    """
    console, api = output.new_console(), QueryApi(endpoints.query_url)
    sending, since = ExampleRunner(endpoints.gateway_url), datetime.now(UTC)
    console.print("\n[bold]Sending the runs of the example agents[/bold]  [dim]seconds count from here[/dim]")
    with output.progress_display(console) as display:
        progress = await_visible(sending, api, since=since - timedelta(seconds=1), show=display)
    failures = _failures(api, progress.runs)
    figures = figures_of(progress, failures, expected=sending.expected, problems=_problems(sending))
    write_figures(figures_file, figures)
    _show(console, api, progress=progress, failures=failures, figures=figures, since=since)
    output.show_verdict(console, figures, where=str(figures_file))
    return _MISSING if figures.missing else 0


def _failures(api: QueryApi, runs: Sequence[RunJson]) -> list[FailureJson]:
    return [failure for run in runs if run["failure_count"] for failure in api.failures(run["run_id"])]


def _problems(sending: ExampleRunner) -> list[str]:
    return [*sending.problems, *(["the examples did not come to their end in time"] if sending.running else [])]


def _show(
    console: Console, api: QueryApi, *, progress: SendProgress, failures: Sequence[FailureJson], figures: Figures, since: datetime
) -> None:
    chosen = one_of_each(progress.runs)
    statuses = ", ".join(f"{count} {status}" for status, count in figures.runs_by_status.items())
    note = f"{len(chosen)} of {len(progress.runs)}: the newest of each outcome ({statuses})"
    output.show_section(console, "Runs", run_table(chosen), note=note)
    _show_one_failed(console, api, progress.runs)
    stats = api.stats(since=since, until=datetime.now(UTC))
    note = f"all runs from {stats['window']['since']} to {stats['window']['until']}"
    output.show_section(console, "Agents", agent_table(stats["agents"]), note=note)
    output.show_section(console, "Steps", step_table(stats["steps"]))
    output.show_section(console, "Failures by class", failure_table(failures, expected=figures.failures_expected))


def _show_one_failed(console: Console, api: QueryApi, runs: Sequence[RunJson]) -> None:
    """The one with the most errors: there a failure has passed through the steps around it."""
    failed = [run for run in runs if run["status"] == "failure"]
    if not failed:
        return
    run = max(failed, key=lambda one: (one["error_step_count"], one["step_count"]))
    table = waterfall(run, api.steps(run["run_id"]), api.failures(run["run_id"]), width=console.width)
    output.show_section(console, "One failed run", table, note=f"{api.url}/v1/runs/{run['run_id']}")
