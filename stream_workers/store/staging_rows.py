"""Rows between core and the database: column names of the stages, and stored rows as core's."""

from collections.abc import Mapping
from typing import Any, Final

import asyncpg

from stream_workers.core.diagnosis import FailureVerdict, RootCause, RunVerdict
from stream_workers.core.effective_time import FirstReceipt
from stream_workers.core.rediagnosis import RediagnosisTriggers
from stream_workers.core.rows import FailureRow, StepRow
from stream_workers.core.run import End, RunState
from stream_workers.core.sequence_ranges import ProducerRow

_IN_MICROSECONDS: Final = {"started_at": "started_us", "occurred_at": "occurred_us"}

STEP_COLUMNS: Final = [_IN_MICROSECONDS.get(name, name) for name in StepRow._fields]
FAILURE_COLUMNS: Final = [*(_IN_MICROSECONDS.get(name, name) for name in FailureRow._fields), *FailureVerdict._fields]
RUN_COLUMNS: Final = [
    "project",
    "run_id",
    "identity_rank",
    "agent",
    "agent_version",
    "declared_started_us",
    "start_digest",
    "parent_run_id",
    "parent_step_id",
    "metadata",
    "declared_kind",
    "ended_us",
    "end_digest",
    "end_status",
    "said_success",
    "emitted",
    "end_reason",
    "end_rank",
    "failure_rank",
    "failure_us",
    "failure_id",
    "failure_type",
    "failure_code",
    "abandon_after_s",
    "session_digest",
    "first_ended_us",
    "first_event_us",
    "last_event_us",
    "last_received_us",
    "first_received_us",
    "first_sent_us",
    "root_failure_id",
    "root_failure_type",
    "root_failure_code",
    "shape",
    "watched",
    "recheck_steps",
    "recheck_until_us",
]
PRODUCER_COLUMNS: Final = list(ProducerRow._fields)
_NO_START: Final = (None,) * 6
_NO_END: Final = (None,) * 6
_NO_FAILURE: Final = (None,) * 5
_NO_ROOT: Final = (None,) * 3
_NO_RECEIPT: Final = (None,) * 2


def run_values(state: RunState, verdict: RunVerdict, triggers: RediagnosisTriggers) -> tuple[Any, ...]:
    """A run as a row of `stage_runs`, in the order of RUN_COLUMNS."""
    return (
        state.project,
        state.run_id,
        *state.identity,
        *(state.start or _NO_START),
        *(state.end or _NO_END)[:2],
        verdict.status,
        verdict.said_success,
        *(state.end or _NO_END)[3:5],
        (state.end or _NO_END)[5] or None,  # null is the run's own, as in rows from before there were ranks
        *(state.first_failure or _NO_FAILURE),
        state.abandon_after_s,
        state.session_digest,
        state.first_ended_at,
        state.first_event_at,
        state.last_event_at,
        state.last_received_at,
        *(state.receipt or _NO_RECEIPT),
        *(verdict.root or _NO_ROOT),
        verdict.shape,
        triggers.tokens or None,
        triggers.steps,
        triggers.until,
    )


def producer_values(row: ProducerRow) -> tuple[Any, ...]:
    """A producer's part of a run as a row of `stage_producers`, in the order of PRODUCER_COLUMNS."""
    return (*row[:3], [asyncpg.Range(first, end) for first, end in row.seen], row.emitted)


def stored_producer(row: Mapping[str, Any]) -> ProducerRow:
    """A row of `stored_producers` as core knows it."""
    seen = tuple((part.lower, part.upper) for part in row["seen"])
    return ProducerRow(row["project"], str(row["run_id"]), row["producer"], seen, row["emitted"])


def stored_step(row: Mapping[str, Any]) -> StepRow:
    """A row of `differing_steps` as core knows it."""
    given = {"run_id": str(row["run_id"]), "started_at": row["started_us"], "metadata": row["metadata_text"]}
    return StepRow(**{name: given.get(name, row[name]) for name in StepRow._fields})


def stored_failure(row: Mapping[str, Any]) -> FailureRow:
    """A row of `differing_failures` as core knows it."""
    given = {"run_id": str(row["run_id"]), "occurred_at": row["occurred_us"]}
    return FailureRow(**{name: given.get(name, row[name]) for name in FailureRow._fields})


def stored_failure_verdict(row: Mapping[str, Any]) -> FailureVerdict:
    """The verdict of a stored failure."""
    return FailureVerdict(*(row[name] for name in FailureVerdict._fields))


def stored_run_verdict(row: Mapping[str, Any]) -> RunVerdict:
    """The verdict of a stored run."""
    root = RootCause(row["root_failure_id"], row["root_failure_type"], row["root_failure_code"])
    return RunVerdict(
        None if row["root_failure_id"] is None else root, row["shape"], row["end_status"], said_success=row["said_success"]
    )


def stored_triggers(row: Mapping[str, Any]) -> RediagnosisTriggers:
    """The triggers of a stored run. Those of a run from before there were diagnoses always hit."""
    steps, until = row["recheck_steps"], row["recheck_until_us"]
    return RediagnosisTriggers(tuple(row["watched"] or ()), 0 if steps is None and until is None else steps, until)


def stored_receipt(row: Mapping[str, Any]) -> FirstReceipt | None:
    """A stored run's first receipt."""
    return None if row["first_received_us"] is None else FirstReceipt(row["first_received_us"], row["first_sent_us"])


def stored_end(row: Mapping[str, Any]) -> End | None:
    """A stored run's end."""
    if row["ended_us"] is None:
        return None
    said = "success" if row["said_success"] and row["end_status"] == "partial" else row["end_status"]
    return End(row["ended_us"], row["end_digest"], said, row["emitted"], row["end_reason"], row["end_rank"] or 0)
