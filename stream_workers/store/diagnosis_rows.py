"""Keeps diagnoses of stored runs up to date, within a transaction that has inserted further rows of them.

`core.diagnosis` says what a diagnosis is. A run that is new to the store is diagnosed from its batch alone; one that the store
knows is diagnosed from its stored rows, after those of the batch were inserted among them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import asyncpg

from stream_workers.core.diagnosis import FAILURES_MAX, NOT_JUDGED, Diagnosis, KnownRun, RunKey, diagnose, in_reach
from stream_workers.core.effective_time import FirstReceipt, as_said
from stream_workers.core.rows import RANK_DERIVED, FailureRow
from stream_workers.core.run import RunState, later_end
from stream_workers.core.step_tree import STEPS_MAX, StepNode
from stream_workers.store.insert_rows import JudgedFailure, Shifts, StepsByRun, insert_failures
from stream_workers.store.staging_rows import (
    stored_end,
    stored_failure,
    stored_failure_verdict,
    stored_receipt,
    stored_run_verdict,
    stored_triggers,
)
from stream_workers.store.statements import QUERIES

FailuresByRun = Mapping[RunKey, Sequence[FailureRow]]


class RunBeforeBatch(NamedTuple):
    """A stored run before a batch: what is known of it, how many failures it has, when its steps begin and end (us)."""

    known: KnownRun
    failures: int
    first_event_at: int
    last_event_at: int
    receipt: FirstReceipt | None


class DiagnosisChanges(NamedTuple):
    """A diagnosis compared with the store: verdicts of stored failures that change, derived failures to remove, and new ones."""

    verdicts: Sequence[JudgedFailure]
    gone: Sequence[FailureRow]
    new: Sequence[JudgedFailure]


async def known_runs(connection: asyncpg.Connection, runs: Sequence[RunState]) -> Mapping[RunKey, RunBeforeBatch]:
    """Those of the runs that the store has, locked until the end of the transaction."""
    found = {}
    for project, its in by_project(runs):
        run_ids = [run.run_id for run in its]
        for row in map(dict, await connection.fetch(*QUERIES["known_runs"].bind(project=project, run_ids=run_ids))):
            found[project, row["run_id"]] = _run_before_batch(row)
    return found


async def rediagnose(
    connection: asyncpg.Connection,
    runs: Sequence[RunState],
    known: Mapping[RunKey, RunBeforeBatch],
    *,
    steps: StepsByRun,
    failures: FailuresByRun,
    replaced: frozenset[RunKey],
    shifts: Shifts,
) -> dict[RunKey, Diagnosis]:
    """Diagnose again the known runs that a batch touches, and store what changes of their failures.

    `steps` and `failures` were inserted; of the runs in `replaced` a stored row was replaced. Runs whose diagnosis rests on
    nothing of this are left out. It goes by the times that events said; `shifts` are by how much stored failures differ.
    """
    reached = await _failures_in_reach(connection, failures, known, shifts)
    touched = [
        run
        for run in runs
        if run.key in known
        and (run.key in replaced or known[run.key].known.outdated_by(run, steps.get(run.key, ()), reached.get(run.key, ())))
    ]
    if not touched:
        return {}
    found = await _diagnose(connection, touched, known, failures, shifts)
    await _store_changes(connection, [changes for _, changes in found.values()], shifts)
    return {key: diagnosis for key, (diagnosis, _) in found.items()}


async def _failures_in_reach(
    connection: asyncpg.Connection, inserted: FailuresByRun, known: Mapping[RunKey, RunBeforeBatch], shifts: Shifts
) -> FailuresByRun:
    """Those of the inserted failures that the diagnoses of their runs look at. Only a run with many failures is asked for."""
    many = [key for key in inserted if key in known and known[key].failures >= FAILURES_MAX]
    if not many:
        return inserted
    last: dict[RunKey, int] = {}
    for project, keys in groupby(sorted(many), key=itemgetter(0)):
        asked = QUERIES["last_judged"].bind(project=project, run_ids=[run_id for _, run_id in keys], failures_max=FAILURES_MAX)
        found = await connection.fetch(*asked)
        last |= {key: row["occurred_us"] - shifts.get(key, 0) for row in found if (key := (project, row["run_id"]))}
    return {key: in_reach(failures, last.get(key)) for key, failures in inserted.items()}


async def _diagnose(
    connection: asyncpg.Connection,
    runs: Sequence[RunState],
    known: Mapping[RunKey, RunBeforeBatch],
    inserted: FailuresByRun,
    shifts: Shifts,
) -> Mapping[RunKey, tuple[Diagnosis, DiagnosisChanges]]:
    """Diagnoses from the rows that are stored now, and what they change in the store."""
    nodes = await _nodes(connection, runs, known)
    failures = await _failures(connection, runs, inserted, shifts)
    found = {}
    for run in runs:
        end = later_end(known[run.key].known.end, run.end)
        judged = failures.get(run.key, ())
        diagnosis = diagnose(
            nodes.get(run.key, ()),
            [row for row, _ in judged],
            project=run.project,
            run_id=run.run_id,
            end_status=None if end is None else end.end_status,
        )
        found[run.key] = (diagnosis, changes_of(judged, diagnosis))
    return found


def changes_of(stored: Iterable[JudgedFailure], diagnosis: Diagnosis) -> DiagnosisChanges:
    """The changes that `diagnosis` makes to the stored failures."""
    derived = {row.failure_id: row for row, _ in stored if row.failure_rank == RANK_DERIVED}
    wanted = {row.failure_id: row for row in diagnosis.loops}
    gone = [row for failure_id, row in derived.items() if wanted.get(failure_id) != row]
    new = [(row, diagnosis.verdicts[row.failure_id]) for row in diagnosis.loops if derived.get(row.failure_id) != row]
    verdicts = []
    for row, verdict in stored:
        said = diagnosis.verdicts.get(row.failure_id, NOT_JUDGED)
        if said != verdict and row not in gone:
            verdicts.append((row, said))
    return DiagnosisChanges(verdicts, gone, new)


async def _store_changes(connection: asyncpg.Connection, changes: Sequence[DiagnosisChanges], shifts: Shifts) -> None:
    for row in (row for one in changes for row in one.gone):
        await connection.execute(
            *QUERIES["remove_failure"].bind(project=row.project, run_id=row.run_id, failure_id=row.failure_id)
        )
    derived = [judged for one in changes for judged in one.new]
    if derived:
        await connection.execute(*QUERIES["empty_failure_stage"].bind())
        await insert_failures(connection, derived, shifts)
    await _update_verdicts(connection, [judged for one in changes for judged in one.verdicts])


async def _update_verdicts(connection: asyncpg.Connection, judged: Sequence[JudgedFailure]) -> None:
    names = ("run_ids", "failure_ids", "outcomes", "causes", "fingerprints")
    for project, its in groupby(sorted(judged, key=_key_of_judged), key=lambda one: one[0].project):
        columns = map(list, zip(*((*row.key[1:], *verdict) for row, verdict in its), strict=True))
        await connection.execute(*QUERIES["judge_failures"].bind(project=project, **dict(zip(names, columns, strict=True))))


async def _nodes(
    connection: asyncpg.Connection, runs: Sequence[RunState], known: Mapping[RunKey, RunBeforeBatch]
) -> Mapping[RunKey, list[StepNode]]:
    found: dict[RunKey, list[StepNode]] = {}
    for project, its in by_project(runs):
        statement = QUERIES["steps_of_runs"].bind(
            project=project,
            run_ids=[run.run_id for run in its],
            first_us=[min(known[run.key].first_event_at, run.first_event_at) for run in its],
            last_us=[max(known[run.key].last_event_at, run.last_event_at) for run in its],
            steps_max=STEPS_MAX,
        )
        for run_id, *node in await connection.fetch(*statement):
            found.setdefault((project, run_id), []).append(StepNode(*node))
    return found


async def _failures(
    connection: asyncpg.Connection, runs: Sequence[RunState], inserted: FailuresByRun, shifts: Shifts
) -> Mapping[RunKey, list[JudgedFailure]]:
    found: dict[RunKey, list[JudgedFailure]] = {}
    for project, its in by_project(runs):
        # Those judged before were the first ones. Only failures inserted since can have pushed them back.
        enough = [FAILURES_MAX + len(inserted.get(run.key, ())) for run in its]
        run_ids = [run.run_id for run in its]
        statement = QUERIES["failures_of_runs"].bind(project=project, run_ids=run_ids, failures=enough)
        for record in map(dict, await connection.fetch(*statement)):
            row = as_said(stored_failure(record), shifts)
            found.setdefault(row.key[:2], []).append((row, stored_failure_verdict(record)))
    return found


def by_project(runs: Iterable[RunState]) -> Iterator[tuple[str, list[RunState]]]:
    """The runs of each project, projects in the order in which every writer locks their rows."""
    for project, its in groupby(sorted(runs, key=lambda run: run.key), key=lambda run: run.project):
        yield project, list(its)


def _key_of_judged(one: JudgedFailure) -> tuple[str, ...]:
    return one[0].key


def _run_before_batch(row: Mapping[str, Any]) -> RunBeforeBatch:
    known = KnownRun(row["step_count"], stored_end(row), stored_run_verdict(row), stored_triggers(row))
    return RunBeforeBatch(known, row["failure_count"], row["first_event_us"], row["last_event_us"], stored_receipt(row))
