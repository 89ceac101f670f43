"""The subcommands of `agenttracer`: read options, call what does it, show what came of it."""

import asyncio
import importlib
import json
from dataclasses import asdict
from signal import SIGTERM
from typing import Annotated

import typer

from agenttracer.wire.topics import EVENTS_TOPIC, PARTITIONS_DEFAULT
from deploy.command import proof, screen
from deploy.command.dead_letters import dlq_app
from deploy.command.foreground import AlreadyUpError, await_other, keep_alive, while_up
from deploy.command.keys import keys_app
from deploy.command.options import GatewayProcesses, Kafka, Postgres, StateDir, Workers
from deploy.command.removal import delete_app, retention_app
from deploy.command.state import State, look
from deploy.command.taxonomy import taxonomy
from deploy.endpoints import PipelineEndpoints, forget_endpoints
from deploy.infrastructure import Existing, Infrastructure
from deploy.local_key import forget_local_key
from deploy.local_stack import LocalStack
from deploy.local_stack.owned_process import OwnedProcess
from deploy.pipeline import Pipeline, PipelineSettings
from deploy.roster import UP, stop_services
from deploy.schema import migrate as migrate_store
from deploy.topics import RETENTION_MIN_DAYS, ensure_topic

_RUN = "Run"
_PROVE = "Prove what the store holds"
_REMOVE = "Remove data"
_PREPARE = "Prepare your own Kafka and PostgreSQL"
_KEYS = "API keys"
_LOOK = "Look at what is stored"
_UP_STOPS_WITHIN_S = 120.0
EXIT_DEGRADED = 1
_INTERRUPTED = 130  # as shells have it
EXIT_NOTHING_RUNS = 3  # as init scripts have it

EXAMPLES = """\
[bold]Examples[/bold]

  agenttracer up                     everything on this machine, until Ctrl-C
  agenttracer up --workers 3         three stream workers share the topic
  agenttracer demo                   example runs, read back as tables
  agenttracer status --json          for scripts; exit code 0 if all is ready
  agenttracer verify --sample 0.01   the store against the topic, one run in a hundred
  agenttracer rebuild --processes 2  the store anew from the topic, beside the live one
  agenttracer topics --kafka kafka-1:9092 --replication-factor 3
  agenttracer migrate --postgres postgresql://owner@db/agenttracer
  agenttracer keys create --project shop --scope ingest
  agenttracer taxonomy diff 1 mine.toml --since 2026-01-31
"""

