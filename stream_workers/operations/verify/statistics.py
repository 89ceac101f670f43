"""Compares statistics with the detail that they are made of, and totals of short spans with those of days.

Days are compared that begin after a project's detail horizon: before it, runs have expired that statistics still count.
"""

import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg

from ddl import rollups
from servicekit import sql

_QUERIES: Final = sql.load(Path(__file__).with_name("statistics.sql"))
_KINDS: Final = ("run", "step")


async def wrong_statistics(connection: asyncpg.Connection) -> AsyncIterator[str]:
    """One line for each project and kind of statistics that are wrong. The caller holds the snapshot."""
    for row in await connection.fetch(*_QUERIES["projects"].bind()):
        for kind in _KINDS:
            async for line in _wrong(connection, kind, row["project"], row["since"]):
                yield line


async def _wrong(connection: asyncpg.Connection, kind: str, project: str, since: datetime | None) -> AsyncIterator[str]:
    wrong = await connection.fetchval(*_QUERIES[f"wrong_{kind}_rollups"].bind(project=project, since=since))
    if wrong:
        yield f"{kind}_rollups {project}: {wrong} sums of a day are not those of the rows"
    now = int(time.time()) // 60
    for span in rollups.SPANS[:-1]:
        oldest = rollups.moment(rollups.oldest_read(span, now=now))
        uneven = await connection.fetchval(*_QUERIES[f"uneven_{kind}_rollups"].bind(project=project, span=span, since=oldest))
        if uneven:
            yield f"{kind}_rollup_totals {project}: {uneven} sums of a day are not those of its totals of {span} minutes"
