"""When a run must be diagnosed again.

Reading a run's steps for each event that arrives would cost the square of its length. So a diagnosis names its triggers, and only
an event that hits one has it made again. Skipping never changes a result.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final, NamedTuple
from zlib import crc32

from stream_workers.core.loop_detection import IN_A_ROW, known_work, unknown_work
from stream_workers.core.rows import FailureRow, StepRow
from stream_workers.core.step_tree import STEPS_MAX, StepNode, StepSignature

_WARM: Final = IN_A_ROW // 2
"""A tool that was called so often with unknown work is looked at with each further call; below, so many more steps cannot make
ten in a row."""


class RediagnosisTriggers(NamedTuple):
    """The rows that would change a diagnosis. Not compared with the fold's: they depend on when the run was last diagnosed."""

    tokens: tuple[int, ...] = ()
    """Of steps, signatures and work, by `token_of`. A collision only costs a diagnosis too many."""
    steps: int | None = IN_A_ROW
    """The diagnosis ends to hold when so many steps are stored and a tool's call of unknown work is among the new ones. None: as
    many as are looked at are stored, and tokens count no more."""
    until: int | None = None
    """Any step that began until then can change the diagnosis."""

    def hit_by(self, steps: Sequence[StepRow], *, stored: int) -> bool:
        """Whether these further steps of the run, beside `stored` ones, can change the diagnosis."""
        if self.until is not None and any(row.started_at <= self.until for row in steps):
            return True
        if self.steps is None:
            return False
        if stored + len(steps) >= self.steps and any(unknown_work(row.kind, row.work_digest) for row in steps):
            return True
        work = _work(steps)
        if len(set(work)) < len(work) or stored + len(steps) >= STEPS_MAX:
            return True
        return bool(self.tokens) and not set(chain(work, _touched(steps))).isdisjoint(self.tokens)

    def with_work_of(self, steps: Sequence[StepRow]) -> "RediagnosisTriggers":
        """The triggers after these steps were stored and nothing was diagnosed: what they did may be done again."""
        work = _work(steps) if self.steps is not None else ()
        return self._replace(tokens=tuple(sorted({*self.tokens, *work}))) if work else self


def triggers_of(tokens: Iterable[int], nodes: Sequence[StepNode], loops: Iterable[FailureRow]) -> RediagnosisTriggers:
    """The triggers of a diagnosis that looked at these nodes and found these loops."""
    if len(nodes) >= STEPS_MAX:
        return RediagnosisTriggers((), None, max(node.started_at for node in nodes))
    until = max((loop.occurred_at for loop in loops), default=None)  # an earlier call would move the loop to another step
    calls = Counter(node.name for node in nodes if unknown_work(node.kind, node.work_digest))
    warm = (_token_of_row(name) for name, count in calls.items() if count >= _WARM)
    kept = {*tokens, *warm, *_work(nodes)}
    return RediagnosisTriggers(tuple(sorted(kept)), max(IN_A_ROW, min(len(nodes) + _WARM, STEPS_MAX)), until)


def token_of(what: str | StepSignature) -> int:
    """Of a step's id or of a signature: a number that is the same in every process."""
    return crc32((what if isinstance(what, str) else " ".join(what)).encode())


def _token_of_row(name: str) -> int:
    return crc32(f"row {name}".encode())


def _work(steps: Iterable[StepRow] | Iterable[StepNode]) -> list[int]:
    """Tokens of the known work that the steps did."""
    return [crc32(f"{row.kind} {row.name} {row.work_digest}".encode()) for row in steps if known_work(row.kind, row.work_digest)]


def _touched(steps: Sequence[StepRow]) -> set[int]:
    return (
        {token_of(row.step_id) for row in steps}
        | {token_of(StepSignature(row.kind, row.name)) for row in steps}
        | {_token_of_row(row.name) for row in steps if unknown_work(row.kind, row.work_digest)}
    )
