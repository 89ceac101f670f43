"""The shadow schema: made by the migrations, remembered between two tries, finished once the bulk is in, dropped.

Whoever calls holds the rebuild's lock: one rebuild at a time.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import asyncpg

from ddl.migrate import SCHEMA, migrate
from stream_workers.core.failures.classify import PRESENT
from stream_workers.errors import RebuildError
from stream_workers.rebuild.plan import APPLICATION, FROM_TOPIC, SUMS, Plan
from stream_workers.topic_log import Reach

_WORK_MEM: Final = "256MB"  # to sort for indexes and sums, once


@dataclass(frozen=True, slots=True)
class State:
    """Where a rebuild stands."""

    targets: Mapping[int, int]
    finished: bool
    runs_taken_over: int


class Past(NamedTuple):
    """What the log of a topic that was cut, or made anew, no longer has."""

    before_us: int | None
    """Runs that began before this are older than the log, as far as clocks can tell; None where the log has everything."""
    silent: bool
    """A partition that was cut has no record left that would tell how far back its runs went: what is not in the shadow may be
    its."""

    @property
    def empty(self) -> bool:
        """Whether the log has everything."""
        return self.before_us is None and not self.silent


async def prepare(connection: asyncpg.Connection, plan: Plan, reach: Mapping[int, Reach]) -> State:
    """Make the shadow, or find the one that is there. Raises RebuildError where that one cannot be gone on with."""
    if await _exists(connection, plan.old):
        raise RebuildError(f"schema {plan.old} of the last rebuild is still there: drop it with `agenttracer rebuild drop-old`")
    await migrate(plan.dsn, schema=plan.shadow)
    await connection.execute(plan.query("make_state"))
    state = await read_state(connection, plan)
    if state is not None:
        return state
    async with connection.transaction():
        await _begin(connection, plan, reach)
    state = await read_state(connection, plan)
    assert state is not None
    return state


async def read_state(connection: asyncpg.Connection, plan: Plan) -> State | None:
    """What the shadow remembers; None while nothing was decided. Raises RebuildError."""
    row = await connection.fetchrow(plan.query("state"))
    if row is None:
        return None
    if (row["topic_id"], row["taxonomy_version"]) != (plan.topic.id, PRESENT.version):
        raise RebuildError("a rebuild of another topic or by other rules was begun: begin anew with --restart")
    targets = {int(partition): offset for partition, offset in json.loads(row["targets"]).items()}
    return State(targets, row["finished_at"] is not None, row["runs_taken_over"] or 0)


async def move_targets(
    connection: asyncpg.Connection, plan: Plan, state: State, reach: Mapping[int, Reach], *, least_records: int
) -> State | None:
    """Set them to where the live store is now, if that is so many records further; else None, and they stay."""
    targets = await _targets(connection, plan, reach)
    if sum(targets.values()) - sum(state.targets.values()) < least_records:
        return None
    await connection.execute(plan.query("move_targets"), json.dumps(targets))
    return replace(state, targets=targets)


async def _targets(connection: asyncpg.Connection, plan: Plan, reach: Mapping[int, Reach]) -> dict[int, int]:
    """No further than the live store is now: the old runs that are taken over from it must hold all that the shadow has."""
    frontiers = {row["partition"]: row["frontier"] for row in await connection.fetch(plan.query("live_frontiers"), plan.topic.id)}
    return {partition: min(frontiers.get(partition, 0), log.end) for partition, log in reach.items()}


async def _begin(connection: asyncpg.Connection, plan: Plan, reach: Mapping[int, Reach]) -> None:
    targets = await _targets(connection, plan, reach)
    begins = {partition: log.begin for partition, log in reach.items() if log.begin}
    await connection.execute(
        f'LOCK TABLE "{plan.live}".deletions IN SHARE MODE'
    )  # whoever deletes now deletes in the shadow, too
    await connection.execute(plan.query("take_over_deletions"))
    await connection.execute(plan.query("take_over_other_topics"), plan.topic.id)
    for partition, begin in begins.items():
        await connection.execute(plan.query("take_over_coverage"), plan.topic.id, partition, plan.topic.name, begin)
    await connection.execute(plan.query("take_over_letters"), plan.topic.id, json.dumps(begins))
    indexes = await connection.fetch(plan.query("secondary_indexes"), f'"{plan.shadow}"')
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    definitions = [index["definition"] for index in indexes]
    await connection.execute(plan.query("remember"), plan.topic.id, PRESENT.version, json.dumps(targets), definitions)


async def finish(connection: asyncpg.Connection, plan: Plan, *, past: Past, report: Callable[[str], None]) -> None:
    """Take over what the log no longer reaches, add up, index: one transaction, done or to be done again. Then statistics.

    The steps' statistics are gathered meanwhile, in a session of their own: they take nearly as long as all the rest, and no
    secondary index waits for the steps. Not so where steps are taken over.
    """
    early = ["steps"] if past.empty else []
    await asyncio.gather(_complete(connection, plan, past, report), _analyze_apart(plan, early))
    await _analyze(connection, plan, [table for table in (*FROM_TOPIC, *SUMS) if table not in early])


async def _complete(connection: asyncpg.Connection, plan: Plan, past: Past, report: Callable[[str], None]) -> None:
    """All that changes rows, and the word that it is done: one transaction."""
    async with connection.transaction(isolation="repeatable_read"):
        # Before the snapshot: whoever deletes now waits, or what is taken over would bring back what is gone.
        await connection.execute(f'LOCK TABLE "{plan.live}".deletions IN SHARE MODE')
        await connection.execute(f"SET LOCAL maintenance_work_mem = '{_WORK_MEM}'; SET LOCAL work_mem = '{_WORK_MEM}'")
        taken = 0 if past.empty else await _take_over_runs(connection, plan, past)
        if taken:
            report(f"{taken} runs that the log no longer has whole are taken over from the live store as they are")
        for table in SUMS:
            await connection.execute(f'TRUNCATE "{plan.shadow}".{table}')
        report("adding up")
        await connection.execute(plan.query("sum_runs"))
        await connection.execute(plan.query("sum_steps"))
        report("indexing")
        row = await connection.fetchrow(plan.query("state"))
        assert row is not None
        for definition in row["indexes"]:
            await connection.execute(definition)
        await connection.execute(plan.query("finished"), taken)


async def _analyze_apart(plan: Plan, tables: Iterable[str]) -> None:
    connection = await asyncpg.connect(plan.dsn, server_settings={"application_name": APPLICATION})
    try:
        await _analyze(connection, plan, tables)
    finally:
        await connection.close()


async def _analyze(connection: asyncpg.Connection, plan: Plan, tables: Iterable[str]) -> None:
    for table in tables:
        await connection.execute(f'ANALYZE "{plan.shadow}".{table}')


async def _take_over_runs(connection: asyncpg.Connection, plan: Plan, past: Past) -> int:
    await connection.execute(plan.query("make_old_runs"))
    await connection.execute(plan.query("choose_old_runs"), past.before_us, past.silent)
    for table in FROM_TOPIC:
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
    rows = await connection.fetch(plan.query("columns"), f'"{plan.live}"."{table}"')
    return ", ".join(f'"{row["attname"]}"' for row in rows)


async def drop_shadow(connection: asyncpg.Connection, plan: Plan) -> None:
    """Forget a rebuild that was begun."""
    await connection.execute(f'DROP SCHEMA IF EXISTS "{plan.shadow}" CASCADE')


async def drop_old(dsn: str, *, live: str = SCHEMA) -> bool:
    """Drop what was live before the last swap. False if there is none."""
    connection = await asyncpg.connect(dsn)
    try:
        found = await _exists(connection, f"{live}_old")
        await connection.execute(f'DROP SCHEMA IF EXISTS "{live}_old" CASCADE')
        return found
    finally:
        await connection.close()


async def _exists(connection: asyncpg.Connection, schema: str) -> bool:
    return await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", f'"{schema}"') is True
