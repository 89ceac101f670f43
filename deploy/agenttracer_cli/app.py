"""The subcommands of `agenttracer`: each reads its options, calls the code that does the work and shows the result."""

import asyncio
import json
from dataclasses import asdict
from signal import SIGTERM
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from agenttracer._check import check as check_delivery
from agenttracer.wire.topics import EVENTS_TOPIC, PARTITIONS_DEFAULT
from agenttracer_cli import output, proof
from agenttracer_cli.admin.audit import audit
from agenttracer_cli.admin.migrate import migrate as migrate_store
from agenttracer_cli.admin.names import names_app
from agenttracer_cli.admin.rollups import rollups_app
from agenttracer_cli.admin.topics import RETENTION_MIN_DAYS, ensure_topic
from agenttracer_cli.dead_letters import dlq_app
from agenttracer_cli.deletion import delete_app, retention_app
from agenttracer_cli.demo import run_demo, send_week
from agenttracer_cli.errors import SettingsError
from agenttracer_cli.foreground import AlreadyUpError, await_other, keep_alive, while_up
from agenttracer_cli.installation import checkout, version
from agenttracer_cli.keys import keys_app
from agenttracer_cli.local.endpoints import PipelineEndpoints, remove_endpoints
from agenttracer_cli.local.environment import known_variables, misspelt_variables
from agenttracer_cli.local.infrastructure import ExistingServers, Infrastructure
from agenttracer_cli.local.local_key import local_key_file, remove_local_key
from agenttracer_cli.local.local_pipeline import LocalPipeline, LocalPipelineSettings
from agenttracer_cli.local.running_services import UP, stop_services
from agenttracer_cli.local_stack import LocalStack
from agenttracer_cli.local_stack.owned_process import OwnedProcess
from agenttracer_cli.options import GatewayProcesses, Kafka, Postgres, StateDir, Workers
from agenttracer_cli.reading import commands as reading
from agenttracer_cli.reading.compare import compare
from agenttracer_cli.reading.explain import explain
from agenttracer_cli.reading.tail import tail
from agenttracer_cli.status import ProcessState, read_status
from agenttracer_cli.taxonomy import taxonomy

_RUN = "Run"
_PROVE = "Prove what the store holds"
_REMOVE = "Remove data"
_PREPARE = "Prepare your own Kafka and PostgreSQL"
_KEYS = "API keys and names"
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
  agenttracer demo --keep            the same with a week before it, to look at in a browser
  agenttracer check                  send one run, and see whether it arrives
  agenttracer status --json          for scripts; exit code 0 if all is ready
  agenttracer verify --sample 0.01   store against topic, one run in a hundred
  agenttracer rebuild --processes 2  rebuild the store beside the live one
  agenttracer topics --kafka kafka-1:9092 --replication-factor 3
  agenttracer migrate --postgres postgresql://owner@db/agenttracer
  agenttracer keys create --project shop --scope ingest
  agenttracer audit --project shop   what was done to its keys and data
  agenttracer names allow --project shop 查询订单
  agenttracer show 019ab0de-7c1e-7000-8000-0242ac120002
  agenttracer compare bot@1.4.0 bot@1.5.0 --fail-on 'failure_rate>+2pp' --min-runs 200
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


def _print_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"agenttracer {version()}")
        raise typer.Exit


@app.callback()
def root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Make the behaviour of AI agents visible: SDK, gateway, Kafka, stream workers, PostgreSQL, query service."""


app.add_typer(keys_app, name="keys", rich_help_panel=_KEYS)
app.command(rich_help_panel=_KEYS)(audit)
app.add_typer(names_app, name="names", rich_help_panel=_KEYS)
app.add_typer(taxonomy, name="taxonomy", rich_help_panel=_LOOK)
for look in (reading.runs, reading.show, reading.failures, reading.stats, tail, compare, explain, reading.export, reading.prices):
    app.command(rich_help_panel=_LOOK)(look)


@app.command(rich_help_panel=_RUN)
def up(
    state_dir: StateDir,
    kafka: Kafka = None,
    postgres: Postgres = None,
    workers: Workers = 1,
    gateway_processes: GatewayProcesses = 1,
    *,
    private: Annotated[
        bool,
        typer.Option("--private", help="Reading needs an API key too, also from this machine; see `agenttracer keys create`."),
    ] = False,
) -> None:
    """Start everything and keep it up until Ctrl-C."""
    _refuse_misspelt_variables()
    progress = output.ProgressLines()
    settings = LocalPipelineSettings(
        state_dir, ExistingServers(kafka, postgres), workers=workers, gateway_processes=gateway_processes, private=private
    )

    def show_and_keep_alive(pipeline: LocalPipeline, endpoints: PipelineEndpoints) -> None:
        output.show_endpoints(endpoints, title="AgentTracer is up; Ctrl-C stops everything", logs=state_dir / "logs")
        keep_alive(pipeline, report=progress)

    try:
        while_up(settings, show_and_keep_alive, report=progress)
    except AlreadyUpError:
        endpoints = await_other(state_dir)
        output.show_endpoints(endpoints, title="AgentTracer is up already; `agenttracer down` stops it", logs=state_dir / "logs")


@app.command(rich_help_panel=_RUN)
def down(state_dir: StateDir) -> None:
    """Stop everything, whichever command started it. Data stays."""
    progress = output.ProgressLines()
    if not state_dir.exists():
        progress("nothing runs")
        return
    stack = LocalStack(state_dir, progress)
    command = OwnedProcess(state_dir=stack.state_dir, name=UP)
    if command.find():
        progress("asking the running `agenttracer` command to stop everything")
        command.end(with_signal=SIGTERM, grace_s=_UP_STOPS_WITHIN_S)
    stop_services(stack.state_dir, report=progress)
    stack.stop()
    remove_endpoints(stack.state_dir)
    remove_local_key(stack.state_dir)
    progress("nothing runs")


@app.command(rich_help_panel=_RUN)
def status(state_dir: StateDir, *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show what runs, and where.

    Exit code: 0 everything is ready, 1 something is not, 3 nothing runs.
    """
    parts = read_status(state_dir)
    if as_json:
        typer.echo(json.dumps([{**asdict(part), "ready": part.ready} for part in parts], indent=2))
    else:
        output.show_status(parts)
    if all(part.state is ProcessState.STOPPED for part in parts):
        raise typer.Exit(EXIT_NOTHING_RUNS)
    if not all(part.ready for part in parts):
        raise typer.Exit(EXIT_DEGRADED)


