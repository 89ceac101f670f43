"""The rules of `agenttracer compare --fail-on`: what is a regression, and what they say of a comparison. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agenttracer_cli.errors import SettingsError
from agenttracer_cli.reading.tables import in_words, name_of

_FORM: Final = re.compile(
    r"(?P<measure>[a-z][a-z0-9_]*)(?:\[(?P<about>[A-Za-z0-9_.:/+~-]+)\])?"
    r"\s*(?P<side>[<>])\s*(?P<amount>[+-]?\d{1,12}(?:\.\d{1,9})?)\s*(?P<unit>pp|%|ms|s)?"
)
_RULE: Final = (
    "--fail-on must be a measure, > or <, and a difference: failure_rate>+2pp, p95_ms>+10%, p95_ms>+200ms, "
    "step_error_rate[search]>+1pp"
)
_UNITS: Final[Mapping[str, frozenset[str]]] = {
    "rate": frozenset({"pp", "%"}),
    "ms": frozenset({"ms", "s", "%"}),
    "count": frozenset({"", "%"}),
}
"""By the unit of the measure. A percentage is a share of A."""
_SCALE: Final[Mapping[str, float]] = {"pp": 0.01, "ms": 1.0, "s": 1000.0, "": 1.0}


@dataclass(frozen=True)
class Rule:
    """A difference that is too much."""

    text: str
    measure: str
    about: str | None
    grows: bool
    amount: float
    unit: str


@dataclass(frozen=True)
class Verdict:
    """What a rule says of one measure."""

    rule: str
    measure: str
    broken: bool
    says: str


def rule_of(text: str) -> Rule:
    """Raises SettingsError."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise SettingsError(_RULE)
    return Rule(
        text=text.strip(),
        measure=found["measure"],
        about=found["about"],
        grows=found["side"] == ">",
        amount=float(found["amount"]),
        unit=found["unit"] or "",
    )


def verdicts(rule: Rule, measures: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    """One for each measure that the rule is about. Raises SettingsError where there is none, or the unit does not fit."""
    wanted = rule.measure if rule.about is None else f"{rule.measure}[{rule.about}]"
    chosen = [one for one in measures if one["measure"] == rule.measure and (rule.about is None or name_of(one) == wanted)]
    if not chosen:
        raise SettingsError(f"--fail-on names a measure that the comparison does not have; it has: {_names(measures)}")
    if rule.unit not in _UNITS[chosen[0]["unit"]]:
        raise SettingsError(f"--fail-on: {rule.measure} takes {', '.join(sorted(_UNITS[chosen[0]['unit']] - {''}))}")
    return [_verdict(rule, one) for one in chosen]


def _verdict(rule: Rule, one: Mapping[str, Any]) -> Verdict:
    """Broken if the difference is too much and, where an interval is known, not by chance."""
    difference = one["difference"]
    if difference is None:
        return Verdict(rule.text, name_of(one), broken=False, says="one side has nothing to compare")
    limit = rule.amount / 100 * (one["a"] or 0.0) if rule.unit == "%" else rule.amount * _SCALE[rule.unit]
    beyond = difference > limit if rule.grows else difference < limit
    sure = one["low"] is None or (one["low"] > 0 if rule.grows else one["high"] < 0)
    told = f"{in_words(one['a'], one['unit'])} to {in_words(one['b'], one['unit'])}"
    changed = in_words(difference, one["unit"], signed=True)
    return Verdict(
        rule.text,
        name_of(one),
        broken=beyond and sure,
        says=f"{told} ({changed})" + (", which may be chance" if beyond and not sure else ""),
    )


def _names(measures: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(str(one["measure"]) for one in measures))
