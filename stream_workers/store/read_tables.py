"""The store's tables in the form of `core.fold.Tables`, so that the two can be compared row by row."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import asyncpg

from ddl.rollups import unpack
from stream_workers.core.fold import Rollup, RunCounts, Tables, rollups_of
from stream_workers.core.rows import LossRow
from stream_workers.core.run import FirstFailure, RunIdentity, RunState, Start
from stream_workers.store.staging_rows import (
    stored_end,
    stored_failure,
    stored_failure_verdict,
    stored_producer,
    stored_receipt,
    stored_run_verdict,
    stored_step,
)
from stream_workers.store.statements import QUERIES

_OF_RUNS: Final = ("runs", "steps", "failures", "losses", "producers")
_TABLES: Final = (*_OF_RUNS, "run_rollups", "step_rollups")


async def read_tables(connection: asyncpg.Connection) -> Tables:
    """All tables, whole: for tests and for verifying a bounded store."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = {name: await connection.fetch(*QUERIES[f"stored_{name}"].bind()) for name in _TABLES}
    return _tables(found)


async def read_runs(connection: asyncpg.Connection, project: str, run_ids: Sequence[str]) -> Tables:
    """The rows of these runs; rollups, which are not of single runs, stay empty. The caller holds the snapshot."""
    found: dict[str, Sequence[asyncpg.Record]] = {"run_rollups": (), "step_rollups": ()}
    for name in _OF_RUNS:
        rows = QUERIES[f"stored_{name}"].text
        query = f"SELECT * FROM (\n{rows}\n) AS stored WHERE project = $1 AND run_id = ANY($2::uuid[])"  # noqa: S608 - our own statement
        found[name] = await connection.fetch(query, project, run_ids)
    return _tables(found)


def _tables(found: Mapping[str, Sequence[asyncpg.Record]]) -> Tables:
    steps = [stored_step(row) for row in map(dict, found["steps"])]
    failures = [(stored_failure(row), stored_failure_verdict(row)) for row in map(dict, found["failures"])]
    losses = [LossRow(**{**row, "run_id": str(row["run_id"])}) for row in map(dict, found["losses"])]
    runs = [
        (_run(row), RunCounts(*(row[name] for name in RunCounts.__slots__)), stored_run_verdict(row))
        for row in map(dict, found["runs"])
    ]
    return Tables(
        runs={run[0].key: run for run in runs},
        steps={row.key: row for row in steps},
        failures={failure[0].key: failure for failure in failures},
        losses={row.key: row for row in losses},
        producers={row.key: row for row in map(stored_producer, map(dict, found["producers"]))},
        run_rollups=_rollups(found["run_rollups"]),
        step_rollups=_rollups(found["step_rollups"]),
    )


def _rollups(rows: Sequence[asyncpg.Record]) -> dict[tuple[Any, ...], Rollup]:
    """Rows hold the key, then count, latency, input and output tokens, cost, and the packed histogram."""
    return rollups_of(
        (tuple(key), Rollup(count, int(latency_us), tuple(unpack(packed).items()), int(tokens_in), int(tokens_out), int(cost)))
        for *key, count, latency_us, tokens_in, tokens_out, cost, packed in (row.values() for row in rows)
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
    return ", ".join(_differing(one, other))


def _differing(one: Any, other: Any) -> Iterator[str]:  # noqa: ANN401 - as above, or parts of them
    names = getattr(one, "_fields", range(len(one)))
    for name, a, b in zip(names, one, other, strict=True):
        if a != b:
            parts = isinstance(a, tuple) and type(a) is type(b) and isinstance(name, int)  # a row and what is said of it
            yield from _differing(a, b) if parts else (str(name),)


def _run(row: Mapping[str, Any]) -> RunState:
    def text(name: str) -> str | None:
        return None if row[name] is None else str(row[name])

    said = (row["parent_step_id"], row["metadata"], row["declared_kind"])
    start = Start(row["declared_us"], row["start_digest"], text("parent_run_id"), *said)
    failure = FirstFailure(row["failure_rank"], row["failure_us"], row["failure_id"], row["failure_type"], row["failure_code"])
    return RunState(
        project=row["project"],
        run_id=str(row["run_id"]),
        identity=RunIdentity(row["identity_rank"], row["agent"], row["agent_version"]),
        start=None if row["declared_us"] is None else start,
        end=stored_end(row),
        first_failure=None if row["failure_rank"] is None else failure,
        abandon_after_s=row["abandon_after_s"],
        session_digest=row["session_digest"],
        first_ended_at=row["first_ended_us"],
        first_event_at=row["first_event_us"],
        last_event_at=row["last_event_us"],
        last_received_at=row["last_received_us"],
        receipt=stored_receipt(row),
    )
