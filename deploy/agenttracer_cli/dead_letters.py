"""The subcommands of `agenttracer dlq`: dead letters and their retry. They show positions, rules and sizes, no content."""

import json
import re
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich.table import Table

from agenttracer.wire.topics import EVENTS_TOPIC
from agenttracer_cli.errors import ProofError
from agenttracer_cli.local.infrastructure import ExistingServers, Infrastructure
from agenttracer_cli.options import Kafka, Postgres, StateDir
from agenttracer_cli.outcome import EXIT_DIFFERENT, TopicName, as_proof_errors, require_topic, run_or_exit
from agenttracer_cli.output import ProgressLines, console, note
from stream_workers.kafka.topic_log import open_log
from stream_workers.operations.dead_letters import Letter, RetryResult, find_letters, retry

dlq_app = typer.Typer(no_args_is_help=True, help="Look at dead letters and retry them.", rich_markup_mode="rich")
_PLACE: Final = re.compile(r"([0-9]{1,10})/([0-9]{1,19})")
_PARTITION_MAX: Final = (1 << 31) - 1
_OFFSET_MAX: Final = (1 << 63) - 1
Position = Annotated[str, typer.Argument(metavar="PARTITION/OFFSET", help="The position, as `dlq list` shows it.")]
Reason = Annotated[str | None, typer.Option(metavar="REASON", help="Only letters with this reason.")]
OfProject = Annotated[str | None, typer.Option("--project", metavar="PROJECT", help="Only letters of this project.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dlq_app.command("list")
def list_letters(
    *,
    state_dir: StateDir,
    postgres: Postgres = None,
    reason: Reason = None,
    project: OfProject = None,
    retried: Annotated[bool, typer.Option("--retried", help="Also letters that were stored by a retry.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the records that could not be stored, and those of parked projects, which a retry stores."""
    infrastructure = Infrastructure(state_dir, existing=ExistingServers(None, postgres), report=ProgressLines())
    letters = _letters(infrastructure, reason, project=project, retried=retried)
    if as_json:
        typer.echo(json.dumps([letter.document() for letter in letters], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("place", "topic", "project", "reason", "field", "bytes", "since", "attempts", "state"):
        table.add_column(column)
    for one in letters:
        state = "stored" if one.retried_at else "dead"
        since = f"{one.dead_at:%Y-%m-%d %H:%M:%S}"
        said = (one.place, one.topic, one.project or "", one.reason, one.field, str(one.size_bytes), since, str(one.attempts))
        table.add_row(*said, state)
    console.print(table)


@dlq_app.command("show")
def show_letter(place: Position, *, state_dir: StateDir, postgres: Postgres = None) -> None:
    """Show everything that is known about a dead letter, as JSON.

    Exit code: 0 shown, 2 there is none at this position.
    """
    infrastructure = Infrastructure(state_dir, existing=ExistingServers(None, postgres), report=ProgressLines())
    typer.echo(json.dumps([one.document() for one in _letters(infrastructure, None, place=place, retried=True)], indent=2))


@dlq_app.command("retry")
def retry_letters(
    place: Annotated[str | None, typer.Argument(metavar="[PARTITION/OFFSET]", help="One letter; or --all.")] = None,
    *,
    state_dir: StateDir,
    kafka: Kafka = None,
    postgres: Postgres = None,
    topic: TopicName = EVENTS_TOPIC,
    everything: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    reason: Reason = None,
    project: OfProject = None,
) -> None:
    """Read dead records from the topic again and store them like any other.

    Exit code: 0 all are stored, 1 some are not, 2 it could not be tried, or there is none at this position.
    """
    if (place is None) is not everything:
        raise typer.BadParameter("name one by PARTITION/OFFSET, or say --all")
    infrastructure = Infrastructure(state_dir, existing=ExistingServers(kafka, postgres), report=ProgressLines())
    letters = _letters(infrastructure, reason, place=place, project=project, retried=place is not None)
    for letter in letters:
        if letter.retried_at is not None:
            note(f"{letter.place} was stored by an earlier retry")
    waiting = [letter for letter in letters if letter.retried_at is None]
    if not letters:
        note("there are no dead letters to retry")
    results = run_or_exit(_retry(infrastructure, topic, waiting)) if waiting else []
    for letter, result in results:
        console.print(f"{letter.place}  {result}")
    if any(result is not RetryResult.STORED for _, result in results):
        raise typer.Exit(EXIT_DIFFERENT)


def _letters(
    infrastructure: Infrastructure,
    reason: str | None,
    *,
    place: str | None = None,
    project: str | None = None,
    retried: bool = False,
) -> Sequence[Letter]:
    where = None if place is None else _parsed(place)

    async def work() -> Sequence[Letter]:
        found = await find_letters(infrastructure.owner_dsn, place=where, reason=reason, project=project, retried=retried)
        if where is not None and not found:
            raise ProofError("there is no such dead letter at this position; `agenttracer dlq list --retried` shows all")
        return found

    return run_or_exit(as_proof_errors(infrastructure, work))


def _parsed(place: str) -> tuple[int, int]:
    found = _PLACE.fullmatch(place)
    if found is None or int(found[1]) > _PARTITION_MAX or int(found[2]) > _OFFSET_MAX:
        raise typer.BadParameter("a position is PARTITION/OFFSET, such as 3/1042")
    return int(found[1]), int(found[2])


async def _retry(infrastructure: Infrastructure, topic: str, letters: Sequence[Letter]) -> list[tuple[Letter, RetryResult]]:
    async def work() -> list[tuple[Letter, RetryResult]]:
        found = await require_topic(infrastructure, topic)
        async with open_log(infrastructure.kafka_bootstrap, topic, infrastructure.kafka_security) as log:
            return await retry(infrastructure.owner_dsn, log, found, letters)

    return await as_proof_errors(infrastructure, work)
