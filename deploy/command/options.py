"""The options that several subcommands share. Each can come from the environment instead."""

from pathlib import Path
from typing import Annotated

import typer

_PROJECT = Path(__file__).resolve().parents[2]


def default_state_dir() -> Path:
    """Give `.local` of the checkout; installed elsewhere, `.local` of the current folder."""
    root = _PROJECT if (_PROJECT / "pyproject.toml").is_file() else Path.cwd()
    return root / ".local"


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
        help="Use this existing Kafka instead of the local one.",
    ),
]
Postgres = Annotated[
    str | None,
    typer.Option(
        "--postgres",
        envvar="AGENTTRACER_POSTGRES_DSN",
        metavar="URL",
        show_envvar=True,
        help="Use this existing PostgreSQL database instead of the local one (postgresql://user@host/database).",
    ),
]
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
