"""The difference between live and shadow: rows added, removed and changed, by table and column, and their runs."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from stream_workers.kafka.topic_log import TopicLog
from stream_workers.operations.rebuild.digest import Run, count_runs, differing_runs, runs_in_motion, snapshot
from stream_workers.operations.rebuild.plan import COLUMNS_NOT_COMPARED, TABLES_FROM_TOPIC, Plan

_RUNS_A_QUERY: Final = 500
NAMED_MAX: Final = 100_000
"""Runs beyond this number are counted and not named."""


@dataclass(slots=True)
class TableDiff:
    """One table, from the live store to the shadow."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    columns: dict[str, int] = field(default_factory=dict)
    """In how many changed rows each column differs."""


@dataclass(slots=True)
class Diff:
    """Empty when every run has the same rows in both."""

    runs_compared: int = 0
    runs_in_motion: int = 0
    """Left out: one of the two had not reached their last records."""
    runs_differing: int = 0
    runs: list[Run] = field(default_factory=list)
    tables: dict[str, TableDiff] = field(default_factory=lambda: {table: TableDiff() for table in TABLES_FROM_TOPIC})

    @property
    def empty(self) -> bool:
        """Whether nothing differs."""
        return not self.runs_differing


async def compare(plan: Plan, log: TopicLog) -> Diff:
    """Compare the digests of both schemas in one snapshot; rows are read only of runs that differ."""
    diff = Diff()
    async with snapshot(plan) as connection:
        moving = await runs_in_motion(connection, plan, log)
        diff.runs_in_motion = len(moving)
        diff.runs_compared = await count_runs(connection, plan) - len(moving)
        keys = {table: await _key(connection, plan, table) for table in TABLES_FROM_TOPIC}
        waiting: list[Run] = []
        async for run in differing_runs(connection, plan):
            if run not in moving:
                waiting.append(run)
                if len(waiting) == _RUNS_A_QUERY:
                    await _add(connection, plan, keys, waiting, diff)
                    waiting = []
        await _add(connection, plan, keys, waiting, diff)
    return diff


async def _key(connection: asyncpg.Connection, plan: Plan, table: str) -> list[str]:
    return [row["attname"] for row in await connection.fetch(*plan.statement("key").bind(table_name=f'"{plan.live}"."{table}"'))]


async def _add(connection: asyncpg.Connection, plan: Plan, keys: Mapping[str, list[str]], runs: list[Run], diff: Diff) -> None:
    diff.runs_differing += len(runs)
    diff.runs += runs[: NAMED_MAX - len(diff.runs)]
    by_project: defaultdict[str, list[str]] = defaultdict(list)
    for project, run_id in runs:
        by_project[project].append(run_id)
    for project, run_ids in by_project.items():
        for table, key in keys.items():
            ours, theirs = [
                await _rows(connection, f'"{schema}"."{table}"', key, project, run_ids) for schema in (plan.live, plan.shadow)
            ]
            _add_rows(diff.tables[table], ours, theirs)


async def _rows(
    connection: asyncpg.Connection, table: str, key: list[str], project: str, run_ids: list[str]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    query = f"SELECT to_jsonb(one)::text AS row FROM {table} AS one WHERE project = $1 AND run_id = ANY($2::uuid[])"  # noqa: S608
    rows = [json.loads(row["row"]) for row in await connection.fetch(query, project, run_ids)]
    return {tuple(row[column] for column in key): row for row in rows}


def _add_rows(diff: TableDiff, ours: Mapping[Any, dict[str, Any]], theirs: Mapping[Any, dict[str, Any]]) -> None:
    diff.added += len(theirs.keys() - ours.keys())
    diff.removed += len(ours.keys() - theirs.keys())
    for key in ours.keys() & theirs.keys():
        columns = [
            name for name, value in ours[key].items() if name not in COLUMNS_NOT_COMPARED and theirs[key].get(name) != value
        ]
        diff.changed += bool(columns)
        for column in columns:
            diff.columns[column] = diff.columns.get(column, 0) + 1
