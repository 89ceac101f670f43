"""The form of a rule: conditions on facts as plain data, and a failure code; and ordered tables of rules. No rule stands here.

All that is given in a `When` must hold; each of its sets holds when the fact is one of its members. Since rules are data, a
table can be written in a file, compared with another one, and tried before it is used.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from agenttracer.wire.vocabulary import FailureType, StepKind
from stream_workers.core.failures.evidence import Facts

Words = frozenset[str]
Numbers = frozenset[int]


class When(NamedTuple):
    """Conditions; what is empty asks for nothing. Classes, codes and reasons are lower case, classes without their module."""

    error_class: Words = frozenset()
    error_class_has: tuple[str, ...] = ()
    """Parts, any of which stands anywhere in the class's name."""
    error_code: Words = frozenset()
    http_status: Numbers = frozenset()
    http_status_from: int = 0
    errno: Numbers = frozenset()
    finish_reason: Words = frozenset()
    kind: frozenset[StepKind] = frozenset()
    result_count: Numbers = frozenset()
    name_has: tuple[str, ...] = ()
    """Parts, any of which stands anywhere in the name of a tool."""
    says_nothing: bool = False
    """A model's answer of no token."""

    def holds(self, facts: Facts) -> bool:
        """Whether all that is asked for is so."""
        return (
            (not self.error_code or facts.error_code in self.error_code)
            and (not self.error_class or facts.error_class in self.error_class)
            and (not self.http_status or facts.http_status in self.http_status)
            and facts.http_status >= self.http_status_from
            and (not self.errno or facts.errno in self.errno)
            and (not self.finish_reason or facts.finish_reason in self.finish_reason)
            and (not self.kind or facts.kind in self.kind)
            and (not self.result_count or facts.result_count in self.result_count)
            and (not self.says_nothing or facts.says_nothing)
            and (not self.error_class_has or any(part in facts.error_class for part in self.error_class_has))
            and (not self.name_has or any(part in facts.name for part in self.name_has))
        )


class Rule(NamedTuple):
    """`id` is stable for ever and stands in every row that the rule classified."""

    id: str
    code: str
    when: When
    type: FailureType | None = None
    """Set where the type does not follow from the kind of step."""


@dataclass(frozen=True, slots=True, eq=False)  # known by identity: its hash is asked for with every classification
class Taxonomy:
    """Two ordered tables, first match wins: of what failed, and of what ended well and was of no use all the same."""

    version: int
    name: str
    failed: tuple[Rule, ...]
    silent: tuple[Rule, ...]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All of them."""
        return (*self.silent, *self.failed)


def type_of(kind: StepKind | None) -> FailureType:
    """The part of the agent that a kind of step stands for."""
    return FailureType.ORCHESTRATION if kind is None else _TYPES[kind]


_TYPES: Final = {
    StepKind.TOOL: FailureType.TOOL,
    StepKind.RETRIEVE: FailureType.RETRIEVAL,
    StepKind.PLAN: FailureType.MODEL,
    StepKind.RESPOND: FailureType.MODEL,
    StepKind.OTHER: FailureType.ORCHESTRATION,
}
