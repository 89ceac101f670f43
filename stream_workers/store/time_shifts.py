"""Runs whose times count at another moment than they say (`core.effective_time`), within the transaction of a batch.

Rows hold what events say. What moves is where statistics count steps, and the time by which failures are listed. Most batches
have no such run, and pay nothing.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import asyncpg

from stream_workers.core.diagnosis import RunKey
from stream_workers.core.effective_time import earlier, time_shift_us
from stream_workers.core.run import RunState
from stream_workers.store.copy import copy_rows
from stream_workers.store.diagnosis_rows import RunBeforeBatch
from stream_workers.store.statements import QUERIES

_COLUMNS = ("project", "run_id", "old_us", "new_us")


class Shift(NamedTuple):
    """By how much the times of a run moved before the batch, and move from now on (us). Of a new run both are the same."""

    project: str
    run_id: str
    old_us: int
    new_us: int


class TimeShifts(NamedTuple):
    """Those of a batch. `now` has what is not 0; `found` counts runs whose clock is found to be off by this batch."""

    shifts: Sequence[Shift] = ()
    now: Mapping[RunKey, int] = {}
    found: int = 0


def time_shifts(runs: Sequence[RunState], known: Mapping[RunKey, RunBeforeBatch]) -> TimeShifts:
    """The shifts of a batch's runs, of which the store has those in `known`."""
    shifts, found = [], 0
    for run in runs:
        stored = known.get(run.key)
        before = None if stored is None else stored.receipt
        new_us = time_shift_us(earlier(before, run.receipt))
        old_us = new_us if stored is None else time_shift_us(before)
        if new_us or old_us:
            shifts.append(Shift(*run.key, old_us, new_us))
            found += bool(new_us) and (stored is None or not old_us)
    return TimeShifts(shifts, {one[:2]: one.new_us for one in shifts if one.new_us}, found)


async def move_stored(connection: asyncpg.Connection, shifts: TimeShifts) -> None:
    """Move what is stored of runs whose shift is another one now, before rows of the batch are inserted among it."""
    if not shifts.shifts:
        return
    await copy_rows(connection, "stage_shifts", shifts.shifts, columns=_COLUMNS)
    for project in sorted({one.project for one in shifts.shifts if one.old_us != one.new_us}):
        await connection.execute(*QUERIES["move_steps"].bind(project=project))
        await connection.execute(*QUERIES["move_failures"].bind(project=project))
