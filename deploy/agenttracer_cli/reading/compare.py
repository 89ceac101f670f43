"""`agenttracer compare`: two cohorts of runs, for people and for continuous integration."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID
from xml.etree import ElementTree as ET

import typer
from rich.text import Text

from agenttracer_cli.demo.output import new_console, show_section
from agenttracer_cli.errors import DeployError
from agenttracer_cli.options import StateDir
from agenttracer_cli.outcome import EXIT_COULD_NOT, EXIT_DIFFERENT
from agenttracer_cli.output import note, show_error
from agenttracer_cli.reading.options import AsJson, Key, Since, Until, Url, filters_of, print_json, query_api, time_of
from agenttracer_cli.reading.rules import Verdict, rule_of, verdicts
from agenttracer_cli.reading.tables import calls_table, comparison_table, run_measure_table

EXIT_TOO_FEW: Final = 3
_FURTHER: Final = "A further filter of /v1/runs for A, such as model=gpt-4o. May be repeated."
_SPEC: Final = "AGENT@VERSION, AGENT alone, @VERSION, or @ for all"
_TOO_FEW: Final = "a side has fewer runs that are over than --min-runs; nothing is said of them"


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=f"The runs to compare with: {_SPEC}.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The runs that may be worse, in the same form.")],
    *,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE", help="End with 1 where B minus A is more, such as failure_rate>+2pp. May be repeated."),
    ] = None,
    min_runs: Annotated[int, typer.Option(min=1, metavar="N", help="End with 3 where a side has fewer runs.")] = 1,
    since: Since = None,
    until: Until = None,
    a_since: Since = None,
    a_until: Until = None,
    a_filters: Annotated[list[str] | None, typer.Option("--a", metavar="NAME=VALUE", help=_FURTHER)] = None,
    b_filters: Annotated[list[str] | None, typer.Option("--b", metavar="NAME=VALUE", help="The same of B.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the rules as tests of a JUnit file.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
    state_dir: StateDir,
) -> None:
    """Compare two cohorts of runs: rates, latencies, failures and steps, with intervals; or two runs by their ids.

    Exit code: 0 no rule is broken, 1 one is, 2 the comparison could not be made, 3 too few runs. A rule is broken if the
    difference is too much and its 95 % interval leaves out zero.
    """
    try:
        rules = [rule_of(text) for text in fail_on or []]
        window_b = time_of(since, option="--since"), time_of(until, option="--until")
        window_a = (time_of(a_since, option="--a-since") or window_b[0], time_of(a_until, option="--a-until") or window_b[1])
        api = query_api(url, key, state_dir)
        if _is_run(a) and _is_run(b):
            _show_runs(api.get("/v1/compare/runs", a=a, b=b), as_json=as_json)
            return
        questions = {**_side("a", a, window_a, a_filters), **_side("b", b, window_b, b_filters)}
        found = api.get("/v1/compare", **questions)
        few = min(found[side]["over"] for side in "ab") < min_runs
        said = [] if few else [verdict for rule in rules for verdict in verdicts(rule, found["measures"])]
        if junit is not None:
            _write_junit(junit, said, few=few)
    except (DeployError, OSError) as error:
        show_error(str(error) if isinstance(error, DeployError) else f"--junit: cannot be written ({type(error).__name__})")
        raise typer.Exit(EXIT_COULD_NOT) from None
    _show(found, said, as_json=as_json)
    if few:
        note(_TOO_FEW)
        raise typer.Exit(EXIT_TOO_FEW)
    if any(verdict.broken for verdict in said):
        raise typer.Exit(EXIT_DIFFERENT)


def _side(side: str, spec: str, window: tuple[str | None, str | None], further: Sequence[str] | None) -> dict[str, str]:
    agent, _, version = spec.partition("@")
    since, until = window
    asked = filters_of(further, agent_id=agent or None, agent_version=version or None, since=since, until=until)
    return {f"{side}_{name}": value for name, value in asked.items()}


def _is_run(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _show_runs(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    console, parts = new_console(), found["diverges_at"]
    same = "the same path" if parts is None else f"their paths part at step {parts + 1}"
    show_section(console, "A against B", run_measure_table(found["measures"]), note=same)
    show_section(console, "Steps", calls_table(found["steps"]))


def _show(found: Mapping[str, Any], said: Sequence[Verdict], *, as_json: bool) -> None:
    if as_json:
        print_json({**found, "rules": [asdict(verdict) for verdict in said]})
        return
    console = new_console()
    sides = " against ".join(f"{found[side]['over']:,} runs" for side in "ab")
    show_section(console, "A against B", comparison_table(found["measures"]), note=sides)
    for verdict in said:
        sign, colour = ("✗", "red") if verdict.broken else ("✓", "green")
        console.print(Text(sign, style=colour).append(f" {verdict.rule}: {verdict.measure} {verdict.says}", style="default"))


def _write_junit(path: Path, said: Sequence[Verdict], *, few: bool) -> None:
    """Rules as tests: one that is broken failed. Too few runs are one skipped test. Raises OSError."""
    broken = sum(verdict.broken for verdict in said)
    figures = {"tests": str(len(said) + few), "failures": str(broken), "skipped": str(int(few))}
    suite = ET.Element("testsuite", {"name": "agenttracer compare", **figures})
    if few:
        ET.SubElement(ET.SubElement(suite, "testcase", {"name": "enough runs"}), "skipped", {"message": _TOO_FEW})
    for verdict in said:
        case = ET.SubElement(suite, "testcase", {"classname": verdict.rule, "name": verdict.measure})
        if verdict.broken:
            ET.SubElement(case, "failure", {"message": verdict.says})
    ET.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
