"""`agenttracer explain`: what a selection of runs shares that the rest does not."""

from enum import StrEnum
from typing import Annotated

import typer

from agenttracer_cli.demo.output import new_console, show_section
from agenttracer_cli.options import StateDir
from agenttracer_cli.reading.options import (
    Agent,
    AgentVersion,
    AsJson,
    Filters,
    Key,
    Since,
    Until,
    Url,
    filters_of,
    print_json,
    query_api,
    time_of,
)
from agenttracer_cli.reading.tables import attribute_table


class Within(StrEnum):
    """What both sides have in common."""

    VERSION = "version"
    AGENT = "agent"
    PROJECT = "project"


def explain(
    filters: Filters = None,
    *,
    agent: Agent = None,
    agent_version: AgentVersion = None,
    within: Annotated[
        Within,
        typer.Option(
            metavar="SCOPE", help="What both sides have in common: agent and version (version), agent, or neither (project)."
        ),
    ] = Within.VERSION,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
    state_dir: StateDir,
) -> None:
    """Show what runs share that the rest does not: failed ones where no filter is given, by default of the last day."""
    window = {"since": time_of(since, option="--since"), "until": time_of(until, option="--until")}
    asked = filters_of(filters, agent_id=agent, agent_version=agent_version, within=within.value, **window)
    found = query_api(url, key, state_dir).get("/v1/explain", **asked)
    if as_json:
        print_json(found)
        return
    sides = " against ".join(f"{found[side]['runs']:,}" for side in ("selection", "rest"))
    about = f"{sides} runs, {found['tested']} tests"
    sure = [one for one in found["attributes"] if one["significant"]]
    show_section(new_console(), "Shared", attribute_table(sure), note=about if sure else f"{about}: nothing differs for sure")
