"""A store with statistics for tests to look into: their sums by span, and traffic of some days ago."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import asyncpg

from agenttracer.wire.envelope import Record
from ddl import rollups
from ddl.migrate import SCHEMA
from stream_workers.core.fold import Rollup, rollups_of
from stream_workers.operations.verify.statistics import wrong_statistics
from stream_workers.pipeline.decode import canonical_json
from stream_workers.rollups import compaction
from stream_workers.rollups.compaction import ALL, Which, compact, projects
from stream_workers.store.batch import Received, Topic, WriteBatch, make_batch
from stream_workers.store.postgres import PostgresStore
from tests.support.traffic import Traffic

TOPIC = Topic("t", uuid.UUID(int=6))
DAY_US = 86_400_000_000
_COLUMNS = {
    "run": "agent, agent_version, status, failure_type, failure_code, runs, latency_us, "
    "0 AS input_tokens, 0 AS output_tokens, 0 AS cost",
    "step": "agent, agent_version, kind, name, status, model, steps, latency_us, input_tokens, output_tokens, cost",
}
Sums = dict[tuple[Any, ...], Rollup]


class Store:
    """A live store and its owner's session."""

    def __init__(self, dsn: dict[str, str], connection: asyncpg.Connection) -> None:
        self.dsn = dsn["owner"]
        self.connection = connection
        self.worker = PostgresStore(dsn["worker"], transaction_timeout_s=30)

    @classmethod
    async def open(cls, dsn: dict[str, str]) -> "Store":
        settings = {"search_path": SCHEMA, "timezone": "UTC", **compaction.SETTINGS}
        return cls(dsn, await asyncpg.connect(dsn["owner"], server_settings=settings))

    async def close(self) -> None:
        await self.worker.close()
        await self.connection.close()

    async def save(self, records: Sequence[Record]) -> None:
        await self.worker.save(TOPIC, batch_of(records))

    async def compact(self, which: Which = ALL) -> None:
        for project in await projects(self.connection):
            await compact(self.connection, project, now=now_minute(), which=which)

    async def wrong(self) -> list[str]:
        return [line async for line in wrong_statistics(self.connection)]

    async def sums(self, schema: str = SCHEMA) -> Sums:
        """All figures, by kind, span, project, period and names. Periods of short spans that are stored no more are left out."""
        found: list[tuple[tuple[Any, ...], Rollup]] = []
        for kind, columns in _COLUMNS.items():
            for span in rollups.SPANS:
                oldest = rollups.oldest_stored(span, now=now_minute())
                totals = (
                    f"SELECT project, period, {columns}, histogram FROM {schema}.{kind}_rollup_totals WHERE span_minutes = $1"
                )
                deltas = f"SELECT project, minute, {columns}, histogram FROM {schema}.{kind}_rollup_deltas"
                for row in await self.connection.fetch(f"{totals} UNION ALL {deltas}", span):
                    project, period, *names, count, latency_us, tokens_in, tokens_out, cost, packed = row.values()
                    minute = rollups.minute_of(period) // span * span
                    if oldest is None or minute >= oldest:
                        histogram = tuple(rollups.unpack(packed).items())
                        figures = Rollup(count, int(latency_us), histogram, int(tokens_in), int(tokens_out), int(cost))
                        found.append(((kind, span, project, minute, *names), figures))
        return rollups_of(found)


def now_minute() -> int:
    return int(time.time()) // 60


def batch_of(records: Sequence[Record]) -> WriteBatch:
    return make_batch([Received(0, offset, 100, None, record, None) for offset, record in enumerate(records)], canonical_json)


def traffic_of(seed: int, *, days_ago: float, runs: int = 10, project: str = "shop") -> list[Record]:
    made = Traffic(seed, base_us=time.time_ns() // 1000 - int(days_ago * DAY_US))
    return [replace(record, project=project) for record in made.mischief(made.records(made.runs(runs)))]
