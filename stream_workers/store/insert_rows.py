"""Inserts steps and failures: COPY into a stage, INSERT from there, and conflicts settled as `core.rows.prefer` says.

An INSERT passes over a key that is stored already. Only where that happened are the stored rows compared: one that loses against
the batch's is removed, and the INSERT runs again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import asyncpg

from stream_workers.core.diagnosis import FailureVerdict, RunKey
from stream_workers.core.effective_time import listed
from stream_workers.core.rows import FailureRow, StepRow, prefer
from stream_workers.store.copy import copy_rows
from stream_workers.store.staging_rows import FAILURE_COLUMNS, STEP_COLUMNS, stored_failure, stored_step
from stream_workers.store.statements import QUERIES

JudgedFailure = tuple[FailureRow, FailureVerdict]
StepsByRun = Mapping[RunKey, Sequence[StepRow]]
Shifts = Mapping[RunKey, int]
"""By how much the times of runs move, where they do (us)."""


class Inserted(NamedTuple):
    """How many rows were new, and the runs of which a stored row was replaced."""

    new: int = 0
    replaced: frozenset[RunKey] = frozenset()


async def insert_steps(connection: asyncpg.Connection, rows: Sequence[StepRow], _: StepsByRun, shifts: Shifts) -> Inserted:
    """Insert steps. Exactly the new ones are counted and rolled up, at the times that count for their runs."""
    if not rows:
        return Inserted()
    await copy_rows(connection, "stage_steps", rows, columns=STEP_COLUMNS)
    return await _insert(connection, _STEPS, rows, shifts)


async def insert_failures(connection: asyncpg.Connection, judged: Sequence[JudgedFailure], shifts: Shifts) -> Inserted:
    """Insert failures, each with its verdict, at the times that count for their runs."""
    if not judged:
        return Inserted()
    rows = [listed(row, shifts) for row, _ in judged]
    records = [(*row, *verdict) for row, (_, verdict) in zip(rows, judged, strict=True)]
    await copy_rows(connection, "stage_failures", records, columns=FAILURE_COLUMNS)
    return await _insert(connection, _FAILURES, rows, shifts)


class _Table(NamedTuple):
    """The statements of one table: insert from its stage, find stored rows with other content, remove one by its key."""

    insert: str
    differing: str
    remove: str
    key: tuple[str, ...]
    stored: Callable[[Mapping[str, Any]], Any]
    counted_by_time: bool


_STEPS: Final = _Table(
    "write_steps",
    "differing_steps",
    "remove_step",
    ("project", "run_id", "step_id", "started_us"),
    stored_step,
    counted_by_time=True,
)
_FAILURES: Final = _Table(
    "write_failures",
    "differing_failures",
    "remove_failure",
    ("project", "run_id", "failure_id"),
    stored_failure,
    counted_by_time=False,
)


async def _insert(connection: asyncpg.Connection, table: _Table, rows: Sequence[Any], shifts: Shifts) -> Inserted:
    """Insert what was copied into the table's stage, which are these rows."""
    insert = QUERIES[table.insert].bind(**{"shifted": bool(shifts)} if table.counted_by_time else {})
    new: int = await connection.fetchval(*insert)
    losers = await _remove_losers(connection, table, rows, shifts) if new < len(rows) else []
    if losers:
        await connection.fetchval(*insert)
    return Inserted(new, frozenset(key[:2] for key in losers))


async def _remove_losers(
    connection: asyncpg.Connection, table: _Table, rows: Sequence[Any], shifts: Shifts
) -> Sequence[tuple[Any, ...]]:
    """Remove stored rows that lose against the batch's. Returns their keys."""
    staged = {row.key: row for row in rows}
    found = [
        table.stored(dict(row))
        for project in sorted({row.project for row in rows})
        for row in await connection.fetch(*QUERIES[table.differing].bind(project=project))
    ]
    losers = [row.key for row in found if prefer(row, staged[row.key]) != row]
    for key in losers:
        shift = {"shift_us": shifts.get(key[:2], 0)} if table.counted_by_time else {}
        await connection.execute(*QUERIES[table.remove].bind(**dict(zip(table.key, key, strict=True)), **shift))
    return losers
