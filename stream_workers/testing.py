"""A `RunStore` in memory with the promises of the real one, for tests of ours and of others.

It keeps rows as `core.fold` has them, leaves out deleted runs, and diagnoses as the real store does: new runs from their batch,
known runs only when rows came that their diagnosis rests on.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stream_workers.core.assemble import Rows
from stream_workers.core.deletions import Deletions
from stream_workers.core.diagnosis import HEALTHY, Diagnosis, KnownRun, RunKey, diagnose, diagnoses, grouped, in_reach, judged
from stream_workers.core.fold import Tables, tables_with
from stream_workers.core.rows import FAILURE_KEY, FailureRow, LossRow, Row, StepRow, prefer, settle
from stream_workers.core.run import RunState, merge
from stream_workers.core.sequence_ranges import ProducerRow, merged
from stream_workers.core.step_tree import node_of
from stream_workers.errors import OffsetGapError, WorkerError
from stream_workers.store.batch import PARKED, DeadLetter, Topic, WriteBatch, undecided
from stream_workers.store.lease import refuse_zombie
from stream_workers.store.store import Epochs, Saved, Taken


class MemoryStore:
    """Everything in dictionaries. `fail_next` makes the next saves raise, before or after they took effect."""

    def __init__(self) -> None:
        self.steps: dict[tuple[str, str, str, int], StepRow] = {}
        self.failures: dict[tuple[str, str, str], FailureRow] = {}
        self.runs: dict[tuple[str, str], RunState] = {}
        self.losses: dict[tuple[str, str, str, str], LossRow] = {}
        self.producers: dict[tuple[str, str, str], ProducerRow] = {}
        self.diagnoses: dict[RunKey, Diagnosis] = {}
        self.letters: dict[tuple[int, int], DeadLetter] = {}
        self.tombstones: set[tuple[str, str | None]] = set()
        self._covered: dict[int, set[int]] = {}
        self._lost: dict[int, set[int]] = {}
        self.epochs: dict[int, int] = {}
        self.owners: dict[int, str] = {}
        self.fail_next: list[WorkerError] = []
        self.fail_after_next: list[WorkerError] = []

    async def save(self, topic: Topic, batch: WriteBatch, *, epochs: Epochs | None = None) -> Saved:  # noqa: ARG002 - one topic is enough for a fake
        """See `RunStore.save`."""
        if self.fail_next:
            raise self.fail_next.pop(0)
        self._fence(epochs, [partition for partition, _, _ in batch.coverage])
        holes = {part: self._frontier(part) for part, start, _ in batch.coverage if start > self._frontier(part)}
        if holes:
            raise OffsetGapError(holes)
        left = self._deletions().left_of(batch.rows)
        saved = self._write(left)._replace(deleted=len(batch.rows) - len(left))
        self._write_letters(batch)
        for partition, start, end in batch.coverage:
            self._covered.setdefault(partition, set()).update(range(start, end))
        if self.fail_after_next:
            raise self.fail_after_next.pop(0)
        return saved

    async def frontiers(self, topic: Topic, partitions: Sequence[int]) -> Mapping[int, int]:  # noqa: ARG002 - as above
        """See `RunStore.frontiers`."""
        return {partition: self._frontier(partition) for partition in partitions}

    async def take(self, topic: Topic, partitions: Sequence[int], *, owner: str) -> Mapping[int, Taken]:  # noqa: ARG002 - as above
        """See `RunStore.take`."""
        if self.fail_next:
            raise self.fail_next.pop(0)
        for partition in partitions:
            self.epochs[partition] = self.epochs.get(partition, 0) + 1
            self.owners[partition] = owner
        return {partition: Taken(self.epochs[partition], self._frontier(partition)) for partition in partitions}

    async def record_lost(self, topic: Topic, partition: int, *, start: int, end: int, epoch: int | None = None) -> None:  # noqa: ARG002 - as above
        """See `RunStore.record_lost`."""
        self._fence(None if epoch is None else {partition: epoch}, [partition])
        self._lost.setdefault(partition, set()).update(range(start, end))

    def remove_run(self, project: str, run_id: str) -> int:
        """As `deletion.remove_run`: gone for good. Returns how many rows it had."""
        return self._remove((project, run_id))

    def remove_project(self, project: str) -> int:
        """As `deletion.remove_project`, but for the keys, of which a store of runs knows nothing."""
        return self._remove((project, None))

    async def close(self) -> None:
        """See `RunStore.close`."""

    def tables(self) -> Tables:
        """The stored rows, in the fold's form."""
        rows = Rows(
            steps=list(self.steps.values()),
            failures=list(self.failures.values()),
            runs=list(self.runs.values()),
            losses=list(self.losses.values()),
            producers=list(self.producers.values()),
        )
        return tables_with(rows, self.diagnoses)

    def _fence(self, held: Epochs | None, partitions: Sequence[int]) -> None:
        if held is None:
            return
        refuse_zombie(held, {partition: self.epochs.get(partition, 0) for partition in partitions})
        self.epochs |= {partition: held.get(partition, 0) for partition in partitions}

    def _deletions(self) -> Deletions:
        return Deletions.of(self.tombstones)

    def _remove(self, tombstone: tuple[str, str | None]) -> int:
        self.tombstones.add(tombstone)
        deletions = self._deletions()
        tables: tuple[dict[Any, Any], ...] = (self.steps, self.failures, self.runs, self.losses, self.producers)
        # Failures that diagnoses derived are rows of the real store, too.
        found = sum(len(one.loops) for key, one in self.diagnoses.items() if deletions.has(*key))
        self.diagnoses = {key: one for key, one in self.diagnoses.items() if not deletions.has(*key)}
        for table in tables:
            gone = [key for key in table if deletions.has(*key[:2])]
            found += len(gone)
            for key in gone:
                del table[key]
        return found

    def _write_letters(self, batch: WriteBatch) -> None:
        frontiers = {partition: self._frontier(partition) for partition, _, _ in batch.coverage}
        again = [(part, start, min(end, frontiers[part])) for part, start, end in batch.coverage]
        held = {(letter.partition, letter.offset) for letter in batch.letters}
        stored = {(part, at) for part, start, end in again for at in range(start, end)} - held
        self.letters = {at: one for at, one in self.letters.items() if at not in stored or one.reason != PARKED}
        for letter in undecided(batch.letters, frontiers):
            self.letters.setdefault((letter.partition, letter.offset), letter)

    def _write(self, rows: Rows) -> Saved:
        new_steps = sum(row.key not in self.steps for row in rows.steps)
        new_failures = sum(row.key not in self.failures for row in rows.failures)
        outdated = self._outdated(rows)
        for step in rows.steps:
            self.steps[step.key] = prefer(self.steps.get(step.key, step), step)
        for failure in rows.failures:
            self.failures[failure.key] = prefer(self.failures.get(failure.key, failure), failure)
        new_runs = [state for state in rows.runs if state.key not in self.runs]
        for state in rows.runs:
            self.runs[state.key] = merge(self.runs.get(state.key, state), state)
        for loss in rows.losses:
            self.losses[loss.key] = max(self.losses.get(loss.key, loss), loss)
        for producer in rows.producers:
            self.producers[producer.key] = merged([self.producers.get(producer.key, producer), producer])
        self.diagnoses |= diagnoses(new_runs, grouped(rows.steps), grouped(rows.failures))
        self.diagnoses |= {key: self._diagnosis(self.runs[key]) for key in outdated}
        for key, steps in grouped(rows.steps).items():
            before = self.diagnoses.get(key, HEALTHY)
            self.diagnoses[key] = before._replace(triggers=before.triggers.with_work_of(steps))
        return Saved(new_steps, new_failures, len(rows.steps) + len(rows.failures) - new_steps - new_failures)

    def _outdated(self, rows: Rows) -> set[RunKey]:
        """Known runs of which these rows change what their diagnosis rests on."""
        steps, failures = grouped(rows.steps), grouped(rows.failures)
        replaced = _replaced(self.steps, rows.steps) | _replaced(self.failures, rows.failures)
        stored = grouped(self.steps.values())
        found = set()
        for state in rows.runs:
            if state.key not in self.runs:
                continue
            diagnosis = self.diagnoses.get(state.key, HEALTHY)
            before = len(stored.get(state.key, ()))
            known = KnownRun(before, self.runs[state.key].end, diagnosis.run_verdict, diagnosis.triggers)
            looked_at = self._in_reach(state.key, failures.get(state.key, ()))
            if state.key in replaced or known.outdated_by(state, steps.get(state.key, ()), looked_at):
                found.add(state.key)
        return found

    def _in_reach(self, key: RunKey, further: Sequence[FailureRow]) -> Sequence[FailureRow]:
        """Those of a known run's further failures that its diagnosis would look at."""
        said = settle([*(row for row in self.failures.values() if row.key[:2] == key), *further], FAILURE_KEY)
        first = judged(said)
        return in_reach(further, first[-1].occurred_at if len(first) < len(said) else None)

    def _diagnosis(self, state: RunState) -> Diagnosis:
        return diagnose(
            [node_of(row) for row in self.steps.values() if row.key[:2] == state.key],
            [row for row in self.failures.values() if row.key[:2] == state.key],
            project=state.project,
            run_id=state.run_id,
            end_status=None if state.end is None else state.end.end_status,
        )

    def _frontier(self, partition: int) -> int:
        known = self._covered.get(partition, set()) | self._lost.get(partition, set())
        offset = 0
        while offset in known:
            offset += 1
        return offset


def _replaced(stored: Mapping[Any, Row], rows: Sequence[Row]) -> set[RunKey]:
    """Runs of which a stored row loses against one of its key."""
    return {row.key[:2] for row in rows if row.key in stored and prefer(stored[row.key], row) != stored[row.key]}
