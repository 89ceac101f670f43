"""The store's tables read back in the form of `core.fold.Tables`, so that the two can be compared row by row."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import asyncpg

from stream_workers.core.fold import Counts, Tables
from stream_workers.core.rows import LossRow
from stream_workers.core.run import FirstFailure, RunState, Start, Who
from stream_workers.stages import stored_end, stored_failure, stored_producer, stored_standing, stored_step, stored_verdict
from stream_workers.statements import QUERIES

_OF_RUNS: Final = ("runs", "steps", "failures", "losses", "producers")
_TABLES: Final = (*_OF_RUNS, "run_rollups", "step_rollups")


async def stored_tables(connection: asyncpg.Connection) -> Tables:
    """All tables, whole: for tests and for verifying a bounded store."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = {name: await connection.fetch(QUERIES[f"stored_{name}"]) for name in _TABLES}
    return _tables(found)


async def stored_runs(connection: asyncpg.Connection, project: str, run_ids: Sequence[str]) -> Tables:
    """The rows of these runs; rollups, which are not of single runs, stay empty. The caller holds the snapshot."""
    found: dict[str, Sequence[asyncpg.Record]] = {"run_rollups": (), "step_rollups": ()}
    for name in _OF_RUNS:
        query = f"SELECT * FROM (\n{QUERIES[f'stored_{name}']}\n) AS stored WHERE project = $1 AND run_id = ANY($2::uuid[])"  # noqa: S608 - our own statement
        found[name] = await connection.fetch(query, project, run_ids)
    return _tables(found)


def _tables(found: Mapping[str, Sequence[asyncpg.Record]]) -> Tables:
    steps = [stored_step(row) for row in map(dict, found["steps"])]
    failures = [(stored_failure(row), stored_verdict(row)) for row in map(dict, found["failures"])]
    losses = [LossRow(**{**row, "run_id": str(row["run_id"])}) for row in map(dict, found["losses"])]
    runs = [
        (_run(row), Counts(*(row[name] for name in Counts.__slots__)), stored_standing(row)) for row in map(dict, found["runs"])
    ]
    return Tables(
        runs={run[0].key: run for run in runs},
        steps={row.key: row for row in steps},
        failures={failure[0].key: failure for failure in failures},
        losses={row.key: row for row in losses},
        producers={row.key: row for row in map(stored_producer, map(dict, found["producers"]))},
        run_rollups=_sums(found["run_rollups"]),
        step_rollups=_sums(found["step_rollups"]),
    )


def _sums(rows: Sequence[asyncpg.Record]) -> dict[tuple[Any, ...], tuple[int, int]]:
    """The key, and at its end count and latency."""
    sums = {}
    for row in rows:
        *key, count, latency_us = row.values()
        sums[tuple(key)] = (count, latency_us)
    return sums


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

    start = Start(row["declared_us"], row["start_digest"], text("parent_run_id"), row["parent_step_id"], row["metadata"])
    failure = FirstFailure(row["failure_rank"], row["failure_us"], row["failure_id"], row["failure_type"], row["failure_code"])
    return RunState(
        project=row["project"],
        run_id=str(row["run_id"]),
        who=Who(row["identity_rank"], row["agent"], row["agent_version"]),
        start=None if row["declared_us"] is None else start,
        end=stored_end(row),
        first_failure=None if row["failure_rank"] is None else failure,
        abandon_after_s=row["abandon_after_s"],
        first_ended_at=row["first_ended_us"],
        first_event_at=row["first_event_us"],
        last_event_at=row["last_event_us"],
        last_received_at=row["last_received_us"],
    )
