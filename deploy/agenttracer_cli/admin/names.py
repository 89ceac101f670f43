"""`agenttracer names`: what a project allows as names, whether it is closed, and the key of its pseudonyms."""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from agenttracer.rules.names.pseudonyms import KEY_MIN_CHARS, project_key
from agenttracer_cli import output
from agenttracer_cli.admin.name_registry import ProjectNames, SeenName
from agenttracer_cli.errors import NamesError
from agenttracer_cli.local.infrastructure import ExistingServers, Infrastructure
from agenttracer_cli.local.local_key import NAME_KEY_VARIABLE, name_key_file, name_key_text
from agenttracer_cli.options import Postgres, StateDir

names_app = typer.Typer(
    help="Say what a project's names are, and close a project for all others.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_SEEN_DAYS = 7
_Project = Annotated[str, typer.Option(metavar="NAME", help="The project.")]
_File = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="Take names from a file too, one a line; `-` is standard input."),
]
WITHIN = "gateways follow within 30 s, or as soon as they can read the store again"


@names_app.command()
def allow(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Names, in any script.")] = None,
    *,
    project: _Project,
    file: _File = None,
    state_dir: StateDir,
    postgres: Postgres = None,
) -> None:
    """Allow names: answers show them in place of their pseudonyms, past data too, and a closed project lets them pass.

    After a change of the name key, allow the same names again: what `names list` prints can be read with `--from`.
    """
    added = _registry(project, state_dir, postgres).allow(_given(names, file), name_key=_name_key(state_dir, postgres))
    output.note(f"{added} names of project {project} are new; {WITHIN}")


@names_app.command()
def forget(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Names that are allowed.")] = None,
    *,
    project: _Project,
    file: _File = None,
    state_dir: StateDir,
    postgres: Postgres = None,
) -> None:
    """Take names back: their pseudonyms are shown as such again. What a closed project has stored in plain stays."""
    gone = _registry(project, state_dir, postgres).forget(_given(names, file))
    output.note(f"{gone} names of project {project} are no longer allowed; {WITHIN}")


@names_app.command("list")
def list_names(
    *,
    project: _Project,
    seen: Annotated[bool, typer.Option("--seen", help="The names that the store has instead, and how often.")] = False,
    days: Annotated[int, typer.Option(min=1, max=3_650, metavar="N", help="With --seen: of so many days.")] = _SEEN_DAYS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: all of the registry, or what was seen.")] = False,
    state_dir: StateDir,
    postgres: Postgres = None,
) -> None:
    """Print the allowed names of a project, one a line."""
    registry = _registry(project, state_dir, postgres)
    if seen:
        found = registry.seen(days=days)
        typer.echo(json.dumps([asdict(each) for each in found], indent=2, ensure_ascii=False) if as_json else _lines(found))
        return
    allowed, closed = registry.list(), registry.is_closed()
    if as_json:
        whole = {"project": project, "closed": closed, "names": [asdict(each) for each in allowed]}
        typer.echo(json.dumps(whole, indent=2, default=str, ensure_ascii=False))
        return
    for name in dict.fromkeys(each.name for each in allowed):
        typer.echo(name)
    output.note(f"project {project} is {'closed' if closed else 'open'}")


@names_app.command()
def close(*, project: _Project, state_dir: StateDir, postgres: Postgres = None) -> None:
    """Close a project: names, labels and codes that are not allowed, and are no words of ours, are stored as pseudonyms."""
    _name_key(state_dir, postgres)
    _registry(project, state_dir, postgres).set_closed(closed=True)
    output.note(f"project {project} is closed; {WITHIN}. What is stored already stays as it is.")


@names_app.command("open")
def open_project(*, project: _Project, state_dir: StateDir, postgres: Postgres = None) -> None:
    """Open a closed project: names of the form of names, and that no detector hits, are stored as they are again."""
    _registry(project, state_dir, postgres).set_closed(closed=False)
    output.note(f"project {project} is open; {WITHIN}")


@names_app.command()
def key(*, project: _Project, state_dir: StateDir, postgres: Postgres = None) -> None:
    """Print the project's own key of pseudonyms, for the SDK's `name_key`. Keep it as a secret: with it guesses can be tested."""
    typer.echo(project_key(_name_key(state_dir, postgres), project))


def _lines(found: Iterable[SeenName]) -> str:
    return "\n".join(f"{each.kind}\t{each.times}\t{each.name}" for each in found)


def _given(names: list[str] | None, file: Path | None) -> list[str]:
    given = list(names or ())
    try:
        if file is not None:
            text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
            given += [line for line in text.splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise NamesError(f"{file} cannot be read ({type(error).__name__})") from None
    if not given:
        raise NamesError("name at least one name, or a file with --from")
    return given


def _registry(project: str, state_dir: Path, postgres: str | None) -> ProjectNames:
    existing = ExistingServers(postgres_dsn=postgres)
    return ProjectNames(Infrastructure(state_dir, existing=existing, report=output.ProgressLines()).owner_dsn, project)


def _name_key(state_dir: Path, postgres: str | None) -> str:
    """Raises NamesError where a made-up one would be known to no gateway."""
    if postgres and not os.environ.get(NAME_KEY_VARIABLE) and not name_key_file(state_dir.resolve()).exists():
        raise NamesError(f"set {NAME_KEY_VARIABLE} to the name key that the gateways of this database have")
    text = name_key_text(state_dir.resolve())
    if len(text) < KEY_MIN_CHARS:
        raise NamesError(
            f"{NAME_KEY_VARIABLE} must have at least {KEY_MIN_CHARS} characters; make one with: openssl rand -hex 32"
        )
    return text
