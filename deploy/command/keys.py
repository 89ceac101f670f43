"""`agenttracer keys`: API keys made, listed and revoked."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deploy.api_keys import ApiKeys, Purpose
from deploy.command import screen
from deploy.command.options import Postgres, StateDir
from deploy.errors import KeysError
from deploy.infrastructure import Existing, Infrastructure
from deploy.local_key import key_pepper, pepper_file
from servicekit.keys import Pepper, Scope

keys_app = typer.Typer(
    help="Make, list and revoke the API keys of projects.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_LIFETIME_MAX_DAYS = 3_650
UNTIL_READ = (
    "One that cannot read the store knows its old keys until it can (a day at most, by default): "
    "agenttracer_gateway_keys_age_seconds and agenttracer_query_keys_age_seconds tell."
)


@keys_app.command()
def create(
    *,
    project: Annotated[str, typer.Option(metavar="P", help="Whose data the key sends or reads. A new name is a new project.")],
    scope: Annotated[list[Scope], typer.Option(help="What the key is good for; may be given more than once.")],
    name: Annotated[
        str, typer.Option(help="Who will use it. Two keys of one name may live at once, to change over.")
    ] = "default",
    expires_in_days: Annotated[
        int | None, typer.Option(min=1, max=_LIFETIME_MAX_DAYS, show_default="never", help="When it ends by itself.")
    ] = None,
    state_dir: StateDir,
    postgres: Postgres = None,
) -> None:
    """Make a key and print it, once: only a hash is kept.

    The key goes to standard output alone, so that a script can take it from there. Services know it within 10 seconds.
    """
    purpose = Purpose(project=project, scopes=frozenset(scope), name=name)
    made = _keys(state_dir, postgres).create(purpose, pepper=_pepper(state_dir, postgres), expires_in_days=expires_in_days)
    screen.note(f"key {made.key_id} of project {project}, {', '.join(purpose.sorted_scopes)}; it is shown this once:")
    typer.echo(made.text)


@keys_app.command("list")
def list_keys(
    *,
    project: Annotated[str | None, typer.Option(metavar="P", show_default="all", help="Of this project alone.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    state_dir: StateDir,
    postgres: Postgres = None,
) -> None:
    """Show every key, when it was last used, and whether it is live. No secrets."""
    found = _keys(state_dir, postgres).list(project=project)
    if as_json:
        typer.echo(json.dumps([asdict(key) for key in found], indent=2, default=str))
    else:
        screen.show_keys(found)


@keys_app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="As `keys list` shows it: the middle part of the key.")],
    *,
    state_dir: StateDir,
    postgres: Postgres = None,
) -> None:
    """End a key for ever. Services that can read the store refuse it within 30 seconds, others as soon as they can again."""
    _keys(state_dir, postgres).revoke(key_id)
    screen.note(f"key {key_id} is revoked; services refuse it within 30 s. {UNTIL_READ}")


def _keys(state_dir: Path, postgres: str | None) -> ApiKeys:
    existing = Existing(postgres_dsn=postgres)
    return ApiKeys(Infrastructure(state_dir, existing=existing, report=screen.Progress()).owner_dsn)


def _pepper(state_dir: Path, postgres: str | None) -> Pepper:
    """Raises KeysError where a made-up one would be known to no service."""
    given = os.environ.get("AGENTTRACER_KEY_PEPPER")
    if postgres and not given and not pepper_file(state_dir.resolve()).exists():
        raise KeysError("set AGENTTRACER_KEY_PEPPER to the pepper that the services of this database have")
    try:
        return key_pepper(state_dir.resolve())
    except ValueError as error:
        raise KeysError(f"{error}; make one with: openssl rand -hex 32") from None
