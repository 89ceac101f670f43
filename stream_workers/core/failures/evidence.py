"""The facts that a rule may look at, about a step or a run's end. None of them is content."""

from functools import lru_cache
from typing import Final, NamedTuple

from agenttracer.wire.events import Evidence, Metadata, RunFinished, StepFinished
from agenttracer.wire.vocabulary import RunEnd, StepKind, StepStatus


class Facts(NamedTuple):
    """Evidence of one step or run's end. `error_class` and `error_code` are lower case; `kind` is None for a run's end."""

    kind: StepKind | None
    failed: bool
    error_class: str
    error_code: str
    http_status: int
    errno: int
    finish_reason: str
    result_count: int | None
    says_nothing: bool = False
    """A model answered with no token."""
    name: str = ""
    """Of the step, in lower case, where it is asked for: of tools."""


_NO_EVIDENCE = Evidence()


def facts_of_step(event: StepFinished) -> Facts:
    """The facts of a finished step."""
    return facts_from(
        StepKind(event.kind), event.evidence, event.metadata, failed=event.status == StepStatus.ERROR, name=event.name
    )


def facts_of_returned(event: StepFinished) -> Facts:
    """The facts of an error that a tool returned: its call went well, and what it said did not."""
    returned = event.returned_error
    assert returned is not None
    said = Evidence(error_class=returned.error_class, error_code=returned.code, http_status=returned.http_status)
    return facts_from(StepKind(event.kind), said, {}, failed=True, name=event.name)


def facts_of_limit(event: RunFinished) -> Facts:
    """The facts of an end by a limit: the limit's name stands for a code."""
    return facts_from(None, Evidence(error_code=event.end_reason), {}, failed=True)


def facts_of_end(event: RunFinished) -> Facts:
    """The facts of a run's end. Only a failed end with evidence of its own failed here; else its steps say what failed."""
    return facts_from(None, event.evidence, {}, failed=event.status == RunEnd.FAILURE and event.evidence is not None)


def facts_from(kind: StepKind | None, evidence: Evidence | None, metadata: Metadata, *, failed: bool, name: str = "") -> Facts:
    """The facts of what happened, from wherever it is known."""
    known = evidence or _NO_EVIDENCE
    return Facts(
        kind=kind,
        failed=failed,
        error_class=_last_segment(known.error_class or ""),
        error_code=(known.error_code or "").lower(),
        http_status=known.http_status or 0,
        errno=known.errno or 0,
        finish_reason=_reason(metadata.get("finish_reason")),
        result_count=_count(metadata.get("result_count")),
        says_nothing=metadata.get("output_tokens") == 0,
        name=name.lower() if kind in _NAMED else "",
    )


def _last_segment(name: str) -> str:
    return name.rpartition(".")[2].lower()


_NAMED: Final = frozenset({StepKind.TOOL, StepKind.RETRIEVE})


@lru_cache(maxsize=1_024)
def _reason(value: object) -> str:
    """A finish reason in one spelling: `FinishReason.MAX_TOKENS`, `max-tokens`, `["stop"]`."""
    if not isinstance(value, str):
        return ""
    return value.strip("[]'\"").rpartition(".")[2].lower().replace("-", "_")


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
