"""`agenttracer runs`, `show`, `failures` and `stats`: the query API in a terminal."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from agenttracer_cli.demo.output import new_console, show_section
from agenttracer_cli.demo.tables import agent_table, run_table, step_table
from agenttracer_cli.demo.waterfall import waterfall
from agenttracer_cli.errors import SettingsError
from agenttracer_cli.options import StateDir
from agenttracer_cli.outcome import EXIT_COULD_NOT
from agenttracer_cli.output import note, show_error
from agenttracer_cli.reading.options import Agent, AgentVersion, AsJson, Key, Since, Until, Url, print_json, query_api, time_of
from agenttracer_cli.reading.tables import group_table
from query_service.prices.table import SHIPPED, BadPricesError, read_prices

_RUNS_MOST = 500


class ExportForm(StrEnum):
    """How runs are written."""

    CSV = "csv"
    JSONL = "jsonl"


_GROUPS_MOST = 200


def runs(
    *,
    agent: Agent = None,
    agent_version: AgentVersion = None,
    status: Annotated[str | None, typer.Option(metavar="STATUS", help="running, success, partial, failure or abandoned.")] = None,
    failure_code: Annotated[str | None, typer.Option(metavar="CODE", help="Only runs with such a failure.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=_RUNS_MOST, metavar="N", help="The newest so many.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
    state_dir: StateDir,
) -> None:
    """List runs, newest first."""
    found = query_api(url, key, state_dir).get(
        "/v1/runs",
        agent_id=agent,
        agent_version=agent_version,
        status=status,
        failure_code=failure_code,
        since=time_of(since, option="--since"),
        until=time_of(until, option="--until"),
        limit=limit,
    )
    if as_json:
        print_json(found)
        return
    more = "the newest; more with --limit" if found["next_cursor"] else f"{len(found['runs'])} in all"
    show_section(new_console(), "Runs", run_table(found["runs"]), note=more)


def show(
    run_id: Annotated[UUID, typer.Argument(metavar="RUN", help="The run's id, which is also its trace id.")],
    *,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
    state_dir: StateDir,
) -> None:
    """Draw one run: its steps on a common time axis, and what failed."""
    api = query_api(url, key, state_dir)
    run, steps, failures = api.get(f"/v1/runs/{run_id}"), api.steps(str(run_id)), api.failures(str(run_id))
    if as_json:
        print_json({"run": run, "steps": steps, "failures": failures})
        return
    console, complete = new_console(), run["completeness"]
    state = f"{complete['lost_events']} events lost" if complete["state"] == "lost" else complete["state"]
    about = f"{run['agent_id']} {run['agent_version']}, {run['status']}, {state}"
    show_section(console, str(run_id), waterfall(run, steps, failures, width=console.width), note=about)


def failures(
    *,
    agent: Agent = None,
    agent_version: AgentVersion = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=_GROUPS_MOST, metavar="N", help="The most frequent so many.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
    state_dir: StateDir,
) -> None:
    """List kinds of failure, the most frequent first: by default of the last day."""
    found = query_api(url, key, state_dir).get(
        "/v1/failures",
        agent_id=agent,
        agent_version=agent_version,
        since=time_of(since, option="--since"),
        until=time_of(until, option="--until"),
        limit=limit,
    )
    if as_json:
        print_json(found)
        return
    window = found["window"]
    about = f"from {window['since']} to {window['until']}"
    show_section(new_console(), "Failures", group_table(found["groups"], since=window["since"]), note=about)


def stats(
    *,
    agent: Agent = None,
    agent_version: AgentVersion = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
    state_dir: StateDir,
) -> None:
    """Show rates and latencies of agents and steps: by default of the last hour."""
    found = query_api(url, key, state_dir).get(
        "/v1/stats",
        agent_id=agent,
        agent_version=agent_version,
        since=time_of(since, option="--since"),
        until=time_of(until, option="--until"),
    )
    if as_json:
        print_json(found)
        return
    console, window = new_console(), found["window"]
    show_section(console, "Agents", agent_table(found["agents"]), note=f"from {window['since']} to {window['until']}")
    show_section(console, "Steps", step_table(found["steps"]))


def export(
    *,
    agent: Agent = None,
    agent_version: AgentVersion = None,
    status: Annotated[str | None, typer.Option(metavar="STATUS", help="running, success, partial, failure or abandoned.")] = None,
    failure_code: Annotated[str | None, typer.Option(metavar="CODE", help="Only runs with such a failure.")] = None,
    since: Since = None,
    until: Until = None,
    form: Annotated[ExportForm, typer.Option("--format", help="CSV, or runs as JSON, one a line.")] = ExportForm.CSV,
    to: Annotated[Path | None, typer.Option(metavar="FILE", show_default="standard output", help="Where it is written.")] = None,
    url: Url = None,
    key: Key = None,
    state_dir: StateDir,
) -> None:
    """Write runs to a file, newest first."""
    wanted = {
        "agent_id": agent,
        "agent_version": agent_version,
        "status": status,
        "failure_code": failure_code,
        "since": time_of(since, option="--since"),
        "until": time_of(until, option="--until"),
        "format": form.value,
    }
    api = query_api(url, key, state_dir)
    if to is None:
        api.download("/v1/export", into=typer.get_binary_stream("stdout"), **wanted)
        return
    try:
        file = to.open("wb")
    except OSError as error:
        raise SettingsError(f"--to cannot be written ({type(error).__name__})") from None
    with file:
        api.download("/v1/export", into=file, **wanted)


def prices(
    *,
    check: Annotated[Path | None, typer.Option(metavar="FILE", help="Look whether this file can take its place.")] = None,
) -> None:
    """Print the table of model prices that ships, for a file of your own: AGENTTRACER_QUERY_PRICES_FILE."""
    try:
        table = read_prices(check or SHIPPED)
    except (OSError, BadPricesError) as error:
        show_error(str(error) if isinstance(error, BadPricesError) else "the file cannot be read")
        raise typer.Exit(EXIT_COULD_NOT) from None
    if check is None:
        typer.echo(SHIPPED.read_text(encoding="utf-8"), nl=False)
    else:
        note(f"version {table.version}: prices of {len(table.per_million_tokens)} models")
