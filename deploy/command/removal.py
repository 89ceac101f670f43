"""The subcommands by which operators remove data: `agenttracer delete` and `agenttracer retention`."""

from typing import Annotated, Final
from uuid import UUID

import typer

from deploy.command.guard import outcome_of, refusals
from deploy.command.options import Postgres, StateDir
from deploy.command.screen import Progress, show_error
from deploy.infrastructure import Existing, Infrastructure
from stream_workers.deletion import apply_retention, remove_project, remove_run, set_retention

delete_app = typer.Typer(no_args_is_help=True, help="Remove a run or a project for good.", rich_markup_mode="rich")
retention_app = typer.Typer(no_args_is_help=True, help="Keep runs for so long, and no longer.", rich_markup_mode="rich")
EXIT_LEFT: Final = 1
Project = Annotated[str, typer.Argument(help="The project's name.")]


@delete_app.command("run")
def delete_run(
    project: Project, run_id: Annotated[UUID, typer.Argument(help="The run.")], *, state_dir: StateDir, postgres: Postgres = None
) -> None:
    """Remove one run with all its rows. What arrives of it later is left out, and no rebuild brings it back."""
    infrastructure = _infrastructure(state_dir, postgres)
    removed = outcome_of(refusals(infrastructure, lambda: remove_run(infrastructure.owner_dsn, project, str(run_id))))
    Progress()(f"{removed.rows} rows removed")


@delete_app.command("project")
def delete_project(
    project: Project,
    *,
    state_dir: StateDir,
    postgres: Postgres = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a project with all its runs and revoke its API keys. What arrives of it later is left out, for ever."""
    if not yes:
        typer.confirm(f"Remove everything of project {project} and revoke its API keys, for good?", abort=True)
    infrastructure = _infrastructure(state_dir, postgres)
    removed = outcome_of(refusals(infrastructure, lambda: remove_project(infrastructure.owner_dsn, project)))
    Progress()(f"{removed.rows} rows removed, {removed.keys} API keys revoked; who can read the store refuses them within 30 s")


@retention_app.command("set")
def keep_for(
    project: Project,
    days: Annotated[int | None, typer.Argument(min=1, max=36_500, help="After a run's last event; nothing: for ever.")] = None,
    *,
    state_dir: StateDir,
    postgres: Postgres = None,
) -> None:
    """Say for how long a project's runs are kept."""
    infrastructure = _infrastructure(state_dir, postgres)
    outcome_of(refusals(infrastructure, lambda: set_retention(infrastructure.owner_dsn, project, days)))
    Progress()(f"{project} keeps its runs {'for ever' if days is None else f'for {days} days'}")


@retention_app.command("apply")
def remove_expired(*, state_dir: StateDir, postgres: Postgres = None) -> None:
    """Remove what is over, by what `retention set` says. For a daily timer."""
    infrastructure, progress = _infrastructure(state_dir, postgres), Progress()
    applied = outcome_of(refusals(infrastructure, lambda: apply_retention(infrastructure.owner_dsn, report=progress)))
    days, runs = len(applied.dropped), applied.runs.total()
    progress(f"{runs} runs removed, {applied.one_by_one} of them row by row; {days} days dropped as a whole")
    if not applied.complete:
        show_error(f"somebody's transaction holds what is left, {len(applied.held)} days among it; the next call removes it")
        raise typer.Exit(EXIT_LEFT)


def _infrastructure(state_dir: StateDir, postgres: Postgres) -> Infrastructure:
    return Infrastructure(state_dir, existing=Existing(None, postgres), report=Progress())
