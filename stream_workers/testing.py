"""A `RunStore` in memory with the promises of the real one, for tests of ours and of others. It keeps `core.fold`'s own state."""

from collections.abc import Mapping, Sequence

from stream_workers.batch import Batch, DeadLetter, Topic
from stream_workers.core.assemble import Rows
from stream_workers.core.fold import Tables, tables_of
from stream_workers.core.rows import FailureRow, LossRow, StepRow, prefer
from stream_workers.core.run import RunState, merge
from stream_workers.errors import HoleError, WorkerError
from stream_workers.store import Saved


class MemoryStore:
    """Everything in dictionaries. `fail_next` makes the next saves raise, before or after they took effect."""

    def __init__(self) -> None:
        self.steps: dict[tuple[str, str, str, int], StepRow] = {}
        self.failures: dict[tuple[str, str, str], FailureRow] = {}
        self.runs: dict[tuple[str, str], RunState] = {}
        self.losses: dict[tuple[str, str, str, str], LossRow] = {}
        self.letters: dict[tuple[int, int], DeadLetter] = {}
        self._covered: dict[int, set[int]] = {}
        self._lost: dict[int, set[int]] = {}
        self.fail_next: list[WorkerError] = []
        self.fail_after_next: list[WorkerError] = []

    async def save(self, topic: Topic, batch: Batch) -> Saved:  # noqa: ARG002 - one topic is enough for a fake
        """See `RunStore.save`."""
        if self.fail_next:
            raise self.fail_next.pop(0)
        holes = {part: self._frontier(part) for part, start, _ in batch.coverage if start > self._frontier(part)}
        if holes:
            raise HoleError(holes)
        saved = self._write(batch.rows)
        self.letters |= {(letter.partition, letter.offset): letter for letter in batch.letters}
        for partition, start, end in batch.coverage:
            self._covered.setdefault(partition, set()).update(range(start, end))
        if self.fail_after_next:
            raise self.fail_after_next.pop(0)
        return saved

    async def frontiers(self, topic: Topic, partitions: Sequence[int]) -> Mapping[int, int]:  # noqa: ARG002 - as above
        """See `RunStore.frontiers`."""
        return {partition: self._frontier(partition) for partition in partitions}

    async def record_lost(self, topic: Topic, partition: int, *, start: int, end: int) -> None:  # noqa: ARG002 - as above
        """See `RunStore.record_lost`."""
        self._lost.setdefault(partition, set()).update(range(start, end))

    async def close(self) -> None:
        """See `RunStore.close`."""

    def tables(self) -> Tables:
        """What is stored, in the fold's form."""
        return tables_of(
            Rows(
                steps=list(self.steps.values()),
                failures=list(self.failures.values()),
                runs=list(self.runs.values()),
                losses=list(self.losses.values()),
            )
        )

    def _write(self, rows: Rows) -> Saved:
        new_steps = sum(row.key not in self.steps for row in rows.steps)
        new_failures = sum(row.key not in self.failures for row in rows.failures)
        for step in rows.steps:
            self.steps[step.key] = prefer(self.steps.get(step.key, step), step)
        for failure in rows.failures:
            self.failures[failure.key] = prefer(self.failures.get(failure.key, failure), failure)
        for state in rows.runs:
            self.runs[state.key] = merge(self.runs.get(state.key, state), state)
        for loss in rows.losses:
            self.losses[loss.key] = max(self.losses.get(loss.key, loss), loss)
        return Saved(new_steps, new_failures, len(rows.steps) + len(rows.failures) - new_steps - new_failures)

    def _frontier(self, partition: int) -> int:
        known = self._covered.get(partition, set()) | self._lost.get(partition, set())
        offset = 0
        while offset in known:
            offset += 1
        return offset
