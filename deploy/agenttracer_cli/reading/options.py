"""The options of subcommands that read: which query service, with which key, and which window."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from agenttracer_cli.demo.query_api import QueryApi
from agenttracer_cli.errors import SettingsError
from agenttracer_cli.local.endpoints import read_endpoints

_AGO: Final = re.compile(r"(\d{1,5})(m|h|d)")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="AGENTTRACER_READ_URL",
        metavar="URL",
        show_default="the stack on this machine",
        help="The query service.",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        envvar="AGENTTRACER_READ_KEY",
        metavar="KEY",
        help="An API key with the scope read. Better in the environment: other users see a command line.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="From here on: ISO 8601 with an offset, or how long ago, such as 90m, 24h, 7d."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Up to here, in the same form. Default: now.")]
Filters = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME=VALUE", help="Filters of /v1/runs, such as status=failure or model=gpt-4o.", show_default=False),
]
Agent = Annotated[str | None, typer.Option(metavar="NAME", help="Only this agent.")]
AgentVersion = Annotated[str | None, typer.Option(metavar="NAME", help="Only this version.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def query_api(url: str | None, key: str | None, state_dir: Path) -> QueryApi:
    """A client of the named service, else of the local stack. Raises NotRunningError where neither is there."""
    if url is not None and not re.match(r"https?://[^/]", url):
        raise SettingsError("--url (or AGENTTRACER_READ_URL) must begin with http:// or https:// and a host")
    return QueryApi(url or read_endpoints(state_dir.resolve()).query_url, key=key)


def filters_of(given: Sequence[str] | None, **options: str | None) -> dict[str, str]:
    """Filters by name, those of options among them. Raises SettingsError for what is none, or is given twice."""
    found = {name: value for name, value in options.items() if value is not None}
    for text in given or ():
        name, sign, value = text.partition("=")
        if not (name and sign and value) or name in found:
            raise SettingsError("filters are NAME=VALUE, each name once, such as status=failure")
        found[name] = value
    return found


def time_of(text: str | None, *, option: str) -> str | None:
    """A time as the API takes it. Raises SettingsError."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago:
        return (datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat()
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise SettingsError(f"{option} must be ISO 8601 with an offset, or how long ago: 90m, 24h, 7d")
    return at.isoformat()


def print_json(document: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """To standard output, for scripts."""
    typer.echo(json.dumps(document, indent=2))
