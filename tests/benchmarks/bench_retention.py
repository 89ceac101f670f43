"""What it costs to expire a day: dropped as a whole, beside row by row as where another project keeps the day.

`make bench-retention`. Writes build/bench-retention.json. The same runs with ten and with a hundred steps each, so that it shows
which cost grows with the steps. Counted are tuples that the server deleted (its own statistics, all tables) and bytes of WAL.
"""

import argparse
import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg

from agenttracer.wire.envelope import Record
from ddl.migrate import migrate
from stream_workers.operations.deletion import apply_retention, set_retention
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.batch import Received, Topic, make_batch
from stream_workers.store.day_partitions import DAY_US
from stream_workers.store.postgres import PostgresStore
from tests.support.stacks import Stack, new_stack
from tests.support.traffic import Traffic

OUTPUT = Path(__file__).parents[2] / "build" / "bench-retention.json"
TOPIC = Topic("t", uuid.UUID(int=6))
BATCH = 400
STEPS = (10, 100)


def records_of(project: str, *, runs: int, steps: int, seed: int) -> list[Record]:
    """Runs about the noon of a day long ago."""
    noon_us = time.time_ns() // 1000 // DAY_US * DAY_US - 20 * DAY_US + DAY_US // 2
    traffic = Traffic(seed, base_us=noon_us)
    return [replace(record, project=project) for record in traffic.records(traffic.runs(runs, steps=steps), flush=50)]


async def fill(dsn: str, records: Sequence[Record]) -> None:
    """As a worker does."""
    store = PostgresStore(dsn, transaction_timeout_s=120)
    for start in range(0, len(records), BATCH):
        part = records[start : start + BATCH]
        received = [Received(0, start + offset, 1, None, record, None) for offset, record in enumerate(part)]
        await store.save(TOPIC, make_batch(received, canonical_json))
    await store.close()


async def measure(dsn: str) -> dict[str, float]:
    """One call of retention, in tuples, bytes and seconds."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "agenttracer"})
    steps = await connection.fetchval("SELECT count(*) FROM steps WHERE project = 'shop'")
    await connection.execute("ANALYZE")
    await connection.execute("CHECKPOINT")
    before, began = await _counters(connection), time.monotonic()
    applied = await apply_retention(dsn, report=lambda _: None)
    seconds = time.monotonic() - began
    after = await _counters(connection)
    await connection.close()
    assert applied.complete
    told = {"steps": steps, "runs": applied.runs.total(), "runs_one_by_one": applied.one_by_one, "days": len(applied.dropped)}
    return {**told, "seconds": seconds, **{name: after[name] - before[name] for name in after}}


async def _counters(connection: asyncpg.Connection) -> dict[str, int]:
    # A session adds its counts to the server's when it ends: when nobody else is there, they are in.
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    deadline = time.monotonic() + 30
    while await connection.fetchval(others) and time.monotonic() < deadline:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.05)
    await connection.fetchval("SELECT pg_stat_clear_snapshot()")
    row = await connection.fetchrow(
        "SELECT tup_deleted AS tuples_deleted, pg_current_wal_insert_lsn() - '0/0' AS wal_bytes "
        "FROM pg_stat_database WHERE datname = current_database()"
    )
    assert row is not None
    return {name: int(value) for name, value in row.items()}


async def expire(dsn: str, *, runs: int, steps: int, shared: bool) -> dict[str, Any]:
    """In a store of its own; `shared`: another project keeps one run of the day for ever."""
    await migrate(dsn)
    await fill(dsn, records_of("shop", runs=runs, steps=steps, seed=1))
    if shared:
        await fill(dsn, records_of("bank", runs=20, steps=10, seed=2))
    await set_retention(dsn, "shop", 5)
    return {"way": "row by row" if shared else "whole day", **await measure(dsn)}


def rounds(stack: Stack, runs: int) -> list[dict[str, Any]]:
    """Both ways with each number of steps."""
    found = []
    for steps in STEPS:
        for shared in (False, True):
            name = f"bench_{uuid.uuid4().hex[:8]}"
            stack.create_database(name)
            dsn = stack.dsn(database=name, role="agenttracer_owner")
            found.append(asyncio.run(expire(dsn, runs=runs, steps=steps, shared=shared)))
            print(found[-1])
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5_000)
    told = parser.parse_args()
    stack = new_stack()
    try:
        found = rounds(stack, told.runs)
    finally:
        stack.stop()
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"written to {OUTPUT}")


if __name__ == "__main__":
    main()
