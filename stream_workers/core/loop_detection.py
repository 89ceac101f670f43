"""Loops: a tool called so often with the same work, or so often in a row, that the run probably goes in circles.

- The *same work* (one tool, one digest) ended well three times, or failed three times without success in between. A retry that
  succeeds is none, however often a run needs one.
- Where the work is not known, one tool is called ten times *in a row*: one after the other, with no other tool between them.
  Calls beside each other count once, and steps whose name tells nothing apart are never a loop.

The suspect is the tool, wherever it stands: turns and nodes that call it have ids and parents of their own.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from agenttracer.wire.vocabulary import RESERVED_NAMES, FailureCode, FailureType, StepKind
from stream_workers.core.failures.classify import PRESENT
from stream_workers.core.fingerprint import digest
from stream_workers.core.rows import RANK_DERIVED, FailureRow
from stream_workers.core.step_tree import StepNode

SAME_WORK: Final = 3
"""Of 18 real runs whose own orchestrator saw a loop twice ten did the same three times; of 84 that succeeded none."""
IN_A_ROW: Final = 10
"""Pages of one search are often fetched one by one, but rarely so many without anything else."""
LOOP_RULE: Final = "run.loop"
_CALLS: Final = frozenset({StepKind.TOOL.value, StepKind.RETRIEVE.value})
_TELL_NOTHING_APART: Final = RESERVED_NAMES | {
    *("tool", "span", "execute_tool", "function", "call", "call_tool", "tool_call", "tools/call", "step", "task", "chain", "run"),
    *("invoke", "unknown", "function_call", "client", "request", "mcp"),
}
"""Names of steps that are not a tool's own."""


UNKNOWN_WORK: Final = (StepKind.TOOL, None)
"""Kind and digest of a tool's call whose work is not known."""


def known_work(kind: str, work_digest: str | None) -> bool:
    """Whether a step of this kind is a call whose work is known."""
    return work_digest is not None and kind in _CALLS


def unknown_work(kind: str, work_digest: str | None) -> bool:
    """Whether a step of this kind is a tool's call whose work is not known."""
    return (kind, work_digest) == UNKNOWN_WORK


def loops(project: str, run_id: str, nodes: Sequence[StepNode], failed: Callable[[StepNode], bool]) -> list[FailureRow]:
    """One failure for each tool and work that goes in circles, at the call that makes it so. `nodes` come in their order."""
    found: dict[tuple[str, str, str], StepNode] = {}
    for key, beyond in (*_same_work(nodes, failed), *_in_a_row(nodes)):
        found.setdefault(key, beyond)
    return [_loop(project, run_id, key, beyond) for key, beyond in found.items()]


def _same_work(nodes: Iterable[StepNode], failed: Callable[[StepNode], bool]) -> Iterator[tuple[tuple[str, str, str], StepNode]]:
    successes: dict[tuple[str, str, str], int] = {}
    failures: dict[tuple[str, str, str], int] = {}
    for node in nodes:
        if node.work_digest is None or node.kind not in _CALLS:
            continue
        key = (node.kind, node.name, node.work_digest)
        if failed(node):
            failures[key] = failures.get(key, 0) + 1
        else:
            successes[key] = successes.get(key, 0) + 1
            failures.pop(key, None)
        if successes.get(key, 0) >= SAME_WORK or failures.get(key, 0) >= SAME_WORK:
            yield key, node


def _in_a_row(nodes: Iterable[StepNode]) -> Iterator[tuple[tuple[str, str, str], StepNode]]:
    before: StepNode | None = None
    count = ended_at = 0
    for node in nodes:
        if node.kind != StepKind.TOOL:
            continue
        if before is None or before.name != node.name or node.work_digest is not None or before.work_digest is not None:
            count = 0
        elif node.started_at < ended_at:
            ended_at = max(ended_at, node.ended_at)
            continue
        before, ended_at = node, max(ended_at, node.ended_at) if count else node.ended_at
        count += node.work_digest is None and node.name not in _TELL_NOTHING_APART
        if count >= IN_A_ROW:
            yield (node.kind, node.name, ""), node


def _loop(project: str, run_id: str, key: tuple[str, str, str], beyond: StepNode) -> FailureRow:
    return FailureRow(
        project=project,
        run_id=run_id,
        failure_id=digest(("loop", *key)),
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
