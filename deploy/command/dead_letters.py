"""The subcommands of `agenttracer dlq`: what could not be stored, and another try. Shows places, rules, sizes; no content."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from agenttracer.wire.topics import EVENTS_TOPIC
from deploy.command.guard import EXIT_DIFFERENT, TopicName, found_topic, outcome_of, refusals
from deploy.command.options import Kafka, Postgres, StateDir
from deploy.command.screen import Progress, console
from deploy.infrastructure import Existing, Infrastructure
from stream_workers.dlq import Fate, Letter, find_letters, retry
from stream_workers.topic_log import open_log

dlq_app = typer.Typer(no_args_is_help=True, help="Look at dead letters, try them again.", rich_markup_mode="rich")
Place = Annotated[str, typer.Argument(metavar="PARTITION/OFFSET", help="As `dlq list` shows it.")]
Reason = Annotated[str | None, typer.Option(help="Only those with this reason.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dlq_app.command("list")
def list_letters(
    *,
    state_dir: StateDir,
    postgres: Postgres = None,
    reason: Reason = None,
    retried: Annotated[bool, typer.Option("--retried", help="Those that went through later, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the records that could not be stored."""
    letters = _letters(Infrastructure(state_dir, existing=Existing(None, postgres), report=Progress()), reason, retried=retried)
    if as_json:
        typer.echo(json.dumps([letter.document() for letter in letters], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("place", "topic", "reason", "field", "bytes", "since", "attempts", "state"):
        table.add_column(column)
    for one in letters:
        state = "stored" if one.retried_at else "dead"
        since = f"{one.dead_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(one.place, one.topic, one.reason, one.field, str(one.size_bytes), since, str(one.attempts), state)
    console.print(table)


@dlq_app.command("show")
def show_letter(place: Place, *, state_dir: StateDir, postgres: Postgres = None) -> None:
    """Show all that is known of one, as JSON."""
    infrastructure = Infrastructure(state_dir, existing=Existing(None, postgres), report=Progress())
    typer.echo(json.dumps([one.document() for one in _letters(infrastructure, None, place=place, retried=True)], indent=2))


@dlq_app.command("retry")
def retry_letters(
    place: Annotated[str | None, typer.Argument(metavar="[PARTITION/OFFSET]", help="One; or all with --all.")] = None,
    *,
    state_dir: StateDir,
    kafka: Kafka = None,
    postgres: Postgres = None,
    topic: TopicName = EVENTS_TOPIC,
    everything: Annotated[bool, typer.Option("--all", help="All that are dead.")] = False,
    reason: Reason = None,
) -> None:
    """Read records again from the topic and store them the ordinary way.

    Exit code: 0 all were stored, 1 some could not be, 2 it could not be tried.
    """
    if (place is None) is not everything:
        raise typer.BadParameter("name one by PARTITION/OFFSET, or say --all")
    infrastructure = Infrastructure(state_dir, existing=Existing(kafka, postgres), report=Progress())
    letters = _letters(infrastructure, reason, place=place)
    fates = outcome_of(_retry(infrastructure, topic, letters))
    for letter, fate in fates:
        console.print(f"{letter.place}  {fate}")
    if any(fate is not Fate.STORED for _, fate in fates):
        raise typer.Exit(EXIT_DIFFERENT)


def _letters(
    infrastructure: Infrastructure, reason: str | None, *, place: str | None = None, retried: bool = False
) -> Sequence[Letter]:
    where = None if place is None else _parsed(place)
    return outcome_of(
        refusals(infrastructure, lambda: find_letters(infrastructure.owner_dsn, place=where, reason=reason, retried=retried))
    )


def _parsed(place: str) -> tuple[int, int]:
    partition, _, offset = place.partition("/")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise typer.BadParameter("a place is PARTITION/OFFSET, as 3/1042")
    return int(partition), int(offset)


async def _retry(infrastructure: Infrastructure, topic: str, letters: Sequence[Letter]) -> list[tuple[Letter, Fate]]:
    async def work() -> list[tuple[Letter, Fate]]:
        found = await found_topic(infrastructure, topic)
        async with open_log(infrastructure.kafka_bootstrap, topic, infrastructure.kafka_security) as log:
            return await retry(infrastructure.owner_dsn, log, found, letters)

    return await refusals(infrastructure, work)
