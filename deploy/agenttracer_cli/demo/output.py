"""Prints the progress of the demo and its result. A terminal gets moving bars, a log only plain lines."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from agenttracer_cli.demo.figures import Figures
from agenttracer_cli.demo.progress import SendProgress

WIDTH: Final = 100
"""Of a log, and the most that tables take of a wide terminal."""
_LINE_EVERY_S: Final = 3.0


def new_console() -> Console:
    """The console on standard output."""
    terminal = sys.stdout.isatty()
    console = Console(highlight=False, width=None if terminal else WIDTH)
    return console if console.width <= WIDTH else Console(highlight=False, width=WIDTH)


class ProgressDisplay:
    """Shows the progress: one line for each change, and one every 3 s without a change."""

    def __init__(self, console: Console, bars: Progress) -> None:
        self._console = console
        self._bars = bars
        self._began_s = self._last_line_s = time.monotonic()
        self._said: set[str] = set()
        self._accepted = bars.add_task("accepted by the gateway", total=None)
        self._stored = bars.add_task("visible in the query API", total=None)

    def __call__(self, progress: SendProgress) -> None:
        """Show the progress after one more request."""
        sent = progress.sent
        self._bars.update(self._accepted, completed=sent.accepted, total=sent.emitted)
        self._bars.update(self._stored, completed=progress.stored, total=sent.accepted)
        if progress.first_visible_s is not None:
            self._once("the first run is visible")
        if progress.all_visible_s is not None:
            self._once(f"all {sent.accepted:,} accepted events of {len(progress.runs):,} runs are visible")
            if progress.running:
                self._once(f"{progress.running} not ended: waiting until silence makes it abandoned")
        if time.monotonic() - self._last_line_s > _LINE_EVERY_S:
            self._line(
                progress.query_error
                or f"{sent.accepted:,} events accepted, {progress.stored:,} visible, runs not ended: {progress.running:,}"
            )

    def _once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._line(line)

    def _line(self, line: str) -> None:
        self._last_line_s = time.monotonic()
        self._console.print(f"[dim]{self._last_line_s - self._began_s:6.1f} s[/dim]  {escape(line)}", soft_wrap=True)


@contextmanager
def progress_display(console: Console) -> Iterator[ProgressDisplay]:
    """A display whose bars are removed at the end; a log has none."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield ProgressDisplay(console, bars)


def show_section(console: Console, title: str, what: RenderableType, *, note: str = "") -> None:
    """Print a title, an optional note and a table or drawing."""
    console.print(f"\n[bold]{escape(title)}[/bold]" + (f"  [dim]{escape(note)}[/dim]" if note else ""), soft_wrap=True)
    console.print(what)


def show_verdict(console: Console, figures: Figures, *, where: str) -> None:
    """The last lines: accepted against stored, how long it took, and what is missing."""
    equal = figures.accepted == figures.stored
    sign, colour = ("=", "green") if equal else ("≠", "red")
    console.print(f"\n[bold {colour}]{figures.accepted:,} accepted {sign} {figures.stored:,} stored[/bold {colour}]", end="")
    console.print(f"  ({figures.runs:,} runs; {_in_words(figures)})", soft_wrap=True)
    _show_missing(console, figures.missing)
    console.print(f"[dim]figures: {escape(where)}[/dim]", soft_wrap=True)


def _in_words(figures: Figures) -> str:
    if figures.seconds_to_first_visible is None:
        return "none of it is visible"
    first = f"the first run visible after {figures.seconds_to_first_visible:.1f} s"
    rest = figures.seconds_to_visible
    return f"{first}, " + ("never all of it" if rest is None else f"all after {rest:.1f} s")


def _show_missing(console: Console, missing: Sequence[str]) -> None:
    for line in missing:
        console.print(f"[bold red]missing:[/bold red] {escape(line)}", soft_wrap=True)
