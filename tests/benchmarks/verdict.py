"""A benchmark's verdict: each target with what was found, as a short table for the terminal and as JSON for the file."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Target(NamedTuple):
    """One figure to reach. `passed` is None where this run cannot judge it; `note` says why, or what else to know."""

    name: str
    wanted: str
    found: float
    passed: bool | None
    note: str = ""


def at_least(name: str, found: float, bound: float, *, judged: bool = True, note: str = "") -> Target:
    """A figure that must not be below `bound`."""
    return Target(name, f">= {bound:g}", found, found >= bound if judged else None, note)


def at_most(name: str, found: float, bound: float, *, judged: bool = True, note: str = "") -> Target:
    """A figure that must not be above `bound`."""
    return Target(name, f"<= {bound:g}", found, found <= bound if judged else None, note)


def as_json(targets: Sequence[Target]) -> dict[str, Mapping[str, Any]]:
    """By name."""
    return {
        target.name: {name: value for name, value in target._asdict().items() if name != "name" and value != ""}
        for target in targets
    }


def table(targets: Sequence[Target]) -> str:
    """One line a target."""
    words = {True: "passed", False: "MISSED", None: "not judged"}
    width = max(len(target.name) for target in targets)
    lines = [f"{one.name:<{width}}  {one.found:>9.4g}  {one.wanted:<8}  {words[one.passed]:<10}  {one.note}" for one in targets]
    return "\n".join(line.rstrip() for line in lines)


def exit_code(targets: Sequence[Target]) -> int:
    """1 when one was missed."""
    return 1 if any(target.passed is False for target in targets) else 0
