"""One run as a waterfall: its steps as nested, ordered lines with bars on a common time axis. Pure: JSON in, text out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from agenttracer_cli.demo.responses import FailureJson, RunJson, StepJson

_STEP_CHARS: Final = 36
_BAR_MIN_CHARS: Final = 10


@dataclass(frozen=True, kw_only=True)
class Line:
    """One step, how deep it is nested, and what failed at it."""

    step: StepJson
    depth: int
    failures: Sequence[FailureJson]


def lines_of(steps: Sequence[StepJson], failures: Sequence[FailureJson]) -> list[Line]:
    """Every step once, in the API's order, children under their parent. A step whose parent did not arrive stands at the top."""
    at: dict[str | None, list[FailureJson]] = {}
    for failure in failures:
        at.setdefault(failure["step_id"], []).append(failure)
    known = {step["step_id"] for step in steps}
    children: dict[str | None, list[StepJson]] = {}
    for step in steps:
        parent = step["parent_step_id"]
        children.setdefault(parent if parent in known else None, []).append(step)
    return list(_nested(children, parent=None, depth=0, at=at))


def _nested(
    children: Mapping[str | None, Sequence[StepJson]],
    *,
    parent: str | None,
    depth: int,
    at: Mapping[str | None, Sequence[FailureJson]],
) -> Iterator[Line]:
    for step in children.get(parent, ()):
        yield Line(step=step, depth=depth, failures=at.get(step["step_id"], ()))
        yield from _nested(children, parent=step["step_id"], depth=depth + 1, at=at)


def bar(offset_ms: float, latency_ms: float, *, total_ms: float, width: int) -> str:
    """Blocks from where a step began to where it ended, in `width` cells that stand for `total_ms`. Never empty, never wider."""
    scale = width / total_ms if total_ms > 0 else 0.0
    begin = min(max(round(offset_ms * scale), 0), width - 1)
    end = min(max(round((offset_ms + latency_ms) * scale), begin + 1), width)
    return " " * begin + "█" * (end - begin)


def waterfall(run: RunJson, steps: Sequence[StepJson], failures: Sequence[FailureJson], *, width: int) -> Text:
    """The drawing of one run, `width` cells wide; a failure's own line may be longer."""
    total_ms = max([run["latency_ms"] or 0.0, *(step["offset_ms"] + step["latency_ms"] for step in steps)])
    bar_width = max(_BAR_MIN_CHARS, width - len(_columns("", "", "")))
    drawing = Text().append(_columns("  step", "offset ms", "took ms") + _axis(total_ms, width=bar_width), style="dim")
    for line in lines_of(steps, failures):
        drawing.append("\n").append_text(_step_line(line, total_ms=total_ms, width=bar_width))
        for failure in line.failures:
            drawing.append(f"\n{'  ' * (line.depth + 1)}└ {_words(failure)}", style="bold red")
    for failure in failures:
        if failure["step_id"] is None:
            drawing.append(f"\n✗ the run itself: {_words(failure)}", style="bold red")
    return drawing


def _step_line(line: Line, *, total_ms: float, width: int) -> Text:
    step = line.step
    failed = step["status"] == "error" or bool(line.failures)
    sign = "↑" if step["cause_step_id"] else "✗"  # the error only passed through, on its way up from a nested step
    attempt = f" (attempt {step['attempt']})" if step["attempt"] > 1 else ""
    label = f"{sign if failed else ' '} {'  ' * line.depth}{step['kind']} {step['name']}{attempt}"
    figures = _columns(label, f"{step['offset_ms']:.1f}", f"{step['latency_ms']:.1f}")
    blocks = bar(step["offset_ms"], step["latency_ms"], total_ms=total_ms, width=width)
    return Text(figures, style="red" if failed else "").append(blocks, style="red" if failed else "cyan")


def _columns(label: str, offset: str, took: str) -> str:
    return f"{_clipped(label):<{_STEP_CHARS}} {offset:>9} {took:>9}  "


def _clipped(label: str) -> str:
    return label if len(label) <= _STEP_CHARS else f"{label[: _STEP_CHARS - 1]}…"


def _words(failure: FailureJson) -> str:
    said_by = failure["error_class"] or f"rule {failure['rule_id']}"
    return f"{failure['failure_type']} {failure['failure_code']} ({said_by})"


def _axis(total_ms: float, *, width: int) -> str:
    return "0" + f"{total_ms:.0f} ms".rjust(width - 1)
