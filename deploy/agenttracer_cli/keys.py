"""`agenttracer keys`: API keys made, listed and revoked."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from agenttracer_cli import output
from agenttracer_cli.admin.api_keys import ApiKeys, Purpose
from agenttracer_cli.errors import KeysError
from agenttracer_cli.local.infrastructure import ExistingServers, Infrastructure
from agenttracer_cli.local.local_key import key_pepper, pepper_file
from agenttracer_cli.options import Postgres, StateDir
from servicekit.auth.keys import Pepper, Scope

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
    project: Annotated[str, typer.Option(metavar="NAME", help="Project of the key. A new name makes a new project.")],
    scope: Annotated[list[Scope], typer.Option(metavar="SCOPE", help=f"One of {', '.join(Scope)}; may be repeated.")],
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the key. Two live keys may share one, so that clients can change over.")
    ] = "default",
    expires_in_days: Annotated[
        int | None,
        typer.Option(min=1, max=_LIFETIME_MAX_DAYS, metavar="N", show_default="never", help="Days until the key expires."),
    ] = None,
    state_dir: StateDir,
    postgres: Postgres = None,
) -> None:
    """Make a key and print it. It is shown once: only a hash is stored.

    Only the key goes to standard output, for scripts. Services accept it within 10 seconds.
    """
    purpose = Purpose(project=project, scopes=frozenset(scope), name=name)
    made = _keys(state_dir, postgres).create(purpose, pepper=_pepper(state_dir, postgres), expires_in_days=expires_in_days)
    output.note(f"key {made.key_id} of project {project}, {', '.join(purpose.sorted_scopes)}; it is shown this once:")
    typer.echo(made.text)


@keys_app.command("list")
def list_keys(
    *,
    project: Annotated[str | None, typer.Option(metavar="NAME", show_default="all", help="Only keys of this project.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    state_dir: StateDir,
    postgres: Postgres = None,
) -> None:
    """List the keys, their state and their last use. No secrets.

    Keys under a pepper that is neither AGENTTRACER_KEY_PEPPER nor AGENTTRACER_KEY_PEPPER_FORMER open nothing: `other_pepper`.
    """
    found = _keys(state_dir, postgres).list(project=project, peppers=_peppers(state_dir, postgres))
    if as_json:
        typer.echo(json.dumps([asdict(key) for key in found], indent=2, default=str))
    else:
        output.show_keys(found)


@keys_app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="The middle part of the key, as `keys list` shows it.")],
    *,
    state_dir: StateDir,
    postgres: Postgres = None,
) -> None:
    """Revoke a key for ever.

    Services refuse it within 30 seconds, or as soon as they can read the store again.
    """
    _keys(state_dir, postgres).revoke(key_id)
    output.note(f"key {key_id} is revoked; services refuse it within 30 s. {UNTIL_READ}")


def _keys(state_dir: Path, postgres: str | None) -> ApiKeys:
    existing = ExistingServers(postgres_dsn=postgres)
    return ApiKeys(Infrastructure(state_dir, existing=existing, report=output.ProgressLines()).owner_dsn)


def _peppers(state_dir: Path, postgres: str | None) -> list[Pepper]:
    """Those of the services, as far as this command knows; none where it knows the present one not."""
    given = os.environ.get("AGENTTRACER_KEY_PEPPER")
    if not given and (postgres or not pepper_file(state_dir.resolve()).exists()):
        return []
    former = os.environ.get("AGENTTRACER_KEY_PEPPER_FORMER")
    return [_pepper(state_dir, postgres), *([Pepper(former)] if former else [])]


def _pepper(state_dir: Path, postgres: str | None) -> Pepper:
    """Raises KeysError where a made-up one would be known to no service."""
    given = os.environ.get("AGENTTRACER_KEY_PEPPER")
    if postgres and not given and not pepper_file(state_dir.resolve()).exists():
        raise KeysError("set AGENTTRACER_KEY_PEPPER to the pepper that the services of this database have")
    try:
        return key_pepper(state_dir.resolve())
    except ValueError as error:
        raise KeysError(f"{error}; make one with: openssl rand -hex 32") from None
