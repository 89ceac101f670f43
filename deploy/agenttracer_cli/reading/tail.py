"""`agenttracer tail`: runs as they start and finish, until Ctrl-C."""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import typer
from rich.text import Text

from agenttracer_cli.demo.errors import QueryApiError
from agenttracer_cli.demo.output import new_console
from agenttracer_cli.demo.query_api import QueryApi
from agenttracer_cli.options import StateDir
from agenttracer_cli.output import note
from agenttracer_cli.reading.options import Agent, AgentVersion, AsJson, Filters, Key, Url, filters_of, query_api

_AGAIN_S: Final = 2.0
_COLOURS: Final = {"success": "green", "failure": "red", "abandoned": "red", "partial": "yellow", "running": "cyan"}


def tail(
    filters: Filters = None,
    *,
    agent: Agent = None,
    agent_version: AgentVersion = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
    state_dir: StateDir,
) -> None:
    """Show runs as they start and finish, until Ctrl-C. After a break it goes on where it was; --json prints a line for each."""
    api = query_api(url, key, state_dir)
    asked = filters_of(filters, agent_id=agent, agent_version=agent_version)
    console = new_console()
    for kind, said in _events(api, asked):
        if kind == "dropped":
            note(f"{said['dropped']} runs were too many to show")
        elif kind == "run" and as_json:
            typer.echo(json.dumps(said))
        elif kind == "run":
            console.print(_line(said))


def _events(api: QueryApi, asked: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Events of one tail after the other. Raises QueryApiError where the first cannot be had."""
    resume: dict[str, str] = {}
    while True:
        try:
            for event in api.events("/v1/tail", **asked, **resume):
                if event.id is not None:
                    resume = {"last_event_id": event.id}
                yield event.kind, json.loads(event.data)
        except QueryApiError as error:
            if not resume:
                raise
            note(f"{error}; trying again")
        time.sleep(_AGAIN_S)


def _line(run: Mapping[str, Any]) -> Text:
    failure = run["failure"]
    took = "" if run["latency_ms"] is None else f"  {run['latency_ms'] / 1000:,.2f} s"
    line = Text(datetime.fromisoformat(run["started_at"]).astimezone().strftime("%H:%M:%S"), style="dim")
    line.append(f"  {run['status']:<9}", style=_COLOURS.get(run["status"], ""))
    line.append(f"  {run['agent_id']} {run['agent_version']}{took}", style="default")
    if failure is not None:
        line.append(f"  {failure['failure_type']} {failure['failure_code']}", style="red")
    return line.append(f"  {run['run_id']}", style="dim")
