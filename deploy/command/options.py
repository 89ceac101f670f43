"""The options that several subcommands share. Each can come from the environment instead."""

from pathlib import Path
from typing import Annotated

import typer

from deploy import addresses

_PROJECT = Path(__file__).resolve().parents[2]


def default_state_dir() -> Path:
    """Give `.local` of the checkout; installed elsewhere, `.local` of the current folder."""
    root = _PROJECT if (_PROJECT / "pyproject.toml").is_file() else Path.cwd()
    return root / ".local"


def _checked_kafka(text: str | None) -> str | None:
    return text if text is None else addresses.kafka_bootstrap(text, name="--kafka (or AGENTTRACER_KAFKA_BOOTSTRAP)")


def _checked_postgres(text: str | None) -> str | None:
    return text if text is None else addresses.postgres_url(text, name="--postgres (or AGENTTRACER_POSTGRES_DSN)")


StateDir = Annotated[
    Path,
    typer.Option(
        envvar="AGENTTRACER_STATE_DIR",
        default_factory=default_state_dir,
        show_default=".local of the project",
        help="Where data, logs, ports and passwords are kept. Each folder is a stack of its own.",
    ),
]
Kafka = Annotated[
    str | None,
    typer.Option(
        "--kafka",
        envvar="AGENTTRACER_KAFKA_BOOTSTRAP",
        metavar="HOST:PORT",
        callback=_checked_kafka,
        help="Use this existing Kafka instead of the local one.",
    ),
]
Postgres = Annotated[
    str | None,
    typer.Option(
        "--postgres",
        envvar="AGENTTRACER_POSTGRES_DSN",
        metavar="URL",
        callback=_checked_postgres,
        show_envvar=True,
        help="Use this existing PostgreSQL database instead of the local one (postgresql://user@host/database).",
    ),
]


def refuse_options_before_subcommand(context: typer.Context) -> None:
    """For a group that is a command itself: its subcommand would not know them, and work on another store. Exit code 2."""
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name is not None and _said_on_the_command_line(context, parameter.name)
    ]
    if given:
        subcommand = f"{context.command_path} {context.invoked_subcommand}"
        raise typer.BadParameter(f"{', '.join(given)} must stand behind the subcommand: {subcommand} {given[0]} …")


def _said_on_the_command_line(context: typer.Context, parameter: str) -> bool:
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


GatewayProcesses = Annotated[
    int,
    typer.Option(
        envvar="AGENTTRACER_GATEWAY_PROCESSES",
        min=1,
        max=64,
        help="How many gateway processes share the gateway's port, a core each.",
    ),
]
Workers = Annotated[
    int, typer.Option(envvar="AGENTTRACER_WORKERS", min=1, max=64, help="How many stream workers share the topic.")
]
