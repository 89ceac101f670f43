"""Runs and steps from the rows of their statements. Nothing is chosen here."""

import asyncio
import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from query_service.store.pool import STATEMENTS, Connection
from query_service.store.rows import ProducerAccount, RunFailure, StoredRun, StoredStep


async def fetch_runs(connection: Connection, project: str, run_ids: Sequence[UUID]) -> Sequence[StoredRun]:
    """These runs, newest first."""
    if not run_ids:
        return []
    rows = await connection.fetch(*STATEMENTS["runs"].bind(project=project, run_ids=run_ids))
    # A run may have thousands of producers: the event loop serves others meanwhile.
    return await asyncio.to_thread(lambda: [_run(row) for row in rows])


def _run(row: asyncpg.Record) -> StoredRun:
    values = dict(row)
    values["failure"], values["root_cause"] = _failure(values, ""), _failure(values, "root_")
    values["status"] = values.pop("status_now")
    values["metadata"] = _members(values["metadata"])
    values["producers"] = [ProducerAccount(**said) for said in json.loads(values["producers"] or "[]")]
    return StoredRun(**values)


def _failure(values: dict[str, Any], prefix: str) -> RunFailure | None:
    found = {name: values.pop(prefix + name) for name in ("failure_type", "failure_code", "failure_id")}
    return RunFailure(**found) if found["failure_id"] is not None else None


async def steps_of(
    connection: Connection, rows: Sequence[asyncpg.Record], *, project: str, run_id: UUID, extent: asyncpg.Record
) -> Sequence[StoredStep]:
    """Steps of a run from their columns, by the time that counts for it. A parent that the run does not have is told apart."""
    there = {row["step_id"] for row in rows}
    wanted = sorted({row["parent_step_id"] for row in rows} - there - {None})
    if wanted:
        bounds = {"first_at": extent["first_event_at"], "last_at": extent["last_event_at"]}
        asked = STATEMENTS["steps_there"].bind(project=project, run_id=run_id, step_ids=wanted, **bounds)
        there |= {row["step_id"] for row in await connection.fetch(*asked)}
    shift = shift_of(extent)
    return [_step(row, there, shift) for row in rows]


def _step(row: asyncpg.Record, there: AbstractSet[str], shift: timedelta) -> StoredStep:
    values = {**row, "started_at": row["started_at"] + shift, "metadata": _members(row["metadata"]), "unknown_parent_id": None}
    if row["parent_step_id"] not in there:
        values |= {"parent_step_id": None, "unknown_parent_id": row["parent_step_id"]}
    return StoredStep(**values)


def shift_of(extent: asyncpg.Record) -> timedelta:
    """By how much the times move that the events of a run say, from its `run_extent`."""
    return timedelta(microseconds=extent["time_shift_us"])


def _members(document: str | None) -> dict[str, Any]:
    """A jsonb object, which asyncpg gives as text."""
    members: dict[str, Any] = json.loads(document) if document is not None else {}
    return members
