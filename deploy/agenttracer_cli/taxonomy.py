"""`agenttracer taxonomy`: prints the rules, and classifies the stored failures with others. Nothing is written."""

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from agenttracer_cli import output
from agenttracer_cli.local.infrastructure import ExistingServers, Infrastructure
from agenttracer_cli.options import Postgres, StateDir
from agenttracer_cli.outcome import as_proof_errors, run_or_exit
from ddl.migrate import SCHEMA
from servicekit.postgres import open_connection
from stream_workers.core.failures.classify import PRESENT
from stream_workers.core.failures.in_words import rules_in_words
from stream_workers.core.failures.override import KNOWN, TaxonomyError, overridden
from stream_workers.core.failures.rules import Taxonomy
from stream_workers.operations.taxonomy_diff import TaxonomyDiff, compare

taxonomy = typer.Typer(help="Look at the taxonomy of failures, and try another one before it is adopted.", no_args_is_help=True)
_WHICH: Final = f"The name of a taxonomy ({', '.join(KNOWN)}), or a TOML file that changes some of its rules."


@taxonomy.callback()
def group() -> None:
    """Look at the taxonomy of failures, and try another one before it is adopted."""


@taxonomy.command()
def show(
    which: Annotated[str, typer.Argument(metavar="NAME", help=_WHICH)] = PRESENT.name,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the rules of a taxonomy in their order: the first that holds decides.

    Exit code: 0 done, 2 there is no such taxonomy.
    """
    shown = named(which)
    if as_json:
        tables = {name: [row._asdict() for row in rules_in_words(getattr(shown, name))] for name in ("failed", "silent")}
        typer.echo(json.dumps({"taxonomy": shown.name, **tables}, indent=2))
    else:
        output.show_taxonomy(shown)


@taxonomy.command()
def diff(  # noqa: PLR0917 - one argument an option
    a: Annotated[str, typer.Argument(metavar="A", help=_WHICH)],
    b: Annotated[str, typer.Argument(metavar="B", help=_WHICH)],
    state_dir: StateDir,
    since: Annotated[
        datetime,
        typer.Option(
            metavar="TIME",
            help="From this time (UTC) on: 2026-01-31, or 2026-01-31T12:00:00.",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
        ),
    ],
    postgres: Postgres = None,
    project: Annotated[str | None, typer.Option(metavar="NAME", help="Only this project.", show_default="all")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Classify the stored failures with both and show which change, how often, and in which runs.

    Exit code: 0 done, 2 it could not be done.
    """
    before, after = named(a), named(b)
    infrastructure = Infrastructure(state_dir, existing=ExistingServers(postgres_dsn=postgres), report=output.ProgressLines())
    began = since.replace(tzinfo=UTC)
    matrix = run_or_exit(
        as_proof_errors(infrastructure, lambda: _compare(infrastructure.owner_dsn, before, after, began, project))
    )
    if as_json:
        typer.echo(json.dumps(_document(matrix), indent=2))
    else:
        output.show_taxonomy_diff(matrix, before=before.name, after=after.name)


def named(which: str) -> Taxonomy:
    """The taxonomy of this name, or that a file of this name describes. Raises typer.BadParameter."""
    if which in KNOWN:
        return KNOWN[which]
    path = Path(which)
    if not path.is_file():
        raise typer.BadParameter("there is neither a taxonomy nor a file of this name")
    try:
        return overridden(tomllib.loads(path.read_text(encoding="utf-8")), name=path.stem)
    except (TaxonomyError, tomllib.TOMLDecodeError) as error:
        raise typer.BadParameter(str(error)) from None


async def _compare(dsn: str, before: Taxonomy, after: Taxonomy, since: datetime, project: str | None) -> TaxonomyDiff:
    async with open_connection(dsn, application_name="agenttracer-taxonomy", search_path=SCHEMA) as connection:
        return await compare(connection, before, after, since=since, project=project)


def _document(matrix: TaxonomyDiff) -> dict[str, object]:
    changes = [{**change._asdict(), "count": count, "runs": list(runs)} for change, count, runs in matrix.rows()]
    return {"same": matrix.same, "changes": changes}
