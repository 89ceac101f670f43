"""The subcommands by which operators remove data: `agenttracer delete` and `agenttracer retention`."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar
from uuid import UUID

import typer

from agenttracer.wire import form
from deploy.command.guard import outcome_of, refusals
from deploy.command.options import Postgres, StateDir
from deploy.command.screen import Progress, show_error
from deploy.infrastructure import Existing, Infrastructure
from deploy.projects import refuse_unknown_project
from stream_workers.deletion import apply_retention, remove_project, remove_run, set_retention

delete_app = typer.Typer(no_args_is_help=True, help="Remove a run or a project for good.", rich_markup_mode="rich")
retention_app = typer.Typer(no_args_is_help=True, help="Keep runs for so long, and no longer.", rich_markup_mode="rich")
EXIT_LEFT: Final = 1
_FOR_EVER: Final = "forever"
_DAYS_MAX: Final = 36_500
_Answer = TypeVar("_Answer")


def _project_name(text: str) -> str:
    if not form.is_name(text):
        raise typer.BadParameter("a project is letters, digits and _.:/+- after a letter or digit, at most 64 characters")
    return text


Project = Annotated[str, typer.Argument(callback=_project_name, help="The project's name.")]
Force = Annotated[bool, typer.Option("--force", help="Also for a project of which the store has nothing yet.")]


@delete_app.command("run")
def delete_run(
    project: Project, run_id: Annotated[UUID, typer.Argument(help="The run.")], *, state_dir: StateDir, postgres: Postgres = None
) -> None:
    """Remove one run with all its rows. What arrives of it later is left out, and no rebuild brings it back."""
    infrastructure = _infrastructure(state_dir, postgres)
    removed = _done(infrastructure, lambda: remove_run(infrastructure.owner_dsn, project, str(run_id)))
    Progress()(f"{removed.rows} rows removed")


@delete_app.command("project")
def delete_project(
    project: Project,
    *,
    state_dir: StateDir,
    postgres: Postgres = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Force = False,
) -> None:
    """Remove a project with all its runs and revoke its API keys. What arrives of it later is left out, for ever."""
    infrastructure = _infrastructure(state_dir, postgres)
    if not force:
        _refuse_unknown(infrastructure, project)
    if not yes:
        typer.confirm(f"Remove everything of project {project} and revoke its API keys, for good?", abort=True)
    removed = _done(infrastructure, lambda: remove_project(infrastructure.owner_dsn, project))
    Progress()(f"{removed.rows} rows removed, {removed.keys} API keys revoked; who can read the store refuses them within 30 s")


@retention_app.command("set")
def keep_for(
    project: Project,
    days: Annotated[str, typer.Argument(metavar=f"DAYS|{_FOR_EVER}", help="For how long after a run's last event.")],
    *,
    state_dir: StateDir,
    postgres: Postgres = None,
    force: Force = False,
) -> None:
    """Say for how long a project's runs are kept."""
    kept = _days_kept(days)
    infrastructure = _infrastructure(state_dir, postgres)
    if not force:
        _refuse_unknown(infrastructure, project)
    _done(infrastructure, lambda: set_retention(infrastructure.owner_dsn, project, kept))
    Progress()(f"{project} keeps its runs {'for ever' if kept is None else f'for {kept} days'}")


@retention_app.command("apply")
def remove_expired(*, state_dir: StateDir, postgres: Postgres = None) -> None:
    """Remove what is over, by what `retention set` says. For a daily timer."""
    infrastructure, progress = _infrastructure(state_dir, postgres), Progress()
    applied = _done(infrastructure, lambda: apply_retention(infrastructure.owner_dsn, report=progress))
    days, runs = len(applied.dropped), applied.runs.total()
    progress(f"{runs} runs removed, {applied.one_by_one} of them row by row; {days} days dropped as a whole")
    if not applied.complete:
        show_error(f"somebody's transaction holds what is left, {len(applied.held)} days among it; the next call removes it")
        raise typer.Exit(EXIT_LEFT)


def _days_kept(text: str) -> int | None:
    if text == _FOR_EVER:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_DAYS_MAX)) and 1 <= int(text) <= _DAYS_MAX):
        raise typer.BadParameter(f"a retention is a whole number of days from 1 to {_DAYS_MAX}, or the word {_FOR_EVER}")
    return int(text)


def _refuse_unknown(infrastructure: Infrastructure, project: str) -> None:
    _done(infrastructure, lambda: refuse_unknown_project(infrastructure.owner_dsn, project))


def _done(infrastructure: Infrastructure, work: Callable[[], Awaitable[_Answer]]) -> _Answer:
    return outcome_of(refusals(infrastructure, work))


def _infrastructure(state_dir: StateDir, postgres: Postgres) -> Infrastructure:
    return Infrastructure(state_dir, existing=Existing(None, postgres), report=Progress())
