"""What the command shows: progress lines, tables, errors. Decides nothing."""

import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.api_keys import ListedKey
from deploy.command.state import PartState
from deploy.endpoints import PipelineEndpoints
from deploy.local_key import local_key_file
from deploy.topics import TopicReport
from stream_workers.shadow import Matrix

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


class Progress:
    """Prints lines with the seconds since the command began."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, line: str) -> None:
        """Print one line."""
        console.print(f"[dim]{time.monotonic() - self._began:6.1f} s[/dim]  {escape(line)}", soft_wrap=True)


def show_error(message: str) -> None:
    """Print an error."""
    errors.print(f"[bold red]agenttracer:[/bold red] {escape(message)}", soft_wrap=True)


def fault(error: BaseException) -> str:
    """What may be said of an exception that nobody expected: its class and where it came from, never its message."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    positions = ", ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames)
    return f"a fault of our own: {type(error).__name__} at {positions}"


def note(line: str) -> None:
    """Print a line beside the answer: to standard error, where a script does not take it for one."""
    errors.print(f"[dim]{escape(line)}[/dim]", soft_wrap=True)


def show_keys(keys: Sequence[ListedKey]) -> None:
    """Print keys without their secrets."""
    table = _table(None, "key id", "project", "scopes", "name", "state", "until", "last used")
    table.columns[0].no_wrap = table.columns[-1].no_wrap = True
    for key in keys:
        colour = "green" if key.state == "live" else "dim"
        until = "" if key.expires_at is None else f"{key.expires_at:%Y-%m-%d}"
        used = "never" if key.last_used_at is None else f"{key.last_used_at:%Y-%m-%d %H:%M}Z"
        state = f"[{colour}]{key.state}[/{colour}]"
        table.add_row(key.key_id, key.project, " ".join(key.scopes), key.name, state, until, used)
    console.print(table)


def show_endpoints(endpoints: PipelineEndpoints, *, title: str, logs: Path) -> None:
    """Print what listens where, and where to look when it does not."""
    table = _table(title, "part", "where", "what for")
    table.add_row("gateway", endpoints.gateway_url, "SDKs send events here: POST /v1/events")
    table.add_row("query", endpoints.query_url, "read runs and statistics: /v1/runs, /v1/stats, /openapi.json")
    for number, url in enumerate(endpoints.worker_urls, start=1):
        table.add_row(f"worker-{number}", url, "lag and health: /metrics, /health")
    table.add_row("Kafka", endpoints.kafka_bootstrap, f"topic {endpoints.topic}" + _origin(local=endpoints.local_kafka))
    table.add_row("PostgreSQL", endpoints.postgres_address, "the store" + _origin(local=endpoints.local_postgres))
    table.add_row("logs", str(logs), "one file a process")
    console.print(table)
    key_file = local_key_file(urlsplit(endpoints.gateway_url).port or 0)
    console.print(
        f"SDKs on this machine find their key by themselves. OpenTelemetry: [bold]{_otlp_hint(key_file)}[/bold]", soft_wrap=True
    )


def _otlp_hint(key_file: Path) -> str:
    """The key itself stays off the screen."""
    return escape(f'export OTEL_EXPORTER_OTLP_HEADERS="x-api-key=$(cat {key_file})"')


def show_status(parts: Sequence[PartState]) -> None:
    """Print what runs."""
    table = _table(None, "part", "state", "where", "pid")
    for part in parts:
        colour = "green" if part.ready else "red"
        table.add_row(part.name, f"[{colour}]{part.state}[/{colour}]", part.where, str(part.pid or ""))
    console.print(table)


def show_topic(report: TopicReport) -> None:
    """Print what became of a topic."""
    done = "created" if report.created else "checked"
    title = f"{report.name}: {done}, {report.partitions} partitions, {report.replication_factor} copies"
    table = _table(title, "setting", "wanted", "found", "applied")
    for setting in report.settings:
        found = "" if setting.found is None else setting.found
        table.add_row(setting.setting, setting.wanted, found, "[yellow]yes[/yellow]" if setting.applied else "")
    console.print(table)


def show_taxonomy_diff(matrix: Matrix, *, before: str, after: str) -> None:
    """Print which failures change their name."""
    changed = sum(count for _, count, _ in matrix.rows())
    table = _table(f"{changed} failures change, {matrix.same} stay", f"by {before}", f"by {after}", "failures", "runs, some")
    for change, count, runs in matrix.rows():
        table.add_row(change.before, change.after, str(count), "\n".join(runs))
    console.print(table)


def _table(title: str | None, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in columns:
        table.add_column(column, header_style="dim", overflow="fold")
    return table


def _origin(*, local: bool) -> str:
    return "" if local else " (existing, not ours)"
