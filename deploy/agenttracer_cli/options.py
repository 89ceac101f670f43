"""The options that several subcommands share. Each can come from the environment instead."""

from pathlib import Path
from typing import Annotated, Final

import typer

from agenttracer_cli.errors import SettingsError
from agenttracer_cli.installation import default_state_dir
from agenttracer_cli.local import addresses


def _checked_kafka(text: str | None) -> str | None:
    return text if text is None else addresses.kafka_bootstrap(text, name="--kafka (or AGENTTRACER_KAFKA_BOOTSTRAP)")


def _checked_postgres(context: typer.Context, parameter: typer.CallbackParam, text: str | None) -> str | None:
    if text is None:
        return None
    address = addresses.postgres_url(text, name="--postgres (or AGENTTRACER_POSTGRES_DSN)")
    said_here = parameter.name is not None and _said_on_the_command_line(context, parameter.name)
    if said_here and addresses.has_password(address):
        raise SettingsError(f"--postgres: {_IN_THE_OPEN}")
    return address


_IN_THE_OPEN: Final = (
    "every user of this machine can read a password on the command line; put the address in AGENTTRACER_POSTGRES_DSN, or leave "
    "the password out of it and put that in PGPASSWORD, or in the file ~/.pgpass (PGPASSFILE names another)"
)


StateDir = Annotated[
    Path,
    typer.Option(
        envvar="AGENTTRACER_STATE_DIR",
        default_factory=default_state_dir,
        show_default=False,
        metavar="DIR",
        help="Folder of the stack: data, logs, ports, passwords. Default: ~/.local/state/agenttracer, or .local of a checkout.",
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
        help="Use this existing PostgreSQL database instead of the local one. A password comes from the variable, from "
        "PGPASSWORD or from ~/.pgpass, never from here.",
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
        metavar="N",
        help="Number of gateway processes on the gateway's port, one for each core.",
    ),
]
Workers = Annotated[int, typer.Option(envvar="AGENTTRACER_WORKERS", min=1, max=64, metavar="N", help="Number of stream workers.")]
