"""Tables of failures, comparisons and explanations. Pure: answers of the query API in, tables out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.table import Table
from rich.text import Text

_BARS: Final = " ▁▂▃▄▅▆▇█"
_TREND_CHARS: Final = 24


def group_table(groups: Sequence[Mapping[str, Any]], *, since: str) -> Table:
    """One line a kind of failure; `since` is the begin of the window, after which a kind is new."""
    table = _table("failure", "step", "trend", "failures", "runs", "fatal", "recovered", "fingerprint", right=range(3, 7))
    for group in groups:
        step = group["step"]
        new = " new" if datetime.fromisoformat(group["first_seen"]) >= datetime.fromisoformat(since) else ""
        table.add_row(
            Text(f"{group['failure_type']} {group['failure_code']}").append(new, style="bold yellow"),
            "the run" if step is None else f"{step['kind']} {step['name']}",
            spark_line(group["trend"]),
            *(str(group[figure]) for figure in ("failures", "runs", "fatal", "recovered")),
            group["fingerprint"],
        )
    return table


def comparison_table(measures: Sequence[Mapping[str, Any]]) -> Table:
    """One line a measure; what differs for sure is bold."""
    table = _table("measure", "A", "B", "difference", "95 % interval", "p", right=range(1, 6))
    for one in measures:
        table.add_row(
            Text(name_of(one), style="bold" if one["significant"] else ""),
            *(in_words(one[figure], one["unit"]) for figure in ("a", "b")),
            in_words(one["difference"], one["unit"], signed=True),
            _interval(one),
            "" if one["p_corrected"] is None else f"{one['p_corrected']:.3f}",
        )
    return table


def attribute_table(attributes: Sequence[Mapping[str, Any]]) -> Table:
    """One line an attribute; what differs for sure is bold."""
    table = _table("attribute", "value", "selection", "rest", "difference", "95 % interval", "p", right=range(2, 7))
    for one in attributes:
        sign = "≥ " if one["operator"] == "at_least" else ""
        table.add_row(
            Text(f"{one['attribute']} {one['key'] or ''}".strip(), style="bold" if one["significant"] else ""),
            f"{sign}{one['value']}",
            *(in_words(one[figure], "rate") for figure in ("selection_rate", "rest_rate")),
            in_words(one["difference"], "rate", signed=True),
            _interval({**one, "unit": "rate"}),
            f"{one['p_corrected']:.3f}",
        )
    return table


def run_measure_table(measures: Sequence[Mapping[str, Any]]) -> Table:
    """One line a figure of two runs."""
    table = _table("measure", "A", "B", "difference", right=range(1, 4))
    for one in measures:
        table.add_row(one["measure"], *("" if one[side] is None else f"{one[side]:,.6g}" for side in ("a", "b", "difference")))
    return table


def calls_table(steps: Sequence[Mapping[str, Any]]) -> Table:
    """One line a name of steps, with its calls and errors in two runs."""
    table = _table("step", "A calls", "errors", "ms", "B calls", "errors", "ms", right=range(1, 7))
    for one in steps:
        figures = [f"{one[side][name]:,.6g}" if one[side] else "" for side in "ab" for name in ("calls", "errors", "latency_ms")]
        table.add_row(f"{one['kind']} {one['name']}", *figures)
    return table


def name_of(measure: Mapping[str, Any]) -> str:
    """A measure as rules name it."""
    if measure["step"] is not None:
        return f"{measure['measure']}[{measure['step']['name']}]"
    if measure["failure"] is not None:
        return f"{measure['measure']}[{measure['failure']['failure_code']}]"
    return str(measure["measure"])


def in_words(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A figure with its unit; differences of rates are percentage points."""
    if value is None:
        return ""
    sign = "+" if signed else ""
    if unit == "rate":
        return f"{value * 100:{sign}.2f} {'pp' if signed else '%'}"
    return f"{value:{sign}.1f}{' ms' if unit == 'ms' else ''}"


def spark_line(counts: Sequence[int]) -> str:
    """Counts as blocks, so many added up that they fit."""
    width = max(1, -(-len(counts) // _TREND_CHARS))
    sums = [sum(counts[begin : begin + width]) for begin in range(0, len(counts), width)]
    most = max(sums, default=0)
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // most) if most else 0] for count in sums)


def _interval(one: Mapping[str, Any]) -> str:
    if one["low"] is None:
        return ""
    return f"{in_words(one['low'], one['unit'], signed=True)} to {in_words(one['high'], one['unit'], signed=True)}"


def _table(*columns: str, right: Sequence[int]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place in right else "left", overflow="fold")
    return table
