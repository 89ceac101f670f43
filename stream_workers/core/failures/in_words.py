"""The rules of a taxonomy as rows of words: for the page of failures and for `agenttracer taxonomy show`."""

import errno as errno_numbers
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from stream_workers.core.failures.rules import Rule, When

_MEMBERS: Final = {
    "error_class": "class",
    "error_class_has": "class has",
    "error_code": "code",
    "http_status": "HTTP status",
    "http_status_from": "HTTP status from",
    "errno": "errno",
    "finish_reason": "finish reason",
    "kind": "kind of step",
    "result_count": "results",
    "name_has": "name of the tool has",
    "says_nothing": "an answer of no token",
}
"""The members of `When`, in words."""


class RuleInWords(NamedTuple):
    """One rule."""

    id: str
    code: str
    type: str
    evidence: str


def rules_in_words(rules: tuple[Rule, ...], *, mark: Callable[[str], str] = str) -> Iterator[RuleInWords]:
    """The rules in their order. `mark` sets off what is written as it stands."""
    for rule in rules:
        yield RuleInWords(mark(rule.id), mark(rule.code), mark(rule.type) if rule.type else "by kind", _evidence(rule.when, mark))


def _evidence(when: When, mark: Callable[[str], str]) -> str:
    conditions = [f"{_MEMBERS[name]} {_values(name, value, mark)}".strip() for name, value in when._asdict().items() if value]
    return "; ".join(conditions) or "none: whatever failed"


def _values(name: str, value: object, mark: Callable[[str], str]) -> str:
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return str(value)
    assert isinstance(value, tuple | frozenset)
    said = sorted(errno_numbers.errorcode[number] for number in value) if name == "errno" else map(str, sorted(value))
    return ", ".join(map(mark, said))
