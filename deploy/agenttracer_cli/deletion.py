"""The subcommands that remove data: `agenttracer delete` and `agenttracer retention`."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar
from uuid import UUID

import typer

from agenttracer.wire import form
from agenttracer_cli.admin.projects import ProjectRetention, list_retention, refuse_unknown_project, refuse_unknown_run
from agenttracer_cli.local.infrastructure import ExistingServers, Infrastructure
from agenttracer_cli.options import Postgres, StateDir
from agenttracer_cli.outcome import as_proof_errors, run_or_exit
from agenttracer_cli.output import ProgressLines, show_error, show_retention
from stream_workers.operations.deletion import apply_retention, remove_project, remove_run, set_retention

delete_app = typer.Typer(no_args_is_help=True, help="Remove a run or a project for good.", rich_markup_mode="rich")
retention_app = typer.Typer(no_args_is_help=True, help="Set for how long a project keeps its runs.", rich_markup_mode="rich")
EXIT_LEFT: Final = 1
_FOR_EVER: Final = "forever"
_DAYS_MAX: Final = 36_500
_T = TypeVar("_T")


def _project_name(text: str | None) -> str | None:
    if text is not None and not form.is_name(text):
        raise typer.BadParameter("a project is letters, digits and _.:/+- after a letter or digit, at most 64 characters")
    return text


Project = Annotated[str, typer.Argument(metavar="PROJECT", callback=_project_name, help="The project's name.")]
Force = Annotated[bool, typer.Option("--force", help="Also a project of which nothing is stored yet.")]


@delete_app.command("run")
def delete_run(
    project: Project,
    run_id: Annotated[UUID, typer.Argument(metavar="RUN_ID", help="The run.")],
    *,
    state_dir: StateDir,
    postgres: Postgres = None,
    force: Annotated[bool, typer.Option("--force", help="Also a run of which nothing is stored yet.")] = False,
) -> None:
    """Remove one run with all its rows. Its later events are discarded, and no rebuild brings it back.

    Exit code: 0 removed, or removed before; 2 the store does not know the run, or it could not be removed.
    """
    infrastructure = _infrastructure(state_dir, postgres)
    if not force:
        _done(infrastructure, lambda: refuse_unknown_run(infrastructure.owner_dsn, project, run_id))
    removed = _done(infrastructure, lambda: remove_run(infrastructure.owner_dsn, project, str(run_id)))
    ProgressLines()(f"{removed.rows} rows removed")


@delete_app.command("project")
def delete_project(
    project: Project,
    *,
    state_dir: StateDir,
    postgres: Postgres = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Force = False,
) -> None:
    """Remove a project with all its runs and revoke its API keys. Its later events are discarded, for ever."""
    infrastructure = _infrastructure(state_dir, postgres)
    if not force:
        _refuse_unknown(infrastructure, project)
    if not yes:
        typer.confirm(f"Remove everything of project {project} and revoke its API keys, for good?", abort=True)
    removed = _done(infrastructure, lambda: remove_project(infrastructure.owner_dsn, project))
    ProgressLines()(
        f"{removed.rows} rows removed, {removed.keys} API keys revoked; services that can read the store refuse them within 30 s"
    )


@retention_app.command("set")
def keep_for(
    project: Project,
    days: Annotated[str, typer.Argument(metavar=f"DAYS|{_FOR_EVER}", help="Counted from a run's last event.")],
    *,
    state_dir: StateDir,
    postgres: Postgres = None,
    statistics_days: Annotated[
        str, typer.Option(metavar=f"DAYS|{_FOR_EVER}", help="For how long statistics are kept: as long as runs, or longer.")
    ] = _FOR_EVER,
    force: Force = False,
) -> None:
    """Set for how long a project's runs are kept, and its statistics, which hold names and figures and no single run."""
    kept, counted = _days_kept(days), _days_kept(statistics_days)
    if counted is not None and (kept is None or counted < kept):
        raise typer.BadParameter("statistics are kept at least as long as runs")
    infrastructure = _infrastructure(state_dir, postgres)
    if not force:
        _refuse_unknown(infrastructure, project)
    _done(infrastructure, lambda: set_retention(infrastructure.owner_dsn, project, kept, statistics_days=counted))
    ProgressLines()(f"{project} keeps its runs {_for_days(kept)} and its statistics {_for_days(counted)}")


@retention_app.command("show")
def show_kept(
    *,
    project: Annotated[
        str | None, typer.Option(metavar="NAME", callback=_project_name, show_default="all", help="Only this project.")
    ] = None,
    state_dir: StateDir,
    postgres: Postgres = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show for how long each project's runs and statistics are kept."""
    infrastructure = _infrastructure(state_dir, postgres)
    found = _done(infrastructure, lambda: list_retention(infrastructure.owner_dsn))
    if project is not None:
        _refuse_unknown(infrastructure, project)
        found = [one for one in found if one.project == project] or [ProjectRetention(project, None, None)]
    if as_json:
        typer.echo(json.dumps([one._asdict() for one in found], indent=2))
    else:
        show_retention(found, others=project is None)


@retention_app.command("apply")
def remove_expired(*, state_dir: StateDir, postgres: Postgres = None) -> None:
    """Remove the runs that are older than their project keeps them. For a daily timer.

    Exit code: 0 done, 1 some were held by another transaction and are left, 2 it could not be done.
    """
    infrastructure, progress = _infrastructure(state_dir, postgres), ProgressLines()
    applied = _done(infrastructure, lambda: apply_retention(infrastructure.owner_dsn, report=progress))
    days, runs = len(applied.dropped), applied.runs.total()
    progress(f"{runs} runs removed, {applied.one_by_one} of them row by row; {days} days dropped as a whole")
    if not applied.complete:
        show_error(f"another transaction holds what is left ({len(applied.held)} days); the next call removes it")
        raise typer.Exit(EXIT_LEFT)


def _for_days(kept: int | None) -> str:
    return "for ever" if kept is None else f"for {kept} days"


def _days_kept(text: str) -> int | None:
    if text == _FOR_EVER:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_DAYS_MAX)) and 1 <= int(text) <= _DAYS_MAX):
        raise typer.BadParameter(f"a retention is a whole number of days from 1 to {_DAYS_MAX}, or the word {_FOR_EVER}")
    return int(text)


def _refuse_unknown(infrastructure: Infrastructure, project: str) -> None:
    _done(infrastructure, lambda: refuse_unknown_project(infrastructure.owner_dsn, project))


def _done(infrastructure: Infrastructure, work: Callable[[], Awaitable[_T]]) -> _T:
    return run_or_exit(as_proof_errors(infrastructure, work))


def _infrastructure(state_dir: StateDir, postgres: Postgres) -> Infrastructure:
    return Infrastructure(state_dir, existing=ExistingServers(None, postgres), report=ProgressLines())
