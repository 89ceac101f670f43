"""The subcommands by which operators prove what the store holds: `agenttracer verify` and `agenttracer rebuild`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, NamedTuple
from uuid import UUID

import typer

from agenttracer.wire.topics import EVENTS_TOPIC
from deploy.command import screen
from deploy.command.guard import EXIT_COULD_NOT, EXIT_DIFFERENT, TopicName, found_topic, outcome_of, refusals
from deploy.command.json_file import json_file_at
from deploy.command.options import Kafka, Postgres, StateDir, refuse_options_before_subcommand
from deploy.command.proof_screen import Bar, show_rebuild, show_verification
from deploy.infrastructure import Existing, Infrastructure
from stream_workers.rebuild import Outcome, Plan, drop_old, rebuild
from stream_workers.topic_log import open_log
from stream_workers.verify import Report, Scope, verify

MEMORY_DEFAULT_MB: Final = 512  # a small machine has it to spare, and 32 MB of the topic fit into a slice
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write what was found as JSON, too.")]


def verify_store(
    *,
    state_dir: StateDir,
    kafka: Kafka = None,
    postgres: Postgres = None,
    topic: TopicName = EVENTS_TOPIC,
    sample: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the runs; the same ones every time.")] = 1.0,
    run: Annotated[UUID | None, typer.Option(metavar="RUN_ID", help="One run only.")] = None,
    memory_mb: Annotated[
        int, typer.Option(envvar="AGENTTRACER_VERIFY_MEMORY_MB", min=16, help="Rows held at once; the rest waits on disk.")
    ] = MEMORY_DEFAULT_MB,
    json_file: JsonFile = None,
) -> None:
    """Prove that the store is what the topic says.

    Exit code: 0 equal, 1 different, 2 could not be found out, as of a run that is in neither. What the workers have not reached
    yet is no difference.
    """
    infrastructure = Infrastructure(state_dir, existing=Existing(kafka, postgres), report=screen.Progress())
    scope = Scope(sample, str(run) if run else None)
    write_json = json_file_at(json_file)
    report = outcome_of(_verify(infrastructure, topic, scope=scope, memory_bytes=memory_mb << 20))
    refuse_empty_proof(report, scope)
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
        int, typer.Option(min=1, max=64, help="They divide the partitions; each has two sessions in Postgres.")
    ] = 1,
    max_events_per_s: Annotated[float | None, typer.Option(min=1, help="Hold back, for the live store's sake.")] = None,
    swap: Annotated[bool, typer.Option(help="Make the shadow live once it is proved equal.")] = True,
    accept_differences: Annotated[bool, typer.Option("--accept-differences", help="Swap although rows differ.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Forget a rebuild that was begun.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Build the store anew from the topic, under live traffic, compare it with the live one, swap the two.

    Killed anywhere, the next call goes on. Exit code: 0 equal (and swapped), 1 different or not swapped, 2 could not.
    """
    if context.invoked_subcommand is not None:
        refuse_options_before_subcommand(context)
        return
    infrastructure = Infrastructure(state_dir, existing=Existing(kafka, postgres), report=screen.Progress())
    pace = Pace(processes, max_events_per_s)
    wish = Wish(restart=restart, swap_equal=swap, accept=accept_differences)
    write_json = json_file_at(json_file)
    outcome = outcome_of(_rebuild(infrastructure, topic, pace, wish))
    show_rebuild(outcome)
    write_json(asdict(outcome))
    if (swap and outcome.pause_s is None) or not (outcome.diff.empty or accept_differences):
        raise typer.Exit(EXIT_DIFFERENT)


@rebuild_app.command("drop-old")
def drop_old_store(state_dir: StateDir, postgres: Postgres = None) -> None:
    """Drop what was live before the last swap."""
    infrastructure = Infrastructure(state_dir, existing=Existing(postgres_dsn=postgres), report=screen.Progress())
    dropped = outcome_of(refusals(infrastructure, lambda: drop_old(infrastructure.owner_dsn)))
    screen.Progress()("the old schema is gone" if dropped else "there was no old schema")


def refuse_empty_proof(report: Report, scope: Scope) -> None:
    """End with exit code 2 where one run was asked for and nothing of it was there to compare: that proves nothing."""
    if scope.run_id is None or report.runs_compared or report.runs_out_of_reach or not report.equal:
        return
    screen.show_error(
        "nothing is proved: neither the topic nor the store has this run, or it was deleted or expired; "
        "check --run, and --topic and --postgres"
    )
    raise typer.Exit(EXIT_COULD_NOT)


class Pace(NamedTuple):
    """How much of the machine a rebuild may take."""

    processes: int
    max_events_per_s: float | None


class Wish(NamedTuple):
    """What is to become of the shadow."""

    restart: bool
    swap_equal: bool
    accept: bool


async def _verify(infrastructure: Infrastructure, topic: str, *, scope: Scope, memory_bytes: int) -> Report:
    async def work() -> Report:
        found = await found_topic(infrastructure, topic)
        async with open_log(infrastructure.kafka_bootstrap, topic, infrastructure.kafka_security) as log:
            with Bar() as bar:
                return await verify(infrastructure.owner_dsn, log, found, scope=scope, memory_bytes=memory_bytes, progress=bar)

    return await refusals(infrastructure, work)


async def _rebuild(infrastructure: Infrastructure, topic: str, pace: Pace, wish: Wish) -> Outcome:
    async def work() -> Outcome:
        found = await found_topic(infrastructure, topic)
        plan = Plan(
            infrastructure.owner_dsn, infrastructure.kafka_bootstrap, found, *pace, security=infrastructure.kafka_security
        )
        with Bar() as bar:
            return await rebuild(plan, report=screen.Progress(), progress=bar, **wish._asdict())

    return await refusals(infrastructure, work)
