"""The store's tables read back in the form of `core.fold.Tables`, so that the two can be compared row by row."""

from collections.abc import Mapping
from typing import Any, Final

import asyncpg

from stream_workers.core.fold import Counts, Tables
from stream_workers.core.rows import LossRow
from stream_workers.core.run import End, FirstFailure, RunState, Start, Who
from stream_workers.postgres import QUERIES
from stream_workers.stages import stored_failure, stored_step

_TABLES: Final = ("runs", "steps", "failures", "losses", "run_rollups", "step_rollups")


async def stored_tables(connection: asyncpg.Connection) -> Tables:
    """All tables, whole: for tests and for verifying a bounded store."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = {name: await connection.fetch(QUERIES[f"stored_{name}"]) for name in _TABLES}
    steps = [stored_step(row) for row in map(dict, found["steps"])]
    failures = [stored_failure(row) for row in map(dict, found["failures"])]
    losses = [LossRow(**dict(row)) for row in found["losses"]]
    runs = [(_run(row), Counts(*(row[name] for name in Counts.__slots__))) for row in map(dict, found["runs"])]
    return Tables(
        runs={state.key: (state, counts) for state, counts in runs},
        steps={row.key: row for row in steps},
        failures={row.key: row for row in failures},
        losses={row.key: row for row in losses},
        run_rollups={tuple(row)[:-2]: tuple(row)[-2:] for row in found["run_rollups"]},
        step_rollups={tuple(row)[:-2]: tuple(row)[-2:] for row in found["step_rollups"]},
    )


def differences(wanted: Tables, found: Tables) -> list[str]:
    """One line a differing row: table, key, and which columns differ; the words `missing` or `extra` for whole rows."""
    lines: list[str] = []
    for name in _TABLES:
        ours, theirs = getattr(wanted, name), getattr(found, name)
        lines += [f"{name} {key}: missing" for key in ours.keys() - theirs.keys()]
        lines += [f"{name} {key}: extra" for key in theirs.keys() - ours.keys()]
        lines += [
            f"{name} {key}: {_columns(ours[key], theirs[key])}" for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]
        ]
    return lines


def _columns(one: Any, other: Any) -> str:  # noqa: ANN401 - rows of any table
    names = getattr(one, "_fields", range(len(one)))
    return ", ".join(str(name) for name, a, b in zip(names, one, other, strict=True) if a != b)


def _run(row: Mapping[str, Any]) -> RunState:
    def text(name: str) -> str | None:
        return None if row[name] is None else str(row[name])

    start = Start(row["declared_us"], row["start_digest"], text("parent_run_id"), row["parent_step_id"], row["metadata"])
    end = End(row["ended_us"], row["end_digest"], row["end_status"], row["emitted"])
    failure = FirstFailure(row["failure_rank"], row["failure_us"], row["failure_id"], row["failure_type"], row["failure_code"])
    return RunState(
        project=row["project"],
        run_id=str(row["run_id"]),
        who=Who(row["identity_rank"], row["agent"], row["agent_version"]),
        start=None if row["declared_us"] is None else start,
        end=None if row["ended_us"] is None else end,
        first_failure=None if row["failure_rank"] is None else failure,
        abandon_after_s=row["abandon_after_s"],
        first_ended_at=row["first_ended_us"],
        first_event_at=row["first_event_us"],
        last_event_at=row["last_event_us"],
        last_received_at=row["last_received_us"],
    )
