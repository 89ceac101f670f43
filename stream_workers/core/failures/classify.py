"""The way through the table: which rule, if any, explains these facts."""

from stream_workers.core.failures.evidence import Facts
from stream_workers.core.failures.rules import ERROR_RULES, SILENT_RULES, Rule


def classify(facts: Facts) -> Rule | None:
    """The first rule that matches, or None when nothing failed."""
    rules = ERROR_RULES if facts.failed else SILENT_RULES
    return next((rule for rule in rules if rule.matches(facts)), None)