@app.command(rich_help_panel=_LOOK)
def check(
    url: Annotated[str | None, typer.Option(help="The gateway; else AGENTTRACER_API_URL or its default.")] = None,
    query_url: Annotated[str | None, typer.Option(help="The query service; else that of a local stack.")] = None,
) -> None:
    """Send one run as an agent would, and say where it went and whether it can be seen.

    Exit code: 0 it was accepted, 1 it was not, or cannot be seen.
    """
    raise typer.Exit(check_delivery(api_url=url, query_url=query_url, say=typer.echo))


@app.command(rich_help_panel=_RUN)
def demo(
    state_dir: StateDir,
    kafka: Kafka = None,
    postgres: Postgres = None,
    workers: Workers = 1,
    gateway_processes: GatewayProcesses = 1,
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Send a week of example runs as well, and keep everything up to look at, until Ctrl-C.")
    ] = False,
) -> None:
    """Send example runs and show what is stored of them."""
    _refuse_misspelt_variables()
    settings = LocalPipelineSettings(
        state_dir, ExistingServers(kafka, postgres), workers=workers, gateway_processes=gateway_processes
    )
    root = checkout()
    figures_file = root / "build" / "demo.json" if root else state_dir / "demo.json"
    progress = output.ProgressLines()

    def demonstrate(pipeline: LocalPipeline | None, endpoints: PipelineEndpoints) -> int:
        if keep:
            send_week(endpoints.gateway_url, key_file=local_key_file(urlsplit(endpoints.gateway_url).port or 0), report=progress)
        code = run_demo(endpoints, figures_file=figures_file)
        if keep:
            output.show_pages(endpoints.query_url)
            if pipeline is not None:
                progress("everything stays up; Ctrl-C stops it")
                keep_alive(pipeline, report=progress)
        return code

    try:
        code = while_up(settings, demonstrate, report=progress)
    except AlreadyUpError:
        code = demonstrate(None, await_other(state_dir))
    raise typer.Exit(_INTERRUPTED if code is None else code)


def _refuse_misspelt_variables() -> None:
    """Raises SettingsError: a service would refuse to start, or a setting would silently have no effect."""
    commands: list[Any] = [typer.main.get_command(app)]
    for command in commands:
        commands.extend(getattr(command, "commands", {}).values())
    of_options = {str(option.envvar) for command in commands for option in command.params if option.envvar}
    if lines := misspelt_variables(known_variables(of_options)):
        raise SettingsError("; ".join(lines))


app.command("verify", rich_help_panel=_PROVE)(proof.verify_store)
app.add_typer(proof.rebuild_app, name="rebuild", rich_help_panel=_PROVE)
app.add_typer(dlq_app, name="dlq", rich_help_panel=_PROVE)
app.add_typer(delete_app, name="delete", rich_help_panel=_REMOVE)
app.add_typer(retention_app, name="retention", rich_help_panel=_REMOVE)
app.add_typer(rollups_app, name="rollups", rich_help_panel=_PREPARE)


@app.command(rich_help_panel=_PREPARE)
def migrate(state_dir: StateDir, postgres: Postgres = None) -> None:
    """Bring the store's schema to the newest version.

    Safe to run repeatedly, and from two places at once.
    """
    progress = output.ProgressLines()
    infrastructure = Infrastructure(state_dir, existing=ExistingServers(postgres_dsn=postgres), report=progress)
    migrate_store(infrastructure.owner_dsn, report=progress)
    infrastructure.set_service_passwords()


@app.command(rich_help_panel=_PREPARE)
def topics(
    *,
    state_dir: StateDir,
    kafka: Kafka = None,
    name: Annotated[str, typer.Option(envvar="AGENTTRACER_TOPIC", metavar="NAME", help="The topic's name.")] = EVENTS_TOPIC,
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default=f"{PARTITIONS_DEFAULT} for a new topic",
            help="Fixed at creation; checked for an existing topic.",
        ),
    ] = None,
    replication_factor: Annotated[
        int | None, typer.Option(min=1, metavar="N", show_default="3; 1 with fewer brokers", help="Copies of each partition.")
    ] = None,
    retention_days: Annotated[
        int, typer.Option(min=RETENTION_MIN_DAYS, metavar="N", help="For how long events can be replayed.")
    ] = RETENTION_MIN_DAYS,
) -> None:
    """Create the events topic, or check and correct it.

    The delivery guarantees depend on its settings. The partition count of an existing topic is never changed.
    """
    infrastructure = Infrastructure(state_dir, existing=ExistingServers(kafka_bootstrap=kafka), report=output.ProgressLines())
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
    output.show_topic(report)