app = typer.Typer(
    name="agenttracer",
    help="Make the behaviour of AI agents visible: SDK, gateway, Kafka, stream workers, PostgreSQL, query service.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(keys_app, name="keys", rich_help_panel=_KEYS)
app.add_typer(taxonomy, name="taxonomy", rich_help_panel=_LOOK)


@app.command(rich_help_panel=_RUN)
def up(
    state_dir: StateDir,
    kafka: Kafka = None,
    postgres: Postgres = None,
    workers: Workers = 1,
    gateway_processes: GatewayProcesses = 1,
) -> None:
    """Start everything and keep it up until Ctrl-C."""
    progress = screen.Progress()
    settings = PipelineSettings(state_dir, Existing(kafka, postgres), workers=workers, gateway_processes=gateway_processes)

    def show_and_keep_alive(pipeline: Pipeline, endpoints: PipelineEndpoints) -> None:
        screen.show_endpoints(endpoints, title="AgentTracer is up; Ctrl-C stops everything", logs=state_dir / "logs")
        keep_alive(pipeline, report=progress)

    try:
        while_up(settings, show_and_keep_alive, report=progress)
    except AlreadyUpError:
        endpoints = await_other(state_dir)
        screen.show_endpoints(endpoints, title="AgentTracer is up already; `agenttracer down` stops it", logs=state_dir / "logs")


@app.command(rich_help_panel=_RUN)
def down(state_dir: StateDir) -> None:
    """Stop everything, whoever started it. Data stays."""
    progress = screen.Progress()
    stack = LocalStack(state_dir, progress)
    command = OwnedProcess(state_dir=stack.state_dir, name=UP)
    if command.find():
        progress("asking the running `agenttracer` command to stop everything")
        command.end(with_signal=SIGTERM, grace_s=_UP_STOPS_WITHIN_S)
    stop_services(stack.state_dir, report=progress)
    stack.stop()
    forget_endpoints(stack.state_dir)
    forget_local_key(stack.state_dir)
    progress("nothing runs")


@app.command(rich_help_panel=_RUN)
def status(state_dir: StateDir, *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show what runs and where.

    Exit code: 0 all is ready, 1 something is not, 3 nothing runs.
    """
    parts = look(state_dir)
    if as_json:
        typer.echo(json.dumps([{**asdict(part), "ready": part.ready} for part in parts], indent=2))
    else:
        screen.show_status(parts)
    if all(part.state is State.STOPPED for part in parts):
        raise typer.Exit(EXIT_NOTHING_RUNS)
    if not all(part.ready for part in parts):
        raise typer.Exit(EXIT_DEGRADED)


@app.command(rich_help_panel=_RUN)
def demo(
    state_dir: StateDir,
    kafka: Kafka = None,
    postgres: Postgres = None,
    workers: Workers = 1,
    gateway_processes: GatewayProcesses = 1,
) -> None:
    """Send example runs, show what can be seen of them."""
    run_demo = importlib.import_module("deploy.demo").run_demo  # needs the SDK's examples, which `up` does not
    settings = PipelineSettings(state_dir, Existing(kafka, postgres), workers=workers, gateway_processes=gateway_processes)
    try:
        code = while_up(settings, lambda _, endpoints: run_demo(endpoints), report=screen.Progress())
    except AlreadyUpError:
        code = run_demo(await_other(state_dir))
    raise typer.Exit(_INTERRUPTED if code is None else code)


app.command("verify", rich_help_panel=_PROVE)(proof.verify_store)
app.add_typer(proof.rebuild_app, name="rebuild", rich_help_panel=_PROVE)
app.add_typer(dlq_app, name="dlq", rich_help_panel=_PROVE)
app.add_typer(delete_app, name="delete", rich_help_panel=_REMOVE)
app.add_typer(retention_app, name="retention", rich_help_panel=_REMOVE)


@app.command(rich_help_panel=_PREPARE)
def migrate(state_dir: StateDir, postgres: Postgres = None) -> None:
    """Bring the store's schema to the newest version.

    Safe to run twice, and from two places at once.
    """
    progress = screen.Progress()
    infrastructure = Infrastructure(state_dir, existing=Existing(postgres_dsn=postgres), report=progress)
    migrate_store(infrastructure.owner_dsn, report=progress)
    infrastructure.admit_services()


@app.command(rich_help_panel=_PREPARE)
def topics(
    *,
    state_dir: StateDir,
    kafka: Kafka = None,
    name: Annotated[str, typer.Option(envvar="AGENTTRACER_TOPIC", help="The topic's name.")] = EVENTS_TOPIC,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1, show_default=f"{PARTITIONS_DEFAULT}, or what an existing topic has", help="Fixed when the topic is made."
        ),
    ] = None,
    replication_factor: Annotated[
        int | None, typer.Option(min=1, show_default="3, or 1 with fewer brokers", help="Copies of each partition.")
    ] = None,
    retention_days: Annotated[
        int, typer.Option(min=RETENTION_MIN_DAYS, help="How long events can be replayed.")
    ] = RETENTION_MIN_DAYS,
) -> None:
    """Create the events topic, or check and correct it.

    Its settings are what the delivery promises rest on. The partition count is never changed; one that is asked for is checked.
    """
    infrastructure = Infrastructure(state_dir, existing=Existing(kafka_bootstrap=kafka), report=screen.Progress())
    report = asyncio.run(
        ensure_topic(
            infrastructure.kafka_bootstrap,
            name=name,
            partitions=partitions,
            replication_factor=replication_factor,
            retention_days=retention_days,
            security=infrastructure.kafka_security,
        )
    )
    screen.show_topic(report)
