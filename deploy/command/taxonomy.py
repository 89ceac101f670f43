"""`agenttracer taxonomy`: what another taxonomy would make of the failures that are stored. Nothing is written."""

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import asyncpg
import typer

from ddl.migrate import SCHEMA
from deploy.command import screen
from deploy.command.guard import outcome_of, refusals
from deploy.command.options import Postgres, StateDir
from deploy.infrastructure import Existing, Infrastructure
from stream_workers.core.failures.override import KNOWN, TaxonomyError, overridden
from stream_workers.core.failures.rules import Taxonomy
from stream_workers.shadow import Matrix, compare

taxonomy = typer.Typer(help="Try a taxonomy of failures before it is adopted.", no_args_is_help=True)
_WHICH: Final = f"A taxonomy: the name of a known one ({', '.join(KNOWN)}), or a TOML file that changes some of its rules."


@taxonomy.callback()
def group() -> None:
    """Try a taxonomy of failures before it is adopted."""


@taxonomy.command()
def diff(  # noqa: PLR0917 - one argument an option
    a: Annotated[str, typer.Argument(help=_WHICH)],
    b: Annotated[str, typer.Argument(help=_WHICH)],
    state_dir: StateDir,
    since: Annotated[datetime, typer.Option(help="From when on (UTC).", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])],
    postgres: Postgres = None,
    project: Annotated[str | None, typer.Option(help="Only this project.", show_default="all")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Classify what is stored with both and show what changes: from, to, how often, and runs to look at.

    Exit code: 0 done, whatever changes; 2 it could not be found out.
    """
    before, after = named(a), named(b)
    infrastructure = Infrastructure(state_dir, existing=Existing(postgres_dsn=postgres), report=screen.Progress())
    began = since.replace(tzinfo=UTC)
    matrix = outcome_of(refusals(infrastructure, lambda: _compare(infrastructure.owner_dsn, before, after, began, project)))
    if as_json:
        typer.echo(json.dumps(_document(matrix), indent=2))
    else:
        screen.show_taxonomy_diff(matrix, before=before.name, after=after.name)


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


async def _compare(dsn: str, before: Taxonomy, after: Taxonomy, since: datetime, project: str | None) -> Matrix:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA})
    try:
        return await compare(connection, before, after, since=since, project=project)
    finally:
        await connection.close()


def _document(matrix: Matrix) -> dict[str, object]:
    changes = [{**change._asdict(), "count": count, "runs": list(runs)} for change, count, runs in matrix.rows()]
    return {"same": matrix.same, "changes": changes}
