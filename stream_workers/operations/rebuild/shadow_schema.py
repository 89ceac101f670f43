"""The shadow schema: made by the migrations, kept between two tries, finished when the bulk is in, dropped.

The caller holds the rebuild's lock: one rebuild at a time.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import asyncpg

from ddl.migrate import SCHEMA, migrate
from servicekit.postgres import open_connection
from stream_workers.core.failures.classify import PRESENT
from stream_workers.errors import RebuildError
from stream_workers.kafka.topic_log import LogRange
from stream_workers.operations.rebuild.plan import APPLICATION, ROLLUP_TABLES, TABLES_FROM_TOPIC, Plan
from stream_workers.operations.rebuild.statistics import add_up

_WORK_MEM: Final = "256MB"  # to sort for indexes and sums, once


@dataclass(frozen=True, slots=True)
class RebuildState:
    """Where a rebuild stands."""

    targets: Mapping[int, int]
    finished: bool
    runs_taken_over: int


class LogCutoff(NamedTuple):
    """The part of the store that the log no longer has, because the topic was cut or made again."""

    before_us: int | None
    """Runs that began before this are older than the log, as far as clocks can tell; None where the log has everything."""
    silent: bool
    """A partition that was cut has no record left that would date its oldest run: any run that the shadow lacks may be its."""

    @property
    def empty(self) -> bool:
        """Whether the log has everything."""
        return self.before_us is None and not self.silent


async def prepare(connection: asyncpg.Connection, plan: Plan, reach: Mapping[int, LogRange]) -> RebuildState:
    """Make the shadow, or find the one that is there. Raises RebuildError where that one does not fit."""
    if await _exists(connection, plan.old):
        raise RebuildError(f"schema {plan.old} of the last rebuild is still there: drop it with `agenttracer rebuild drop-old`")
    await migrate(plan.dsn, schema=plan.shadow)
    await connection.execute(*plan.statement("make_state").bind())
    state = await read_state(connection, plan)
    if state is not None:
        return state
    async with connection.transaction():
        await _begin(connection, plan, reach)
    state = await read_state(connection, plan)
    assert state is not None
    return state


async def read_state(connection: asyncpg.Connection, plan: Plan) -> RebuildState | None:
    """The state that the shadow has; None before the bulk begins. Raises RebuildError."""
    row = await connection.fetchrow(*plan.statement("state").bind())
    if row is None:
        return None
    if (row["topic_id"], row["taxonomy_version"]) != (plan.topic.id, PRESENT.version):
        raise RebuildError("a rebuild of another topic or by other rules was begun: start over with --restart")
    targets = {int(partition): offset for partition, offset in json.loads(row["targets"]).items()}
    return RebuildState(targets, row["finished_at"] is not None, row["runs_taken_over"] or 0)


async def move_targets(
    connection: asyncpg.Connection, plan: Plan, state: RebuildState, reach: Mapping[int, LogRange], *, least_records: int
) -> RebuildState | None:
    """Move the targets to where the live store is now; None, and they stay, where that is fewer than `least_records` further."""
    targets = await _targets(connection, plan, reach)
    if sum(targets.values()) - sum(state.targets.values()) < least_records:
        return None
    await connection.execute(*plan.statement("move_targets").bind(targets=json.dumps(targets)))
    return replace(state, targets=targets)


async def _targets(connection: asyncpg.Connection, plan: Plan, reach: Mapping[int, LogRange]) -> dict[int, int]:
    """No further than the live store is now: runs that are taken over from it must hold all rows that the shadow has."""
    rows = await connection.fetch(*plan.statement("live_frontiers").bind(topic_id=plan.topic.id))
    frontiers = {row["partition"]: row["frontier"] for row in rows}
    return {partition: min(frontiers.get(partition, 0), log.end) for partition, log in reach.items()}


async def _begin(connection: asyncpg.Connection, plan: Plan, reach: Mapping[int, LogRange]) -> None:
    targets = await _targets(connection, plan, reach)
    begins = {partition: log.begin for partition, log in reach.items() if log.begin}
    await connection.execute(
        f'LOCK TABLE "{plan.live}".deletions IN SHARE MODE'
    )  # a later deletion finds the shadow, and deletes there, too
    await connection.execute(*plan.statement("take_over_deletions").bind())
    await connection.execute(*plan.statement("take_over_other_topics").bind(topic_id=plan.topic.id))
    for partition, begin in begins.items():
        cut = {"topic_id": plan.topic.id, "topic": plan.topic.name, "partition": partition, "log_begin": begin}
        await connection.execute(*plan.statement("take_over_coverage").bind(**cut))
    letters = plan.statement("take_over_letters").bind(topic_id=plan.topic.id, log_begins=json.dumps(begins))
    await connection.execute(*letters)
    indexes = await connection.fetch(*plan.statement("secondary_indexes").bind(schema_name=f'"{plan.shadow}"'))
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    definitions = [index["definition"] for index in indexes]
    bulk = plan.statement("begin_bulk").bind(
        topic_id=plan.topic.id, taxonomy_version=PRESENT.version, targets=json.dumps(targets), indexes=definitions
    )
    await connection.execute(*bulk)


async def finish(connection: asyncpg.Connection, plan: Plan, *, past: LogCutoff, report: Callable[[str], None]) -> None:
    """Take over runs that the log no longer has, add up, index: one transaction, which can be repeated. Then statistics.

    The steps' statistics are gathered meanwhile, in a session of their own: they take nearly as long as all the rest, and no
    secondary index waits for the steps. Not so where steps are taken over.
    """
    early = ["steps"] if past.empty else []
    await asyncio.gather(_complete(connection, plan, past, report), _analyze_apart(plan, early))
    await _analyze(connection, plan, [table for table in (*TABLES_FROM_TOPIC, *ROLLUP_TABLES) if table not in early])


async def _complete(connection: asyncpg.Connection, plan: Plan, past: LogCutoff, report: Callable[[str], None]) -> None:
    """Change the rows, and mark that it is done, in one transaction."""
    async with connection.transaction(isolation="repeatable_read"):
        # Before the snapshot: a deletion waits now, else taking over runs could bring deleted ones back.
        await connection.execute(f'LOCK TABLE "{plan.live}".deletions IN SHARE MODE')
        await connection.execute(f"SET LOCAL maintenance_work_mem = '{_WORK_MEM}'; SET LOCAL work_mem = '{_WORK_MEM}'")
        taken = 0 if past.empty else await _take_over_runs(connection, plan, past)
        if taken:
            report(f"{taken} runs that the log no longer has whole are taken over from the live store as they are")
        report("adding up")
        await add_up(connection, plan)
        report("indexing")
        row = await connection.fetchrow(*plan.statement("state").bind())
        assert row is not None
        for definition in row["indexes"]:
            await connection.execute(definition)
        await connection.execute(*plan.statement("end_bulk").bind(runs_taken_over=taken))


async def _analyze_apart(plan: Plan, tables: Iterable[str]) -> None:
    async with open_connection(plan.dsn, application_name=APPLICATION) as connection:
        await _analyze(connection, plan, tables)


async def _analyze(connection: asyncpg.Connection, plan: Plan, tables: Iterable[str]) -> None:
    for table in tables:
        await connection.execute(f'ANALYZE "{plan.shadow}".{table}')


async def _take_over_runs(connection: asyncpg.Connection, plan: Plan, past: LogCutoff) -> int:
    await connection.execute(*plan.statement("make_old_runs").bind())
    await connection.execute(*plan.statement("choose_old_runs").bind(before_us=past.before_us, all_missing=past.silent))
    for table in TABLES_FROM_TOPIC:
        columns = await written_columns(connection, plan, table)
        await connection.execute(
            f'DELETE FROM "{plan.shadow}".{table} WHERE (project, run_id) IN (SELECT project, run_id FROM old_runs)'  # noqa: S608
        )
        await connection.execute(
            f'INSERT INTO "{plan.shadow}".{table} ({columns}) SELECT {columns} FROM "{plan.live}".{table} '  # noqa: S608
            "WHERE (project, run_id) IN (SELECT project, run_id FROM old_runs)"
        )
    return int(await connection.fetchval("SELECT count(*) FROM old_runs"))


async def written_columns(connection: asyncpg.Connection, plan: Plan, table: str) -> str:
    """The columns of a table that can be written, for a statement."""
    rows = await connection.fetch(*plan.statement("columns").bind(table_name=f'"{plan.live}"."{table}"'))
    return ", ".join(f'"{row["attname"]}"' for row in rows)


async def drop_shadow(connection: asyncpg.Connection, plan: Plan) -> None:
    """Forget a rebuild that was begun."""
    await connection.execute(f'DROP SCHEMA IF EXISTS "{plan.shadow}" CASCADE')


async def drop_old(dsn: str, *, live: str = SCHEMA) -> bool:
    """Drop what was live before the last swap. False if there is none."""
    async with open_connection(dsn, application_name=APPLICATION) as connection:
        found = await _exists(connection, f"{live}_old")
        await connection.execute(f'DROP SCHEMA IF EXISTS "{live}_old" CASCADE')
        return found


async def _exists(connection: asyncpg.Connection, schema: str) -> bool:
    return await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", f'"{schema}"') is True
