"""Adds up the shadow's statistics: from its own detail, and what the live store counts of detail that has expired.

Expired detail is in no topic, so its part of the statistics can only be taken over: it is what the live totals and deltas hold
beyond the live detail, in periods that begin before a project's detail horizon.
"""

import time

import asyncpg

from ddl import rollups
from stream_workers.operations.rebuild.plan import ROLLUP_TABLES, Plan
from stream_workers.rollups import name_cap


async def add_up(connection: asyncpg.Connection, plan: Plan) -> None:
    """Replace the shadow's statistics, in the caller's transaction, which sees one snapshot of both schemas."""
    for table in ROLLUP_TABLES:
        await connection.execute(f'TRUNCATE "{plan.shadow}".{table}')
    await connection.execute(*plan.statement("make_renamed").bind())
    now = int(time.time()) // 60
    for kind in ("run", "step"):
        await connection.execute(*plan.statement(f"gather_{kind}s").bind())
        await connection.execute(*plan.statement(f"gather_kept_{kind}s").bind())
        for span in rollups.SPANS:
            oldest = rollups.oldest_stored(span, now=now)
            bound = {"span": span, "oldest": None if oldest is None else rollups.moment(oldest)}
            await connection.execute(*plan.statement(f"add_up_{kind}s").bind(**bound))
        await _cap_names(connection, plan, kind)


async def _cap_names(connection: asyncpg.Connection, plan: Plan, kind: str) -> None:
    """As compaction does, once all names of a day are known."""
    chosen = await connection.execute(*plan.statement(f"choose_{kind}_names").bind(names_max=name_cap.NAMES_MAX))
    if chosen != "INSERT 0 0":
        await connection.execute(*plan.statement(f"rename_{kind}s").bind())
    await connection.execute(*plan.statement("forget_renamed").bind())
