"""Loops: one thing done so often under one parent that the run probably goes in circles. A count, so that order cannot matter."""

from collections.abc import Mapping, Sequence
from typing import Final

from agenttracer.wire.vocabulary import FailureCode, FailureType
from stream_workers.core.failures.classify import PRESENT
from stream_workers.core.path import digest
from stream_workers.core.rows import RANK_DERIVED, FailureRow
from stream_workers.core.tree import Place, Shape

REPEATS_MAX: Final = 50
"""Tries of one thing that are still no loop: twice what LangGraph allows a whole graph by default (25), five times the turns of
the OpenAI Agents SDK (10). Pages of one search are often fetched one by one, but rarely more than fifty of them."""
LOOP_RULE: Final = "run.loop"


def loops(project: str, run_id: str, tries: Mapping[Shape, Sequence[Place]]) -> list[FailureRow]:
    """One failure for each thing that was tried more often than `REPEATS_MAX`, under an id made of what was tried."""
    return [_loop(project, run_id, shape, places[REPEATS_MAX]) for shape, places in tries.items() if len(places) > REPEATS_MAX]


def _loop(project: str, run_id: str, shape: Shape, beyond: Place) -> FailureRow:
    return FailureRow(
        project=project,
        run_id=run_id,
        failure_id=digest(("loop", shape.parent_step_id or "", shape.kind, shape.name)),
        failure_rank=RANK_DERIVED,
        occurred_at=beyond.started_at,
        failure_type=FailureType.ORCHESTRATION.value,
        failure_code=FailureCode.LOOP_SUSPECTED.value,
        rule_id=LOOP_RULE,
        taxonomy_version=PRESENT.version,
        step_id=beyond.step_id,
        attempt=None,
        error_class=None,
        error_code=None,
        http_status=None,
        errno=None,
        retry_after_s=None,
        message_chars=None,
        message_fingerprint=None,
        seq=beyond.seq,
        agent=beyond.agent,
        agent_version=beyond.agent_version,
    )
