"""Keeps diagnoses up to date within a transaction: runs that the store knows, their rows, and what of a diagnosis is news.

What is diagnosed, and how, is `core/diagnosis.py`'s business. A run that the store does not have yet is diagnosed from the batch
alone; any other one from its stored rows, after those of the batch were written among them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg

from stream_workers.core.diagnosis import FAILURES_MAX, NOT_JUDGED, Diagnosis, Known, RunKey, Verdict, diagnose, in_reach
from stream_workers.core.rows import RANK_DERIVED, FailureRow
from stream_workers.core.run import RunState, later_end
from stream_workers.core.tree import STEPS_MAX, Place
from stream_workers.stages import stored_end, stored_failure, stored_standing, stored_verdict, stored_watch
from stream_workers.statements import QUERIES

Judged = tuple[FailureRow, Verdict]


class StoredRun(NamedTuple):
    """A run before the batch: what is known of it, its failures, and between which times its steps lie, in microseconds."""

    known: Known
    failures: int
    first_event_at: int
    last_event_at: int


class News(NamedTuple):
    """What a diagnosis changes in the store: verdicts of stored failures, derived ones that are no more, and new ones."""

    verdicts: Sequence[Judged]
    gone: Sequence[FailureRow]
    new: Sequence[Judged]


async def known_runs(connection: asyncpg.Connection, runs: Sequence[RunState]) -> Mapping[RunKey, StoredRun]:
    """Those of the runs that the store has, locked until the end of the transaction."""
    rows = await connection.fetch(QUERIES["known_runs"], [run.project for run in runs], [run.run_id for run in runs])
    return {(row["project"], row["run_id"]): _stored(row) for row in map(dict, rows)}


async def failures_in_reach(
    connection: asyncpg.Connection, written: Mapping[RunKey, Sequence[FailureRow]], stored: Mapping[RunKey, StoredRun]
) -> Mapping[RunKey, Sequence[FailureRow]]:
    """Those of the failures, which were written now, that the diagnoses of their runs look at. Asks only of runs with many."""
    many = [key for key in written if key in stored and stored[key].failures >= FAILURES_MAX]
    if not many:
        return written
    keys = ([project for project, _ in many], [run_id for _, run_id in many])
    rows = await connection.fetch(QUERIES["last_judged"], *keys, FAILURES_MAX)
    last = {(row["project"], row["run_id"]): row["occurred_us"] for row in rows}
    return {key: in_reach(failures, last.get(key)) for key, failures in written.items()}


async def diagnose_stored(
    connection: asyncpg.Connection,
    runs: Sequence[RunState],
    stored: Mapping[RunKey, StoredRun],
    written: Mapping[RunKey, Sequence[FailureRow]],
) -> Mapping[RunKey, tuple[Diagnosis, News]]:
    """Diagnoses from what is stored now, and what they change there. `written` are failures that came since the last ones."""
    places = await _places(connection, runs, stored)
    failures = await _failures(connection, runs, written)
    found = {}
    for run in runs:
        end = later_end(stored[run.key].known.end, run.end)
        judged = failures.get(run.key, ())
        diagnosis = diagnose(
            places.get(run.key, ()),
            [row for row, _ in judged],
            project=run.project,
            run_id=run.run_id,
            end_status=None if end is None else end.end_status,
        )
        found[run.key] = (diagnosis, news(judged, diagnosis))
    return found


def news(stored: Iterable[Judged], diagnosis: Diagnosis) -> News:
    """What `diagnosis` says that the store does not say yet."""
    derived = {row.failure_id: row for row, _ in stored if row.failure_rank == RANK_DERIVED}
    wanted = {row.failure_id: row for row in diagnosis.loops}
    gone = [row for failure_id, row in derived.items() if wanted.get(failure_id) != row]
    new = [(row, diagnosis.verdicts[row.failure_id]) for row in diagnosis.loops if derived.get(row.failure_id) != row]
    verdicts = []
    for row, verdict in stored:
        said = diagnosis.verdicts.get(row.failure_id, NOT_JUDGED)
        if said != verdict and row not in gone:
            verdicts.append((row, said))
    return News(verdicts, gone, new)


async def judge_failures(connection: asyncpg.Connection, verdicts: Iterable[Judged]) -> None:
    """Write what is said of stored failures."""
    columns = list(zip(*((*row.key, *verdict) for row, verdict in verdicts), strict=True))
    if columns:
        await connection.execute(QUERIES["judge_failures"], *map(list, columns))


async def _places(
    connection: asyncpg.Connection, runs: Sequence[RunState], stored: Mapping[RunKey, StoredRun]
) -> Mapping[RunKey, list[Place]]:
    first = [min(stored[run.key].first_event_at, run.first_event_at) for run in runs]
    last = [max(stored[run.key].last_event_at, run.last_event_at) for run in runs]
    keys = ([run.project for run in runs], [run.run_id for run in runs])
    found: dict[RunKey, list[Place]] = {}
    for project, run_id, *place in await connection.fetch(QUERIES["steps_of_runs"], *keys, first, last, STEPS_MAX):
        found.setdefault((project, run_id), []).append(Place(*place))
    return found


async def _failures(
    connection: asyncpg.Connection, runs: Sequence[RunState], written: Mapping[RunKey, Sequence[FailureRow]]
) -> Mapping[RunKey, list[Judged]]:
    keys = ([run.project for run in runs], [run.run_id for run in runs])
    # What was judged before were the first ones, and can have been pushed back only by what came since.
    enough = [FAILURES_MAX + len(written.get(run.key, ())) for run in runs]
    found: dict[RunKey, list[Judged]] = {}
    for record in map(dict, await connection.fetch(QUERIES["failures_of_runs"], *keys, enough)):
        row = stored_failure(record)
        found.setdefault(row.key[:2], []).append((row, stored_verdict(record)))
    return found


def _stored(row: Mapping[str, Any]) -> StoredRun:
    known = Known(row["step_count"], stored_end(row), stored_standing(row), stored_watch(row))
    return StoredRun(known, row["failure_count"], row["first_event_us"], row["last_event_us"])
