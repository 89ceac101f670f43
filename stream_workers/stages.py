"""Rows on their way between core and the database: column names of the stages, and stored rows read back as core's."""

from collections.abc import Mapping
from typing import Any, Final

import asyncpg

from stream_workers.core.account import ProducerRow
from stream_workers.core.diagnosis import Root, Standing, Verdict
from stream_workers.core.rows import FailureRow, StepRow
from stream_workers.core.run import End, RunState
from stream_workers.core.watch import Watch

_IN_MICROSECONDS: Final = {"started_at": "started_us", "occurred_at": "occurred_us"}

STEP_COLUMNS: Final = [_IN_MICROSECONDS.get(name, name) for name in StepRow._fields]
FAILURE_COLUMNS: Final = [*(_IN_MICROSECONDS.get(name, name) for name in FailureRow._fields), *Verdict._fields]
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
    "ended_us",
    "end_digest",
    "end_status",
    "emitted",
    "failure_rank",
    "failure_us",
    "failure_id",
    "failure_type",
    "failure_code",
    "abandon_after_s",
    "first_ended_us",
    "first_event_us",
    "last_event_us",
    "last_received_us",
    "root_failure_id",
    "root_failure_type",
    "root_failure_code",
    "shape",
    "watched",
    "recheck_steps",
    "recheck_until_us",
]
PRODUCER_COLUMNS: Final = list(ProducerRow._fields)
_NO_START: Final = (None,) * 5
_NO_END: Final = (None,) * 4
_NO_FAILURE: Final = (None,) * 5
_NO_ROOT: Final = (None,) * 3


def run_values(state: RunState, standing: Standing, watch: Watch) -> tuple[Any, ...]:
    """A run as a row of `stage_runs`, in the order of RUN_COLUMNS."""
    return (
        state.project,
        state.run_id,
        *state.who,
        *(state.start or _NO_START),
        *(state.end or _NO_END),
        *(state.first_failure or _NO_FAILURE),
        state.abandon_after_s,
        state.first_ended_at,
        state.first_event_at,
        state.last_event_at,
        state.last_received_at,
        *(standing.root or _NO_ROOT),
        standing.shape,
        watch.tokens or None,
        watch.steps,
        watch.until,
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


def stored_verdict(row: Mapping[str, Any]) -> Verdict:
    """What is said of a stored failure."""
    return Verdict(*(row[name] for name in Verdict._fields))


def stored_standing(row: Mapping[str, Any]) -> Standing:
    """What is said of a stored run."""
    root = Root(row["root_failure_id"], row["root_failure_type"], row["root_failure_code"])
    return Standing(None if row["root_failure_id"] is None else root, row["shape"])


def stored_watch(row: Mapping[str, Any]) -> Watch:
    """What the run's diagnosis rests on. A run from before there were diagnoses has none that holds."""
    steps, until = row["recheck_steps"], row["recheck_until_us"]
    return Watch(tuple(row["watched"] or ()), 0 if steps is None and until is None else steps, until)


def stored_end(row: Mapping[str, Any]) -> End | None:
    """A stored run's end."""
    return None if row["ended_us"] is None else End(row["ended_us"], row["end_digest"], row["end_status"], row["emitted"])
