"""Which failure is only the consequence of another one further inside.

Producers report this themselves where they can (`cause_step_id`; then there is no second failure). This module is for those that
cannot, such as spans that were exported separately.
"""

from collections.abc import Mapping, Sequence

from agenttracer.wire.vocabulary import StepStatus
from stream_workers.core.rows import RANK_RECORDED, RANK_RUN, FailureRow
from stream_workers.core.step_tree import StepNode, StepTree


def causes(failures: Sequence[FailureRow], tree: StepTree) -> Mapping[str, str]:
    """By failure id: the id of the failure that it is the consequence of, which is no consequence itself."""
    candidates = _candidates(failures, tree)
    found: dict[str, str] = {}
    for failure_id, possible in candidates.items():
        origins = [cause for cause in possible if cause.failure_id not in candidates]
        if origins:  # a ring of parents has none
            found[failure_id] = max((cause.occurred_at, cause.failure_id) for cause in origins)[1]
    return found


def _candidates(failures: Sequence[FailureRow], tree: StepTree) -> Mapping[str, list[FailureRow]]:
    """By failure id: all failures that its error may have come from, directly or through others."""
    of_step: dict[str | None, list[FailureRow]] = {}
    for failure in failures:
        of_step.setdefault(failure.step_id, []).append(failure)
    found: dict[str, list[FailureRow]] = {}
    for cause in failures:
        node = tree.find(cause.step_id)
        for step_id in _passed_through(node, tree) if node is not None else ():
            for failure in of_step.get(step_id, ()):
                if _follows(failure, cause):
                    found.setdefault(failure.failure_id, []).append(cause)
    return found


def _passed_through(node: StepNode, tree: StepTree) -> list[str | None]:
    """Ids of the steps above that the error can have passed through; None for the run itself, if no step stopped it."""
    if node.status != StepStatus.ERROR:
        return []
    carriers = list(tree.carriers(node))
    above: list[str | None] = [carrier.step_id for carrier in carriers[1:]]
    return [*above, None] if carriers[-1].parent_step_id is None else above


def _follows(failure: FailureRow, cause: FailureRow) -> bool:
    """The same class, or a failure without a class. A failure that the agent's own code recorded stands for itself."""
    if failure.occurred_at < cause.occurred_at or failure.failure_id == cause.failure_id:
        return False
    if failure.step_id is None and failure.failure_rank != RANK_RUN:
        return False
    if failure.error_class is None:
        return failure.failure_rank != RANK_RECORDED
    return cause.error_class is not None and _bare(failure.error_class) == _bare(cause.error_class)


def _bare(error_class: str) -> str:
    return error_class.rpartition(".")[2]
