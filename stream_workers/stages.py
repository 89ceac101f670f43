"""Rows on their way between core and the database: column names of the stages, and stored rows read back as core's."""

from collections.abc import Mapping
from typing import Any, Final

from stream_workers.core.rows import FailureRow, StepRow
from stream_workers.core.run import RunState

_IN_MICROSECONDS: Final = {"started_at": "started_us", "occurred_at": "occurred_us"}

STEP_COLUMNS: Final = [_IN_MICROSECONDS.get(name, name) for name in StepRow._fields]
FAILURE_COLUMNS: Final = [_IN_MICROSECONDS.get(name, name) for name in FailureRow._fields]
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
]
_NO_START: Final = (None,) * 5
_NO_END: Final = (None,) * 4
_NO_FAILURE: Final = (None,) * 5


def run_values(state: RunState) -> tuple[Any, ...]:
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
    )


def stored_step(row: Mapping[str, Any]) -> StepRow:
    """A row of `differing_steps` as core knows it."""
    given = {"run_id": str(row["run_id"]), "started_at": row["started_us"], "metadata": row["metadata_text"]}
    return StepRow(**{name: given.get(name, row[name]) for name in StepRow._fields})


def stored_failure(row: Mapping[str, Any]) -> FailureRow:
    """A row of `differing_failures` as core knows it."""
    given = {"run_id": str(row["run_id"]), "occurred_at": row["occurred_us"]}
    return FailureRow(**{name: given.get(name, row[name]) for name in FailureRow._fields})
