"""Writes the rows of a batch: first inserts them, then rediagnoses the stored runs that they touch, then merges the runs.

All writers keep this one order, and each statement goes through its rows sorted by key, so that no two transactions deadlock.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import asyncpg

from agenttracer.wire.events import COUNT_MAX
from stream_workers.core.assemble import Rows
from stream_workers.core.diagnosis import HEALTHY, NOT_JUDGED, Diagnosis, KnownRun, RunKey, diagnoses, grouped
from stream_workers.core.rows import FailureRow, StepRow
from stream_workers.core.run import ABANDON_AFTER_S
from stream_workers.store.copy import copy_rows
from stream_workers.store.diagnosis_rows import RunBeforeBatch, known_runs, rediagnose
from stream_workers.store.insert_rows import Inserted, JudgedFailure, Shifts, StepsByRun, insert_failures, insert_steps
from stream_workers.store.staging_rows import PRODUCER_COLUMNS, RUN_COLUMNS, producer_values, run_values
from stream_workers.store.statements import QUERIES
from stream_workers.store.store import Saved
from stream_workers.store.time_shifts import move_stored, time_shifts

InsertSteps = Callable[[asyncpg.Connection, Sequence[StepRow], StepsByRun, Shifts], Awaitable[Inserted]]


async def write_rows(connection: asyncpg.Connection, rows: Rows, *, insert_steps: InsertSteps = insert_steps) -> Saved:
    """Write all rows of a batch within the caller's transaction. `insert_steps` may insert the steps in another way."""
    known = await known_runs(connection, rows.runs)
    shifts = time_shifts(rows.runs, known)
    batch = _Batch(rows, grouped(rows.steps), grouped(rows.failures), known, shifts.now)
    await move_stored(connection, shifts)
    inserted = await _insert_rows(connection, batch, insert_steps)
    rediagnosed = await rediagnose(
        connection,
        rows.runs,
        batch.known,
        steps=batch.steps,
        failures=batch.failures,
        replaced=inserted.replaced,
        shifts=batch.shifts,
    )
    await _merge_runs(connection, batch, inserted.diagnoses | rediagnosed)
    await _merge_producers(connection, rows)
    await _merge_losses(connection, rows)
    return inserted.saved._replace(time_shifted=shifts.found)


class _Batch(NamedTuple):
    """Rows to write, their steps and failures by run, those of their runs that the store has, and by how much times move."""

    rows: Rows
    steps: StepsByRun
    failures: Mapping[RunKey, Sequence[FailureRow]]
    known: Mapping[RunKey, RunBeforeBatch]
    shifts: Shifts


class _Insertion(NamedTuple):
    """The result of inserting: figures, the diagnoses of new runs, and the runs of which a stored row was replaced."""

    saved: Saved
    diagnoses: dict[RunKey, Diagnosis]
    replaced: frozenset[RunKey]


async def _insert_rows(connection: asyncpg.Connection, batch: _Batch, insert_steps: InsertSteps) -> _Insertion:
    """Insert steps and failures. A run that is new to the store is diagnosed from the batch alone."""
    rows = batch.rows
    found = diagnoses([run for run in rows.runs if run.key not in batch.known], batch.steps, batch.failures)
    steps = await insert_steps(connection, rows.steps, batch.steps, batch.shifts)
    judged = _judged(rows.failures, found)
    failures = await insert_failures(connection, judged, batch.shifts)
    new = steps.new + failures.new
    saved = Saved(steps.new, failures.new, repeated=len(rows.steps) + len(judged) - new)
    return _Insertion(saved, found, steps.replaced | failures.replaced)


def _judged(failures: Sequence[FailureRow], found: Mapping[RunKey, Diagnosis]) -> list[JudgedFailure]:
    """The failures to insert: those of events, with a verdict where their run is diagnosed, and those of the diagnoses."""
    said = [(row, found.get(row.key[:2], HEALTHY).verdicts.get(row.failure_id, NOT_JUDGED)) for row in failures]
    derived = [(row, one.verdicts[row.failure_id]) for one in found.values() for row in one.loops]
    return said + derived


async def _merge_runs(connection: asyncpg.Connection, batch: _Batch, found: Mapping[RunKey, Diagnosis]) -> None:
    """Merge the runs by the rules of `core.run`. A run that was not diagnosed now keeps what the store says of it."""
    values = []
    for run in batch.rows.runs:
        stored = batch.known.get(run.key)
        diagnosis: Diagnosis | KnownRun | None = found.get(run.key)
        if diagnosis is None:
            diagnosis = HEALTHY if stored is None else stored.known
            diagnosis = diagnosis._replace(triggers=diagnosis.triggers.with_work_of(batch.steps.get(run.key, ())))
        values.append(run_values(run, diagnosis.run_verdict, diagnosis.triggers))
    if values:
        await copy_rows(connection, "stage_runs", values, columns=RUN_COLUMNS)
        await connection.execute(*QUERIES["write_runs"].bind(abandon_after_s=ABANDON_AFTER_S, count_max=COUNT_MAX))


async def _merge_producers(connection: asyncpg.Connection, rows: Rows) -> None:
    if rows.producers:
        producers = [producer_values(row) for row in rows.producers]
        await copy_rows(connection, "stage_producers", producers, columns=PRODUCER_COLUMNS)
        await connection.execute(*QUERIES["write_producers"].bind())


async def _merge_losses(connection: asyncpg.Connection, rows: Rows) -> None:
    if rows.losses:
        names = ("projects", "run_ids", "producers", "reasons", "totals")
        columns = map(list, zip(*rows.losses, strict=True))
        await connection.execute(*QUERIES["write_losses"].bind(**dict(zip(names, columns, strict=True))))
