"""Finds the rule of a table, if any, that explains some facts."""

from functools import lru_cache
from typing import Final

from stream_workers.core.failures.evidence import Facts
from stream_workers.core.failures.rules import Rule, Taxonomy
from stream_workers.core.failures.v2 import V2

PRESENT: Final = V2
"""The taxonomy that is stored."""


@lru_cache(maxsize=4_096)
def classify(facts: Facts, taxonomy: Taxonomy = PRESENT) -> Rule | None:
    """The first rule that matches, or None when nothing failed. Agents fail in few ways, so nearly every answer is known."""
    rules = taxonomy.failed if facts.failed else taxonomy.silent
    return next((rule for rule in rules if rule.when.holds(facts)), None)
