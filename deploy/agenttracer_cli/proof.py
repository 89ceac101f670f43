"""The subcommands that prove what the store holds: `agenttracer verify` and `agenttracer rebuild`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, NamedTuple
from uuid import UUID

import typer

from agenttracer.wire.topics import EVENTS_TOPIC
from agenttracer_cli import output
from agenttracer_cli.json_file import json_file_at
from agenttracer_cli.local.infrastructure import ExistingServers, Infrastructure
from agenttracer_cli.options import Kafka, Postgres, StateDir, refuse_options_before_subcommand
from agenttracer_cli.outcome import EXIT_COULD_NOT, EXIT_DIFFERENT, TopicName, as_proof_errors, require_topic, run_or_exit
from agenttracer_cli.proof_output import Bar, show_rebuild, show_verification
from stream_workers.kafka.topic_log import open_log
from stream_workers.operations.rebuild import Plan, RebuildResult, drop_old, rebuild
from stream_workers.operations.verify import Report, RunSelection, verify

MEMORY_DEFAULT_MB: Final = 512  # a small machine has it to spare, and 32 MB of the topic fit into a slice
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write the result as JSON.")]


def verify_store(
    *,
    state_dir: StateDir,
    kafka: Kafka = None,
    postgres: Postgres = None,
    topic: TopicName = EVENTS_TOPIC,
    sample: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="SHARE", help="Share of the runs; always the same ones.")
    ] = 1.0,
    run: Annotated[UUID | None, typer.Option(metavar="RUN_ID", help="Only this run.")] = None,
    memory_mb: Annotated[
        int,
        typer.Option(
            envvar="AGENTTRACER_VERIFY_MEMORY_MB", min=16, metavar="N", help="Memory for rows; the rest is kept on disk."
        ),
    ] = MEMORY_DEFAULT_MB,
    json_file: JsonFile = None,
) -> None:
    """Prove that the store holds what the topic says. Records that the workers have not reached are no difference.

    Exit code: 0 equal, 1 different, 2 it could not be proved (also a run that neither has).
    """
    infrastructure = Infrastructure(state_dir, existing=ExistingServers(kafka, postgres), report=output.ProgressLines())
    selection = RunSelection(sample, str(run) if run else None)
    write_json = json_file_at(json_file)
    report = run_or_exit(_verify(infrastructure, topic, selection=selection, memory_bytes=memory_mb << 20))
    refuse_empty_proof(report, selection)
    show_verification(report)
    write_json(report.document())
    if not report.equal:
        raise typer.Exit(EXIT_DIFFERENT)


rebuild_app = typer.Typer(invoke_without_command=True, rich_markup_mode="rich")


@rebuild_app.callback()
def rebuild_store(
    *,
    context: typer.Context,
    state_dir: StateDir,
    kafka: Kafka = None,
    postgres: Postgres = None,
    topic: TopicName = EVENTS_TOPIC,
    processes: Annotated[
        int, typer.Option(min=1, max=64, metavar="N", help="They share the partitions; each has two sessions in Postgres.")
    ] = 1,
    max_events_per_s: Annotated[float | None, typer.Option(min=1, metavar="N", help="Limit, to spare the live store.")] = None,
    no_swap: Annotated[bool, typer.Option("--no-swap", help="Only compare; do not swap equal stores.")] = False,
    accept_differences: Annotated[bool, typer.Option("--accept-differences", help="Swap even if rows differ.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Discard a rebuild that was begun.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Rebuild the store from the topic under live traffic, compare the two and swap them.

    A rebuild that was killed goes on at the next call.

    Exit code: 0 equal (and swapped), 1 different or not swapped, 2 it could not be done.
    """
    if context.invoked_subcommand is not None:
        refuse_options_before_subcommand(context)
        return
    infrastructure = Infrastructure(state_dir, existing=ExistingServers(kafka, postgres), report=output.ProgressLines())
    limits = RebuildLimits(processes, max_events_per_s)
    swap_options = SwapOptions(restart=restart, swap_equal=not no_swap, accept=accept_differences)
    write_json = json_file_at(json_file)
    outcome = run_or_exit(_rebuild(infrastructure, topic, limits, swap_options))
    show_rebuild(outcome)
    write_json(asdict(outcome))
    if (not no_swap and outcome.pause_s is None) or not (outcome.diff.empty or accept_differences):
        raise typer.Exit(EXIT_DIFFERENT)


@rebuild_app.command("drop-old")
def drop_old_store(state_dir: StateDir, postgres: Postgres = None) -> None:
    """Drop the store that was live before the last swap."""
    infrastructure = Infrastructure(state_dir, existing=ExistingServers(postgres_dsn=postgres), report=output.ProgressLines())
    dropped = run_or_exit(as_proof_errors(infrastructure, lambda: drop_old(infrastructure.owner_dsn)))
    output.ProgressLines()("the old schema is gone" if dropped else "there was no old schema")


def refuse_empty_proof(report: Report, selection: RunSelection) -> None:
    """End with exit code 2 if nothing of the one requested run could be compared: that proves nothing."""
    if selection.run_id is None or report.runs_compared or report.runs_out_of_reach or not report.equal:
        return
    output.show_error(
        "nothing is proved: neither the topic nor the store has this run (it may be deleted or expired); "
        "check --run, and --topic and --postgres"
    )
    raise typer.Exit(EXIT_COULD_NOT)


class RebuildLimits(NamedTuple):
    """How much of the machine a rebuild may use."""

    processes: int
    max_events_per_s: float | None


class SwapOptions(NamedTuple):
    """What to do with the rebuilt store."""

    restart: bool
    swap_equal: bool
    accept: bool


async def _verify(infrastructure: Infrastructure, topic: str, *, selection: RunSelection, memory_bytes: int) -> Report:
    async def work() -> Report:
        found = await require_topic(infrastructure, topic)
        async with open_log(infrastructure.kafka_bootstrap, topic, infrastructure.kafka_security) as log:
            with Bar() as bar:
                return await verify(
                    infrastructure.owner_dsn, log, found, scope=selection, memory_bytes=memory_bytes, progress=bar
                )

    return await as_proof_errors(infrastructure, work)


async def _rebuild(infrastructure: Infrastructure, topic: str, limits: RebuildLimits, swap_options: SwapOptions) -> RebuildResult:
    async def work() -> RebuildResult:
        found = await require_topic(infrastructure, topic)
        plan = Plan(
            infrastructure.owner_dsn, infrastructure.kafka_bootstrap, found, *limits, security=infrastructure.kafka_security
        )
        with Bar() as bar:
            return await rebuild(plan, report=output.ProgressLines(), progress=bar, **swap_options._asdict())

    return await as_proof_errors(infrastructure, work)
