"""Prints the progress of a proof and its result. Nothing is decided here."""

from typing import Final, Self

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from agenttracer_cli.output import console, errors
from stream_workers.kafka.offset_ranges import size
from stream_workers.operations.rebuild import RebuildResult
from stream_workers.operations.verify import Report

_RUNS_SHOWN: Final = 20


class Bar:
    """One bar for each stage, on standard error. A call gives the stage, the work done and the total."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=errors
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)


def show_verification(report: Report) -> None:
    """Print the result of `verify`."""
    for one in report.coverage:
        for what, ranges in (("deleted by the topic's retention, nothing to compare with", one.deleted), ("lost", one.lost)):
            if ranges:
                console.print(f"partition {one.partition}: {size(ranges)} offsets {what}: {_shown(ranges)}")
        for what, ranges in (
            ("neither covered nor lost", one.holes),
            ("covered and lost at once", one.overlaps),
            ("covered, but not in this log", one.past_the_end),
        ):
            if ranges:
                console.print(f"[red]partition {one.partition}: {size(ranges)} offsets {what}: {_shown(ranges)}[/red]")
    _show_limits(report)
    for example in report.examples:
        console.print(f"[red]differs[/red]  {escape(example)}", soft_wrap=True)
    verdict = "[green]equal[/green]" if report.equal else f"[bold red]different[/bold red]: {report.differences} rows differ"
    console.print(
        f"{verdict}  {report.records} records, {report.runs_compared} runs, {report.rows_compared} rows compared; "
        f"{report.lag} records not reached by the workers yet"
    )


def show_rebuild(result: RebuildResult) -> None:
    """Print the differences, and whether the stores were swapped."""
    diff = result.diff
    for table, one in diff.tables.items():
        if one.added or one.removed or one.changed:
            columns = ", ".join(f"{name} {count}" for name, count in sorted(one.columns.items()))
            console.print(f"{table:<16} {one.added} added, {one.removed} removed, {one.changed} changed {escape(columns)}")
    for _, run_id in diff.runs[:_RUNS_SHOWN]:
        console.print(f"differs  run {run_id}")
    verdict = "[green]equal[/green]" if diff.empty else f"[bold red]different[/bold red]: {diff.runs_differing} runs"
    taken = f", {result.runs_taken_over} older than the log taken over" if result.runs_taken_over else ""
    console.print(f"{verdict}  {diff.runs_compared} runs compared, {diff.runs_in_motion} in motion left out{taken}")
    if result.pause_s is None:
        console.print("not swapped: the live store is unchanged, the rebuilt one is kept; run this again to go on with it")
    else:
        console.print(f"swapped; writers stood still for {result.pause_s * 1000:.0f} ms, readers never")
        console.print("the old store is kept until `agenttracer rebuild drop-old`")


def _show_limits(report: Report) -> None:
    if report.runs_out_of_reach:
        console.print(f"{report.runs_out_of_reach} runs began before the log does: only what it has of them was looked for")
    if report.other_topics:
        console.print(f"the store also holds rows of {report.other_topics} topics that no longer exist")
    if report.readable_again:
        console.print(f"{report.readable_again} dead letters can be read by this release")


def _shown(ranges: list[tuple[int, int]]) -> str:
    few = ", ".join(f"{start} to {end - 1}" for start, end in ranges[:5])
    return few if len(ranges) <= 5 else f"{few}, …"  # noqa: PLR2004 - a line's worth
