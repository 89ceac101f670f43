"""What the checker can find: the invariants by name, and one broken in one place."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

INVARIANTS = (
    "answers",  # what the services answer adds up; the gateway refuses what is unfit and nothing else
    "lost",  # accepted, and not in the topic or not in the store
    "spurious",  # in the topic or the store, and never offered, or refused
    "corrupt",  # stored with other values than offered
    "unexplained",  # emitted, and neither stored nor dead-lettered nor declared lost nor on its way
    "completeness",  # what the query API says of a run's losses is not what its producers went through
    "duplicate",  # counted more or less often than it is stored
    "fold",  # the store is not what the topic amounts to
    "rollups",  # totals and deltas do not add up to their detail
    "ledger",  # does not cover each offset of the topic, or names losses
    "dead_letters",  # are not exactly the records that cannot be read
    "commits",  # the group has committed what the store did not have
    "tenants",  # a project's key shows other runs than the project's
)
_EXAMPLES = 5


class Finding(NamedTuple):
    """One broken invariant in one place."""

    invariant: str
    where: str


def broken(findings: Iterable[Finding]) -> dict[str, int]:
    """How often each invariant is broken; those that hold are absent."""
    return dict(Counter(finding.invariant for finding in findings))


def examples(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """A few places for each broken invariant."""
    return {name: [one.where for one in findings if one.invariant == name][:_EXAMPLES] for name in broken(findings)}
