"""Classifies the stored failures by two taxonomies and counts which ones change their name. Writes nothing."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg

from agenttracer.wire.events import Evidence
from agenttracer.wire.vocabulary import StepKind
from stream_workers.core.failures.classify import classify
from stream_workers.core.failures.evidence import Facts, facts_from
from stream_workers.core.failures.rules import Taxonomy, type_of
from stream_workers.store.statements import QUERIES

EXAMPLES_MAX: Final = 3
NOTHING: Final = "-"
"""Stands for no failure."""
_PAGE: Final = 1_000


class Reclassification(NamedTuple):
    """From one name to another, each type/code or `NOTHING`."""

    before: str
    after: str


@dataclass(slots=True)
class TaxonomyDiff:
    """How often each change occurs, with some runs as examples. `same` counts failures that both name alike."""

    same: int = 0
    changes: Counter[Reclassification] = field(default_factory=Counter)
    examples: dict[Reclassification, list[str]] = field(default_factory=dict)

    def add(self, change: Reclassification, run_id: str) -> None:
        """Count one step or end. Where neither taxonomy sees a failure, nothing is counted."""
        if change.before == change.after:
            self.same += change.before != NOTHING
            return
        self.changes[change] += 1
        runs = self.examples.setdefault(change, [])
        if len(runs) < EXAMPLES_MAX and run_id not in runs:
            runs.append(run_id)

    def rows(self) -> Sequence[tuple[Reclassification, int, Sequence[str]]]:
        """The changes, most frequent first."""
        ordered = sorted(self.changes.items(), key=lambda item: (-item[1], item[0]))
        return [(change, count, self.examples[change]) for change, count in ordered]


async def compare(
    connection: asyncpg.Connection, before: Taxonomy, after: Taxonomy, *, since: datetime, project: str | None = None
) -> TaxonomyDiff:
    """The changes among steps that began and runs that ended since then, of one project or all. One read-only snapshot."""
    matrix = TaxonomyDiff()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for run_id, facts in _stored(connection, since, project):
            matrix.add(Reclassification(_name(facts, before), _name(facts, after)), run_id)
    return matrix


async def _stored(connection: asyncpg.Connection, since: datetime, project: str | None) -> AsyncIterator[tuple[str, Facts]]:
    async for row in connection.cursor(*QUERIES["evidence"].bind(since=since, project=project), prefetch=_PAGE):
        yield row["run_id"], _facts(dict(row))


def _facts(row: Mapping[str, Any]) -> Facts:
    evidence = Evidence(
        error_class=row["error_class"], error_code=row["error_code"], http_status=row["http_status"], errno=row["errno"]
    )
    metadata = json.loads(row["metadata"]) if row["metadata"] else {}
    kind = None if row["kind"] is None else StepKind(row["kind"])
    return facts_from(kind, evidence, metadata, failed=row["failed"], name=row["name"] or "")


def _name(facts: Facts, taxonomy: Taxonomy) -> str:
    rule = classify(facts, taxonomy)
    return NOTHING if rule is None else f"{rule.type or type_of(facts.kind)}/{rule.code}"
