"""The subcommands of `agenttracer dlq`: what could not be stored, and another try. Shows places, rules, sizes; no content."""

import json
import re
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich.table import Table

from agenttracer.wire.topics import EVENTS_TOPIC
from deploy.command.guard import EXIT_DIFFERENT, TopicName, found_topic, outcome_of, refusals
from deploy.command.options import Kafka, Postgres, StateDir
from deploy.command.screen import Progress, console, note
from deploy.errors import ProofError
from deploy.infrastructure import Existing, Infrastructure
from stream_workers.dlq import Fate, Letter, find_letters, retry
from stream_workers.topic_log import open_log

dlq_app = typer.Typer(no_args_is_help=True, help="Look at dead letters, try them again.", rich_markup_mode="rich")
_PLACE: Final = re.compile(r"([0-9]{1,10})/([0-9]{1,19})")
_PARTITION_MAX: Final = (1 << 31) - 1
_OFFSET_MAX: Final = (1 << 63) - 1
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
    """Show all that is known of one, as JSON.

    Exit code: 0 shown, 2 there is none at this place.
    """
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

    Exit code: 0 all are stored, 1 some could not be, 2 it could not be tried, or there is none at this place.
    """
    if (place is None) is not everything:
        raise typer.BadParameter("name one by PARTITION/OFFSET, or say --all")
    infrastructure = Infrastructure(state_dir, existing=Existing(kafka, postgres), report=Progress())
    letters = _letters(infrastructure, reason, place=place, retried=place is not None)
    for letter in letters:
        if letter.retried_at is not None:
            note(f"{letter.place} was stored by an earlier retry")
    waiting = [letter for letter in letters if letter.retried_at is None]
    if not letters:
        note("there are no dead letters to retry")
    fates = outcome_of(_retry(infrastructure, topic, waiting)) if waiting else []
    for letter, fate in fates:
        console.print(f"{letter.place}  {fate}")
    if any(fate is not Fate.STORED for _, fate in fates):
        raise typer.Exit(EXIT_DIFFERENT)


def _letters(
    infrastructure: Infrastructure, reason: str | None, *, place: str | None = None, retried: bool = False
) -> Sequence[Letter]:
    where = None if place is None else _parsed(place)

    async def work() -> Sequence[Letter]:
        found = await find_letters(infrastructure.owner_dsn, place=where, reason=reason, retried=retried)
        if where is not None and not found:
            raise ProofError("there is no such dead letter at this place; `agenttracer dlq list --retried` shows all there are")
        return found

    return outcome_of(refusals(infrastructure, work))


def _parsed(place: str) -> tuple[int, int]:
    found = _PLACE.fullmatch(place)
    if found is None or int(found[1]) > _PARTITION_MAX or int(found[2]) > _OFFSET_MAX:
        raise typer.BadParameter("a place is PARTITION/OFFSET, as 3/1042")
    return int(found[1]), int(found[2])


async def _retry(infrastructure: Infrastructure, topic: str, letters: Sequence[Letter]) -> list[tuple[Letter, Fate]]:
    async def work() -> list[tuple[Letter, Fate]]:
        found = await found_topic(infrastructure, topic)
        async with open_log(infrastructure.kafka_bootstrap, topic, infrastructure.kafka_security) as log:
            return await retry(infrastructure.owner_dsn, log, found, letters)

    return await refusals(infrastructure, work)
