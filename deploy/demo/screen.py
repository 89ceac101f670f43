"""What the demo shows while it waits and when it is done. In a terminal bars move; a log gets plain lines and nothing else."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from deploy.demo.arrival import Arrival
from deploy.demo.figures import Figures

WIDTH: Final = 100
"""Of a log, and the most that tables take of a wide terminal."""
_LINE_EVERY_S: Final = 3.0


def new_console() -> Console:
    """The console on standard output."""
    terminal = sys.stdout.isatty()
    console = Console(highlight=False, width=None if terminal else WIDTH)
    return console if console.width <= WIDTH else Console(highlight=False, width=WIDTH)


class Watch:
    """Shows an arrival as it goes on. A line at every turn of events, and one every 3 s when nothing turns."""

    def __init__(self, console: Console, bars: Progress) -> None:
        self._console = console
        self._bars = bars
        self._began_s = self._last_line_s = time.monotonic()
        self._said: set[str] = set()
        self._accepted = bars.add_task("accepted by the gateway", total=None)
        self._stored = bars.add_task("visible in the query API", total=None)

    def __call__(self, arrival: Arrival) -> None:
        """Take in one more look."""
        sent = arrival.sent
        self._bars.update(self._accepted, completed=sent.accepted, total=sent.emitted)
        self._bars.update(self._stored, completed=arrival.stored, total=sent.accepted)
        if arrival.first_visible_s is not None:
            self._once("the first run is visible")
        if arrival.all_visible_s is not None:
            self._once(f"all {sent.accepted:,} accepted events of {len(arrival.runs):,} runs are visible")
            if arrival.running:
                self._once(f"{arrival.running} not ended: waiting until silence makes it abandoned")
        if time.monotonic() - self._last_line_s > _LINE_EVERY_S:
            self._line(
                arrival.query_error
                or f"{sent.accepted:,} events accepted, {arrival.stored:,} visible, runs not ended: {arrival.running:,}"
            )

    def _once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._line(line)

    def _line(self, line: str) -> None:
        self._last_line_s = time.monotonic()
        self._console.print(f"[dim]{self._last_line_s - self._began_s:6.1f} s[/dim]  {escape(line)}", soft_wrap=True)


@contextmanager
def watching(console: Console) -> Iterator[Watch]:
    """A watch whose bars, where there is a terminal to show them, go away at the end."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield Watch(console, bars)


def show_section(console: Console, title: str, what: RenderableType, *, note: str = "") -> None:
    """A title, a note that may be empty, and what there is to see."""
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
