"""What a rule may look at: facts about a step or a run's end, none of them content."""

from typing import NamedTuple

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


_NO_EVIDENCE = Evidence()


def facts_of_step(event: StepFinished) -> Facts:
    """The facts of a finished step."""
    return facts_from(StepKind(event.kind), event.evidence, event.metadata, failed=event.status == StepStatus.ERROR)


def facts_of_end(event: RunFinished) -> Facts:
    """The facts of a run's end. Only a failed end with evidence of its own failed here; else its steps say what failed."""
    return facts_from(None, event.evidence, {}, failed=event.status == RunEnd.FAILURE and event.evidence is not None)


def facts_from(kind: StepKind | None, evidence: Evidence | None, metadata: Metadata, *, failed: bool) -> Facts:
    """The facts of what happened, from wherever it is known."""
    known = evidence or _NO_EVIDENCE
    return Facts(
        kind=kind,
        failed=failed,
        error_class=_last_segment(known.error_class or ""),
        error_code=(known.error_code or "").lower(),
        http_status=known.http_status or 0,
        errno=known.errno or 0,
        finish_reason=_label(metadata.get("finish_reason")),
        result_count=_count(metadata.get("result_count")),
    )


def _last_segment(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _label(value: object) -> str:
    return value.lower() if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
