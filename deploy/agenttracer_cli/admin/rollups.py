"""`agenttracer rollups`: what statistics are made of, for operators who do not want to wait for the workers' spare time."""

import time
from typing import Final

import asyncpg
import typer

from agenttracer_cli.local.infrastructure import ExistingServers, Infrastructure
from agenttracer_cli.options import Postgres, StateDir
from agenttracer_cli.outcome import as_proof_errors, run_or_exit
from agenttracer_cli.output import ProgressLines
from ddl.migrate import SCHEMA
from servicekit.postgres import open_connection
from stream_workers.rollups import compaction

rollups_app = typer.Typer(no_args_is_help=True, help="What statistics are made of.", rich_markup_mode="rich")
_APPLICATION: Final = "agenttracer-rollups"


@rollups_app.callback()
def group() -> None:
    """What statistics are made of."""


@rollups_app.command("compact")
def compact_all(*, state_dir: StateDir, postgres: Postgres = None) -> None:
    """Add all deltas to totals now, and take over what a release before kept as rollups.

    Workers do it in their spare time. After an upgrade, call it once no worker of the release before runs. Safe beside all else.
    """
    progress = ProgressLines()
    infrastructure = Infrastructure(state_dir, existing=ExistingServers(None, postgres), report=progress)
    deltas, left = run_or_exit(as_proof_errors(infrastructure, lambda: _compact(infrastructure.owner_dsn)))
    progress(f"{deltas} deltas compacted, {left} left")


async def _compact(dsn: str) -> tuple[int, int]:
    now = int(time.time()) // 60
    async with open_connection(
        dsn, application_name=_APPLICATION, search_path=SCHEMA, settings=compaction.SETTINGS
    ) as connection:
        deltas = await _pass(connection, now)
        await compaction.expire_short_spans_of_all(connection, now=now)
        return deltas, await compaction.count_deltas(connection)


async def _pass(connection: asyncpg.Connection, now: int) -> int:
    return sum([await compaction.compact(connection, project, now=now) for project in await compaction.projects(connection)])
