"""Prints progress lines, tables and errors. Nothing is decided here."""

import shlex
import time
import traceback
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agenttracer_cli.admin.api_keys import ListedKey
from agenttracer_cli.admin.projects import ProjectRetention
from agenttracer_cli.admin.topics import TopicReport
from agenttracer_cli.local.endpoints import PipelineEndpoints
from agenttracer_cli.local.local_key import local_key_file
from agenttracer_cli.status import PartStatus
from stream_workers.core.failures.in_words import rules_in_words
from stream_workers.core.failures.rules import Taxonomy
from stream_workers.operations.taxonomy_diff import TaxonomyDiff

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)
_SDK_DEFAULT_URL: Final = "http://127.0.0.1:8000"


class ProgressLines:
    """Prints lines with the seconds since the command began."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, line: str) -> None:
        """Print one line."""
        console.print(f"[dim]{time.monotonic() - self._began:6.1f} s[/dim]  {escape(line)}", soft_wrap=True)


def show_error(message: str) -> None:
    """Print an error."""
    errors.print(f"[bold red]agenttracer:[/bold red] {escape(message)}", soft_wrap=True)


def describe_fault(error: BaseException) -> str:
    """An unexpected exception in words: its class and where it came from, never its message, which can hold values."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    positions = ", ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames)
    return f"a fault of our own: {type(error).__name__} at {positions}"


def note(line: str) -> None:
    """Print a line to standard error, where a script does not take it for the result."""
    errors.print(f"[dim]{escape(line)}[/dim]", soft_wrap=True)


def show_keys(keys: Sequence[ListedKey]) -> None:
    """Print keys without their secrets, by project: its name can be long, and the rest fits into 80 columns."""
    for project, its_keys in groupby(keys, key=lambda key: key.project):
        _show_keys_of(project, list(its_keys))


def _show_keys_of(project: str, keys: Sequence[ListedKey]) -> None:
    table = _table(f"project {project}", "key id", "name", "scopes", "state", "until", "last used (UTC)", gap=2)
    for column in (table.columns[0], *table.columns[3:]):
        column.no_wrap = True
    for key in keys:
        colour = "green" if key.state == "live" else "dim"
        until = "" if key.expires_at is None else f"{key.expires_at:%Y-%m-%d}"
        used = "never" if key.last_used_at is None else f"{key.last_used_at:%Y-%m-%d %H:%M}"
        state = f"[{colour}]{key.state}[/{colour}]"
        table.add_row(key.key_id, key.name, " ".join(key.scopes), state, until, used)
    console.print(table)


def show_retention(kept: Sequence[ProjectRetention], *, others: bool) -> None:
    """Print for how long projects keep their runs and their statistics."""
    table = _table(None, "project", "days", "statistics")
    for one in kept:
        table.add_row(one.project, *("forever" if days is None else str(days) for days in (one.days, one.statistics_days)))
    console.print(table)
    if others:
        note("every other project keeps its runs and statistics for ever")


def show_endpoints(endpoints: PipelineEndpoints, *, title: str, logs: Path) -> None:
    """Print the addresses of all parts, the folder of the logs, and the variables that agents need."""
    table = _table(title, "part", "where", "what for")
    table.add_row("gateway", endpoints.gateway_url, "SDKs send events here: POST /v1/events")
    if endpoints.grpc_port is not None:
        table.add_row("", f"127.0.0.1:{endpoints.grpc_port}", "the same, for OpenTelemetry's exporters that speak gRPC")
    table.add_row("query", endpoints.query_url, "open it in a browser; programs read /v1/…, see /docs")
    for number, url in enumerate(endpoints.worker_urls, start=1):
        table.add_row(f"worker-{number}", url, "lag and health: /metrics, /health")
    table.add_row("Kafka", endpoints.kafka_bootstrap, f"topic {endpoints.topic}" + _origin(local=endpoints.local_kafka))
    table.add_row("PostgreSQL", endpoints.postgres_address, "the store" + _origin(local=endpoints.local_postgres))
    console.print(table)
    show_pages(endpoints.query_url)
    console.print(f"logs: {escape(str(logs))}", soft_wrap=True)
    for sender, lines in (("SDK", sdk_exports(endpoints.gateway_url)), ("OpenTelemetry", otel_exports(endpoints.gateway_url))):
        console.print(f"\n[bold]{sender}[/bold], for agents on this machine:")
        for line in lines or ["nothing to set: it finds the gateway and its key"]:
            console.print(f"  {line}", markup=False, soft_wrap=True)


def show_pages(query_url: str) -> None:
    """Print where a person looks at runs."""
    console.print(f"\nlook at your agents: [bold]{escape(query_url)}/[/bold]\n", soft_wrap=True)


def sdk_exports(gateway_url: str) -> list[str]:
    """The lines for a shell in which an agent with the SDK runs; none on the port that the SDK sends to by default."""
    return [] if gateway_url == _SDK_DEFAULT_URL else [f"export AGENTTRACER_API_URL={gateway_url}"]


def otel_exports(gateway_url: str) -> list[str]:
    """The lines for a shell in which an instrumented agent runs. The key itself stays off the screen."""
    key_file = shlex.quote(str(local_key_file(urlsplit(gateway_url).port or 0)))
    return [
        f"export OTEL_EXPORTER_OTLP_ENDPOINT={gateway_url}",
        "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        f'export OTEL_EXPORTER_OTLP_HEADERS="x-api-key=$(cat {key_file})"',
        "export OTEL_SERVICE_NAME=my-agent OTEL_RESOURCE_ATTRIBUTES=service.version=1.0",
    ]


def show_status(parts: Sequence[PartStatus]) -> None:
    """Print what runs."""
    table = _table(None, "part", "state", "where", "pid")
    for part in parts:
        colour = "green" if part.ready else "red"
        table.add_row(part.name, f"[{colour}]{part.state}[/{colour}]", part.where, str(part.pid or ""))
    console.print(table)


def show_topic(report: TopicReport) -> None:
    """Print a topic and its settings."""
    done = "created" if report.created else "checked"
    title = f"{report.name}: {done}, {report.partitions} partitions, {report.replication_factor} copies"
    table = _table(title, "setting", "wanted", "found", "applied")
    for setting in report.settings:
        found = "" if setting.found is None else setting.found
        table.add_row(setting.setting, setting.wanted, found, "[yellow]yes[/yellow]" if setting.applied else "")
    console.print(table)


def show_taxonomy(shown: Taxonomy) -> None:
    """Print both tables of a taxonomy."""
    for title, rules in (("what failed", shown.failed), ("what ended well and was of no use", shown.silent)):
        table = _table(f"taxonomy {shown.name}: {title}", "rule", "code", "type", "evidence")
        for row in rules_in_words(rules):
            table.add_row(*row)
        console.print(table)


def show_taxonomy_diff(diff: TaxonomyDiff, *, before: str, after: str) -> None:
    """Print which failures change their class."""
    changed = sum(count for _, count, _ in diff.rows())
    table = _table(f"{changed} failures change, {diff.same} stay", f"by {before}", f"by {after}", "failures", "runs, some")
    for change, count, runs in diff.rows():
        table.add_row(change.before, change.after, str(count), "\n".join(runs))
    console.print(table)


def _table(title: str | None, *columns: str, gap: int = 3) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for column in columns:
        table.add_column(column, header_style="dim", overflow="fold")
    return table


def _origin(*, local: bool) -> str:
    return "" if local else " (existing, not ours)"
