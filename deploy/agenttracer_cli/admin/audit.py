"""`agenttracer audit`: what was done to keys and data, and which keys were refused. No secret is in the log."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import typer
from rich.table import Table

from agenttracer_cli.local.infrastructure import ExistingServers, Infrastructure
from agenttracer_cli.options import Postgres, StateDir
from agenttracer_cli.outcome import as_proof_errors, run_or_exit
from agenttracer_cli.output import ProgressLines, console
from ddl.audit import AuditAction
from ddl.migrate import SCHEMA
from servicekit.postgres import open_connection
from servicekit.sql import load

_STATEMENTS: Final = load(Path(__file__).with_name("audit.sql"))
_LIMIT_MAX: Final = 100_000


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One entry. `role` is the role of PostgreSQL that did it; `number` counts requests or runs where there are several."""

    at: datetime
    action: str
    project: str | None
    key_id: str | None
    run_id: UUID | None
    reason: str | None
    number: int
    role: str


def audit(
    *,
    project: Annotated[str | None, typer.Option(metavar="NAME", show_default="all", help="Only of this project.")] = None,
    action: Annotated[AuditAction | None, typer.Option(metavar="ACTION", help=f"One of {', '.join(AuditAction)}.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], metavar="TIME", help="From then on, in UTC.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=_LIMIT_MAX, metavar="N", help="The newest so many.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    state_dir: StateDir,
    postgres: Postgres = None,
) -> None:
    """Show what was done to keys and data, and which keys were refused, oldest first."""
    infrastructure = Infrastructure(state_dir, existing=ExistingServers(None, postgres), report=ProgressLines())
    moment = None if since is None else since.replace(tzinfo=UTC)
    values = {"project": project, "action": action, "since": moment, "limit": limit}
    found = run_or_exit(as_proof_errors(infrastructure, lambda: read_entries(infrastructure.owner_dsn, **values)))
    if as_json:
        typer.echo(json.dumps([asdict(entry) for entry in found], indent=2, default=str))
    else:
        _show(found)


async def read_entries(dsn: str, **values: object) -> Sequence[AuditEntry]:
    """The entries that the parameters of the statement choose. Raises asyncpg's errors."""
    async with open_connection(dsn, application_name="agenttracer-audit", search_path=SCHEMA) as connection:
        return [AuditEntry(**row) for row in await connection.fetch(*_STATEMENTS["list_entries"].bind(**values))]


def _show(entries: Sequence[AuditEntry]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("at (UTC)", "action", "project", "key or run", "reason", "number", "role"):
        table.add_column(column, header_style="dim", overflow="fold")
    for one in entries:
        subject = one.key_id or (str(one.run_id) if one.run_id else "")
        said = (one.project or "", subject, one.reason or "", str(one.number), one.role)
        table.add_row(f"{one.at:%Y-%m-%d %H:%M:%S}", one.action, *said)
    console.print(table)
