"""What topic, group, ledger and store really hold, read from outside. Nothing here judges."""

import asyncio
import threading
from collections.abc import Mapping
from typing import NamedTuple

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from ddl.migrate import SCHEMA
from tests.support.pipeline import PARTITIONS, Pipeline

_FRONTIERS = """
SELECT partition, coalesce(
    (SELECT upper(part) FROM unnest(covered + lost) AS part WHERE lower(part) = 0), 0) AS frontier
FROM ingest_ledger WHERE topic = $1
"""


class Logged(NamedTuple):
    """One record of the topic."""

    partition: int
    offset: int
    value: bytes


def partitions(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]


def read_topic(pipeline: Pipeline) -> list[Logged]:
    """Every record, by partition in order."""

    async def read() -> list[Logged]:
        consumer = AIOKafkaConsumer(bootstrap_servers=pipeline.stack.bootstrap, enable_auto_commit=False)
        try:
            await consumer.start()
            tps = partitions(pipeline.topic)
            consumer.assign(tps)
            await consumer.seek_to_beginning(*tps)
            ends = await consumer.end_offsets(tps)
            found: list[Logged] = []
            while any([await consumer.position(tp) < ends[tp] for tp in tps]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += [Logged(one.partition, one.offset, one.value or b"") for one in records]
            return found
        finally:
            await consumer.stop()

    return asyncio.run(read())


def ends(pipeline: Pipeline) -> dict[int, int]:
    """The end of each partition's log."""

    async def ask() -> dict[int, int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=pipeline.stack.bootstrap, enable_auto_commit=False)
        try:
            await consumer.start()
            return {tp.partition: end for tp, end in (await consumer.end_offsets(partitions(pipeline.topic))).items()}
        finally:
            await consumer.stop()

    return asyncio.run(ask())


def rewind_group(pipeline: Pipeline, group: str, offsets: Mapping[int, int]) -> None:
    """Set the offsets, none of them 0, of a group without members. What follows them is delivered again.

    Faust takes a committed 0 for none, and the worker then begins where the ledger ends.
    """

    async def commit() -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=pipeline.stack.bootstrap, group_id=group, enable_auto_commit=False)
        try:
            await consumer.start()
            tps = {TopicPartition(pipeline.topic, number): offset for number, offset in offsets.items()}
            consumer.assign(list(tps))
            await consumer.commit(tps)
        finally:
            await consumer.stop()

    asyncio.run(commit())


class CommitWatch(threading.Thread):
    """Compares, all the time, what the group has committed with what the ledger covers. A commit may never be ahead."""

    def __init__(self, pipeline: Pipeline, *, group: str, database: str, every_s: float = 0.5) -> None:
        super().__init__(name="commit-watch", daemon=True)
        self._pipeline = pipeline
        self._group = group
        self._dsn = pipeline.stack.dsn(database=database, role="agenttracer_owner")
        self._every_s = every_s
        self._ended = threading.Event()
        self.findings: list[str] = []
        self.looks = 0
        self.committed: dict[int, int] = {}

    def run(self) -> None:
        asyncio.run(self._run())

    def end(self) -> None:
        """May be said again."""
        self._ended.set()
        if self.is_alive():
            self.join()

    async def _run(self) -> None:
        while not self._ended.is_set():
            try:
                await self._look_on()
            except Exception:  # noqa: BLE001 - Kafka or PostgreSQL is away just now: that is what the soak is for
                await asyncio.sleep(self._every_s)

    async def _look_on(self) -> None:
        store = await asyncpg.connect(self._dsn, timeout=5, server_settings={"search_path": SCHEMA})
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._pipeline.stack.bootstrap, group_id=self._group, enable_auto_commit=False
        )
        try:
            await asyncio.wait_for(consumer.start(), 10)
            consumer.assign(partitions(self._pipeline.topic))
            while not self._ended.is_set():
                await asyncio.wait_for(self._look(consumer, store), 10)
                await asyncio.sleep(self._every_s)
        finally:
            store.terminate()
            await asyncio.wait_for(consumer.stop(), 10)

    async def _look(self, consumer: AIOKafkaConsumer, store: asyncpg.Connection) -> None:
        committed = {tp.partition: await consumer.committed(tp) or 0 for tp in partitions(self._pipeline.topic)}
        frontiers = {row["partition"]: row["frontier"] for row in await store.fetch(_FRONTIERS, self._pipeline.topic)}
        for number, offset in committed.items():
            if offset > frontiers.get(number, 0):
                self.findings.append(f"partition {number}: {offset} committed, {frontiers.get(number, 0)} stored")
        self.committed = committed
        self.looks += 1
