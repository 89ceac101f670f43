"""The demo's tables: runs, failures by class, statistics. Pure: answers of the query API in, tables out."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from agenttracer_cli.demo.responses import AgentStatsJson, FailureJson, LatencyJson, RunJson, StepStatsJson

_COLOURS: Final[Mapping[str, str]] = {"success": "green", "partial": "yellow", "failure": "red", "abandoned": "magenta"}


def one_of_each(runs: Iterable[RunJson]) -> list[RunJson]:
    """The first run of each outcome (status and failure code), in the order given."""
    found: dict[tuple[str, str], RunJson] = {}
    for run in runs:
        found.setdefault((run["status"], _code(run)), run)
    return list(found.values())


def run_table(runs: Sequence[RunJson]) -> Table:
    """One line a run."""
    table = _table(("run", "left"), ("agent", "left"), ("status", "left"), ("ms", "right"), ("failure", "left"))
    for run in runs:
        table.add_row(
            run["run_id"],
            f"{run['agent_id']} {run['agent_version']}",
            Text(run["status"], style=_COLOURS.get(run["status"], "")),
            "" if run["latency_ms"] is None else f"{run['latency_ms']:.0f}",
            _code(run),
        )
    return table


def failure_table(failures: Sequence[FailureJson], *, expected: Collection[str]) -> Table:
    """One line a class, the most frequent first; a class that was provoked and not found has a line too."""
    counts = Counter((failure["failure_type"], failure["failure_code"]) for failure in failures)
    rules: dict[tuple[str, str], set[str]] = {}
    for failure in failures:
        rules.setdefault((failure["failure_type"], failure["failure_code"]), set()).add(failure["rule_id"])
    table = _table(("type", "left"), ("code", "left"), ("failures", "right"), ("found by", "left"))
    for (kind, code), count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(kind, code, str(count), ", ".join(sorted(rules[kind, code])))
    for code in sorted(set(expected) - {code for _, code in counts}):
        table.add_row("", Text(code, style="bold red"), "0", Text("provoked and not found", style="bold red"))
    return table


def agent_table(agents: Sequence[AgentStatsJson]) -> Table:
    """One line a version of an agent."""
    table = _table(("agent", "left"), ("runs", "right"), ("failed", "right"), *_PERCENTILES)
    for agent in agents:
        rate = agent["failure_rate"]
        table.add_row(
            f"{agent['agent_id']} {agent['agent_version']}",
            str(agent["runs"]),
            "" if rate is None else f"{rate:.1%}",
            *_percentiles(agent["latency_ms"]),
        )
    return table


def step_table(steps: Sequence[StepStatsJson]) -> Table:
    """One line a step of a version of an agent, which is named where it changes."""
    table = _table(("agent", "left"), ("step", "left"), ("count", "right"), ("errors", "right"), *_PERCENTILES)
    before = ""
    for step in steps:
        agent = f"{step['agent_id']} {step['agent_version']}"
        table.add_row(
            "" if agent == before else agent,
            f"{step['kind']} {step['name']}",
            str(step["steps"]),
            f"{step['error_rate']:.1%}",
            *_percentiles(step["latency_ms"]),
        )
        before = agent
    return table


_PERCENTILES: Final = (("p50 ms", "right"), ("p95 ms", "right"), ("p99 ms", "right"))


def _percentiles(latency: LatencyJson | None) -> list[str]:
    if latency is None:
        return ["", "", ""]
    return [f"{latency['p50']:.1f}", f"{latency['p95']:.1f}", f"{latency['p99']:.1f}"]


def _code(run: RunJson) -> str:
    return "" if run["failure"] is None else run["failure"]["failure_code"]


def _table(*columns: tuple[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name, side in columns:
        table.add_column(name, justify="right" if side == "right" else "left", overflow="fold")
    return table
