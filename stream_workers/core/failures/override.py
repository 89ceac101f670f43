"""A taxonomy as a document: the rules of a known one with some changed, added or removed. Pure; it reads no file.

base = "1"                    # what it starts from
remove = ["class.tool_input"]
[[rule]]                      # replaces the rule of this id in its place, or is new
id = "http.teapot"
code = "invalid_input"
type = "tool"                 # optional: else it follows from the kind of step
before = "http.invalid_input" # optional: where a new rule goes; else before the last one
when = { http_status = [418] }  # the members of `When`, in the same words
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, get_type_hints

from agenttracer.wire.form import is_code
from agenttracer.wire.vocabulary import FailureType, StepKind
from stream_workers.core.failures.rules import Rule, Taxonomy, When
from stream_workers.core.failures.v1 import V1
from stream_workers.core.failures.v2 import V2

KNOWN: Final[Mapping[str, Taxonomy]] = {V1.name: V1, V2.name: V2}
"""The taxonomies of this release, by name."""
_MEMBERS: Final = {"base", "remove", "rule"}
_RULE_MEMBERS: Final = {"id", "code", "type", "before", "silent", "when"}
_WORDS: Final = frozenset({"error_class", "error_code", "finish_reason"})


class TaxonomyError(ValueError):
    """A document that is no taxonomy. Says which rule and which member, and never what stood there."""


def overridden(document: Mapping[str, Any], *, name: str) -> Taxonomy:
    """The taxonomy that the document describes. Raises TaxonomyError."""
    _only(document, _MEMBERS, "the document")
    base = KNOWN.get(str(document.get("base", V1.name)))
    if base is None:
        raise TaxonomyError(f"base: known here are {', '.join(KNOWN)}")
    gone = _strings(document.get("remove", []), "remove")
    if not gone <= {rule.id for rule in base.rules}:
        raise TaxonomyError("remove: names a rule that the base does not have")
    failed = [rule for rule in base.failed if rule.id not in gone]
    silent = [rule for rule in base.silent if rule.id not in gone]
    for said in document.get("rule", []):
        rule = _rule(said)
        _place(rule, said, silent if said.get("silent", False) else failed)
    return Taxonomy(version=base.version, name=name, failed=tuple(failed), silent=tuple(silent))


def _rule(said: Any) -> Rule:  # noqa: ANN401 - whatever stands in the document
    if not isinstance(said, Mapping) or not isinstance(said.get("id"), str):
        raise TaxonomyError("rule: each needs an id")
    _only(said, _RULE_MEMBERS, f"rule {said['id']}")
    code = said.get("code")
    if not isinstance(code, str) or not is_code(code):
        raise TaxonomyError(f"rule {said['id']}: code must be one word in lower case")
    if said.get("type") is not None and said["type"] not in set(FailureType):
        raise TaxonomyError(f"rule {said['id']}: type must be one of {', '.join(FailureType)}")
    return Rule(said["id"], code, _when(said), FailureType(said["type"]) if "type" in said else None)


def _when(said: Mapping[str, Any]) -> When:
    asked = said.get("when")
    place = f"rule {said['id']}: when"
    if not isinstance(asked, Mapping) or not asked:
        raise TaxonomyError(f"{place}: must ask for something")
    _only(asked, set(When._fields), place)
    return When(**{name: _condition(name, value, f"{place}.{name}") for name, value in asked.items()})


def _condition(name: str, value: Any, place: str) -> Any:  # noqa: ANN401 - the members of When
    if name == "says_nothing":
        if value is not True:
            raise TaxonomyError(f"{place}: must be true")
        return value
    if name == "http_status_from":
        if type(value) is not int:
            raise TaxonomyError(f"{place}: must be a number")
        return value
    if get_type_hints(When)[name] == frozenset[int]:
        if not isinstance(value, Sequence) or not all(type(each) is int for each in value):
            raise TaxonomyError(f"{place}: must be a list of numbers")
        return frozenset(value)
    words = _strings(value, place)
    if name == "kind":
        if not words <= set(StepKind):
            raise TaxonomyError(f"{place}: must be of {', '.join(StepKind)}")
        return frozenset(StepKind(word) for word in words)
    lowered = sorted(word.lower() for word in words)
    return frozenset(lowered) if name in _WORDS else tuple(lowered)


def _place(rule: Rule, said: Mapping[str, Any], rules: list[Rule]) -> None:
    ids = [each.id for each in rules]
    if rule.id in ids:
        rules[ids.index(rule.id)] = rule
        return
    before = said.get("before")
    if before is not None and before not in ids:
        raise TaxonomyError(f"rule {rule.id}: before names no rule of its table")
    rules.insert(len(rules) - 1 if before is None else ids.index(before), rule)


def _strings(value: Any, place: str) -> set[str]:  # noqa: ANN401 - whatever stands in the document
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(each, str) for each in value):
        raise TaxonomyError(f"{place}: must be a list of strings")
    return set(value)


def _only(said: Mapping[str, Any], allowed: set[str], place: str) -> None:
    if not set(said) <= allowed:
        raise TaxonomyError(f"{place}: may have {', '.join(sorted(allowed))}")
