"""The demo from its first event to its exit code: send, wait, read back, show, write the figures, judge."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rich.console import Console

from deploy.demo import screen
from deploy.demo.answers import Failure, Run
from deploy.demo.arrival import Arrival, await_arrival
from deploy.demo.examples import Sending
from deploy.demo.figures import Figures, figures_of, write_figures
from deploy.demo.query_api import QueryApi
from deploy.demo.tables import agent_table, failure_table, one_of_each, run_table, step_table
from deploy.demo.waterfall import waterfall
from deploy.endpoints import PipelineEndpoints

FIGURES_FILE: Final = Path(__file__).resolve().parents[2] / "build" / "demo.json"
_MISSING: Final = 1


def run_demo(endpoints: PipelineEndpoints, *, figures_file: Path = FIGURES_FILE) -> int:
    """Give 0 if all that was accepted is stored and every provoked class of failure was found, else 1.

    Raises DeployError when the examples are not here, or the query service goes away while it is read back.
    """
    console, api = screen.new_console(), QueryApi(endpoints.query_url)
    sending, since = Sending(endpoints.gateway_url), datetime.now(UTC)
    console.print("\n[bold]Sending the runs of sdk/examples[/bold]  [dim]seconds count from here[/dim]")
    with screen.watching(console) as watch:
        arrival = await_arrival(sending, api, since=since - timedelta(seconds=1), show=watch)
    failures = _failures(api, arrival.runs)
    figures = figures_of(arrival, failures, expected=sending.expected, troubles=_troubles(sending))
    write_figures(figures_file, figures)
    _show(console, api, arrival=arrival, failures=failures, figures=figures, since=since)
    screen.show_verdict(console, figures, where=str(figures_file))
    return _MISSING if figures.missing else 0


def _failures(api: QueryApi, runs: Sequence[Run]) -> list[Failure]:
    return [failure for run in runs if run["failure_count"] for failure in api.failures(run["run_id"])]


def _troubles(sending: Sending) -> list[str]:
    return [*sending.troubles, *(["the examples did not come to their end in time"] if sending.running else [])]


def _show(
    console: Console, api: QueryApi, *, arrival: Arrival, failures: Sequence[Failure], figures: Figures, since: datetime
) -> None:
    chosen = one_of_each(arrival.runs)
    statuses = ", ".join(f"{count} {status}" for status, count in figures.runs_by_status.items())
    note = f"{len(chosen)} of {len(arrival.runs)}: the newest of each outcome ({statuses})"
    screen.show_section(console, "Runs", run_table(chosen), note=note)
    _show_one_failed(console, api, arrival.runs)
    stats = api.stats(since=since, until=datetime.now(UTC))
    note = f"all runs from {stats['window']['since']} to {stats['window']['until']}"
    screen.show_section(console, "Agents", agent_table(stats["agents"]), note=note)
    screen.show_section(console, "Steps", step_table(stats["steps"]))
    screen.show_section(console, "Failures by class", failure_table(failures, expected=figures.failures_expected))


def _show_one_failed(console: Console, api: QueryApi, runs: Sequence[Run]) -> None:
    """The one with the most errors: there a failure has passed through the steps around it."""
    failed = [run for run in runs if run["status"] == "failure"]
    if not failed:
        return
    run = max(failed, key=lambda one: (one["error_step_count"], one["step_count"]))
    table = waterfall(run, api.steps(run["run_id"]), api.failures(run["run_id"]), width=console.width)
    screen.show_section(console, "One failed run", table, note=f"{api.url}/v1/runs/{run['run_id']}")
