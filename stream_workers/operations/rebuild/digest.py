"""A digest a run over all its rows, computed by Postgres: equal where every column of every row of the run is equal.

Live and shadow are compared in one snapshot. Runs whose last records only one of the two has covered are in motion: they are left
out.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from servicekit.postgres import open_connection
from stream_workers.kafka.offset_ranges import end_of, minus, union, within
from stream_workers.kafka.topic_log import TopicLog
from stream_workers.operations.rebuild.plan import APPLICATION, COLUMNS_NOT_COMPARED, TABLES_FROM_TOPIC, Plan
from stream_workers.operations.verify.coverage import LedgerRow
from stream_workers.operations.verify.verify import head_of

_FETCH: Final = 5_000
Run = tuple[str, str]


@asynccontextmanager
async def snapshot(plan: Plan) -> AsyncIterator[asyncpg.Connection]:
    """Both schemas at one moment."""
    async with (
        open_connection(plan.dsn, application_name=APPLICATION, settings={"work_mem": "128MB"}) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        # Before the snapshot: retention then drops no day in one schema alone.
        await connection.execute(f'LOCK TABLE "{plan.live}".steps, "{plan.shadow}".steps IN ACCESS SHARE MODE')
        yield connection


async def count_runs(connection: asyncpg.Connection, plan: Plan) -> int:
    """How many runs either schema has."""
    query = f'SELECT count(*) FROM "{plan.live}".runs FULL JOIN "{plan.shadow}".runs AS other USING (project, run_id)'  # noqa: S608
    return int(await connection.fetchval(query))


async def differing_runs(connection: asyncpg.Connection, plan: Plan) -> AsyncIterator[Run]:
    """Runs whose digests differ, or that only one of the two has; sorted."""
    columns = {table: await compared_columns(connection, plan, table) for table in TABLES_FROM_TOPIC}
    query = (
        f"SELECT project, run_id::text AS run_id FROM ({_digests(plan.live, columns)}) AS ours "  # noqa: S608 - our own names
        f"FULL JOIN ({_digests(plan.shadow, columns)}) AS theirs USING (project, run_id) "
        "WHERE ours.digests IS DISTINCT FROM theirs.digests ORDER BY 1, 2"
    )
    async for row in connection.cursor(query, prefetch=_FETCH):
        yield row["project"], row["run_id"]


async def compared_columns(connection: asyncpg.Connection, plan: Plan, table: str) -> list[str]:
    """The columns of a table that follow from the topic. Generated ones follow from those."""
    rows = await connection.fetch(*plan.statement("columns").bind(table_name=f'"{plan.live}"."{table}"'))
    return [row["attname"] for row in rows if row["attname"] not in COLUMNS_NOT_COMPARED]


def _digests(schema: str, columns: Mapping[str, list[str]]) -> str:
    """Rows of one run have different keys, so their hashes may be combined in any order."""
    each = " UNION ALL ".join(
        f"SELECT project, run_id, {number} AS kind, bit_xor(hashtextextended(said, 0)) AS hashed, "  # noqa: S608 - as above
        f"bit_xor(hashtextextended(said, 1)) AS hashed_too, count(*) AS rows "
        f'FROM (SELECT project, run_id, ROW({", ".join(names)})::text AS said FROM "{schema}".{table}) AS rows '
        "GROUP BY project, run_id"
        for number, (table, names) in enumerate(columns.items())
    )
    one = "array_agg((kind, hashed, hashed_too, rows)::text ORDER BY kind)"
    return f"SELECT project, run_id, {one} AS digests FROM ({each}) AS each GROUP BY project, run_id"  # noqa: S608 - as above


async def runs_in_motion(connection: asyncpg.Connection, plan: Plan, log: TopicLog) -> set[Run]:
    """Runs of records that only one of the two has covered in this snapshot."""
    wanted = {}
    apart: dict[int, list[tuple[int, int]]] = {}
    ours, theirs = await _ledger(connection, plan.live, plan), await _ledger(connection, plan.shadow, plan)
    for partition in ours.keys() | theirs.keys():
        one, other = ours.get(partition, []), theirs.get(partition, [])
        apart[partition] = union(minus(one, other), minus(other, one))
        if apart[partition]:
            wanted[partition] = (apart[partition][0][0], end_of(apart[partition]))
    found: set[Run] = set()
    async for piece in log.read(wanted):
        for raw in piece.records:
            head = head_of(raw.value or b"")
            if head is not None and within(raw.offset, apart[piece.partition]):
                found.add((head.project, head.run_id))
    return found


async def _ledger(connection: asyncpg.Connection, schema: str, plan: Plan) -> Mapping[int, list[tuple[int, int]]]:
    query = f'SELECT partition, covered, lost FROM "{schema}".ingest_ledger WHERE topic_id = $1'  # noqa: S608 - our own name
    rows = [(row["partition"], LedgerRow.of(row["covered"], row["lost"])) for row in await connection.fetch(query, plan.topic.id)]
    return {partition: union(row.covered, row.lost) for partition, row in rows}
