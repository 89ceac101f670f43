"""The swap: one transaction that renames two schemas, while nothing can be written and everything can be read.

The live ledger is locked against writers first. A worker's transaction begins with its ledger's rows, so none is under way
then, and one that comes waits before it has looked up a single table; afterwards it finds the new ones. The shadow catches up
with the rows that the live store had until then. The names are changed only when its ledger covers all that the live one covers;
otherwise the transaction is rolled back and the workers go on. Readers never wait: renaming a schema locks no table.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Final

import asyncpg

from stream_workers.operations.rebuild.plan import OWN_TABLES, ROLLUP_TABLES, STATE_TABLE, TABLES_FROM_TOPIC, Plan
from stream_workers.operations.rebuild.shadow_schema import written_columns

_LOCK_TIMEOUT_MS: Final = 400
_CATCH_UP_S: Final = 0.4
_PAUSE_S: Final = 0.5
_TRIES: Final = 120


async def swap(connection: asyncpg.Connection, plan: Plan) -> float | None:
    """Make the shadow live. Returns for how long writers stood still, in seconds; None if no try succeeded."""
    for _ in range(_TRIES):
        began = time.monotonic()
        try:
            if await _try(connection, plan):
                return time.monotonic() - began
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            pass  # a worker's transaction took longer: it goes first
        await asyncio.sleep(_PAUSE_S)
    return None


async def _try(connection: asyncpg.Connection, plan: Plan) -> bool:
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}; SET LOCAL synchronous_commit = on")
        await connection.execute(f'LOCK TABLE "{plan.live}".ingest_ledger IN SHARE ROW EXCLUSIVE MODE')
        await connection.execute(*plan.statement("await_compaction").bind(live=plan.live))
        if not await _caught_up(connection, plan):
            await transaction.rollback()
            return False
        await connection.execute(f'LOCK TABLE "{plan.shadow}".ingest_ledger IN SHARE ROW EXCLUSIVE MODE')
        await connection.execute(*plan.statement("take_over_epochs").bind())
        await _take_over_tables(connection, plan)
        await _rename(connection, plan)
    except BaseException:
        await transaction.rollback()
        raise
    await transaction.commit()
    return True


async def _caught_up(connection: asyncpg.Connection, plan: Plan) -> bool:
    deadline = time.monotonic() + _CATCH_UP_S
    while not await connection.fetchval(*plan.statement("caught_up").bind()):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.005)
    return True


async def _take_over_tables(connection: asyncpg.Connection, plan: Plan) -> None:
    """Copy the tables that operators write: keys, retention, deletions. No topic has them; they are small."""
    await connection.execute(f'DROP TABLE "{plan.shadow}".{STATE_TABLE}')
    tables = await connection.fetch(*plan.statement("tables").bind(schema_name=f'"{plan.live}"'))
    names = {row["relname"] for row in tables}
    for table in await _in_order(connection, plan, names - {*TABLES_FROM_TOPIC, *ROLLUP_TABLES, *OWN_TABLES}):
        await connection.execute(f'LOCK TABLE "{plan.live}"."{table}" IN SHARE MODE')
        columns = await written_columns(connection, plan, table)
        await connection.execute(f'DELETE FROM "{plan.shadow}"."{table}"')  # noqa: S608 - what its migration put in is in the live one
        await connection.execute(
            f'INSERT INTO "{plan.shadow}"."{table}" ({columns}) OVERRIDING SYSTEM VALUE '  # noqa: S608 - names of our catalog
            f'SELECT {columns} FROM "{plan.live}"."{table}"'
        )
        ours, theirs = f'"{plan.live}"."{table}"', f'"{plan.shadow}"."{table}"'
        for row in await connection.fetch(*plan.statement("sequences").bind(live_table=ours, shadow_table=theirs)):
            await connection.execute(f"SELECT setval('{row['theirs']}', last_value, is_called) FROM {row['ours']}")  # noqa: S608


async def _in_order(connection: asyncpg.Connection, plan: Plan, names: Iterable[str]) -> list[str]:
    """Referred tables before those that refer to them."""
    rows = await connection.fetch(*plan.statement("references").bind(schema_name=f'"{plan.live}"'))
    refers = [(row["referring"].rpartition(".")[2], row["referred"].rpartition(".")[2]) for row in rows]
    left, ordered = sorted(names), []
    while left:
        free = [one for one in left if not any(a == one and b in left for a, b in refers)] or left
        ordered += free
        left = [one for one in left if one not in free]
    return ordered


async def _rename(connection: asyncpg.Connection, plan: Plan) -> None:
    await connection.execute(f'ALTER SCHEMA "{plan.live}" RENAME TO "{plan.old}"')
    await connection.execute(f'ALTER SCHEMA "{plan.shadow}" RENAME TO "{plan.live}"')
    for schema in (plan.live, plan.old):
        for row in await connection.fetch(*plan.statement("pinned_functions").bind(schema_name=f'"{schema}"')):
            await connection.execute(f'ALTER FUNCTION {row["signature"]} SET search_path = "{schema}", pg_temp')
