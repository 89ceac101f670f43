"""Tries a dead letter again: its record is read from the topic, written as the workers write, and marked in that transaction.

It stays in the dead letters either way. A record that still cannot be stored has one attempt more.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import asyncpg

from ddl.migrate import SCHEMA
from stream_workers.errors import LogOvertakenError, PermanentStoreError
from stream_workers.kafka.topic_log import TopicLog
from stream_workers.operations.dead_letters.letter import QUERIES, Letter
from stream_workers.pipeline.decode import RecordDecoder, canonical_json
from stream_workers.store.batch import Coverage, Received, Topic, WriteBatch, make_batch
from stream_workers.store.postgres import PostgresStore
from stream_workers.store.store import Saved

_TRANSACTION_S: Final = 30.0


class RetryResult(StrEnum):
    """The result of a retry."""

    STORED = "stored"
    STILL_BAD = "still_bad"
    GONE = "gone"
    """The topic's retention has deleted the record, or the topic itself is another one by now."""


class _RetryStore(PostgresStore):
    """Writes a record and marks its dead letter, both or neither."""

    def __init__(self, dsn: str, topic: Topic, *, schema: str) -> None:
        super().__init__(dsn, transaction_timeout_s=_TRANSACTION_S, schema=schema)
        self._topic = topic

    async def _write(self, connection: asyncpg.Connection, batch: WriteBatch) -> Saved:
        saved = await super()._write(connection, batch)
        for partition, offset, _ in batch.coverage:
            place = {"topic_id": self._topic.id, "partition": partition, "record_offset": offset}
            await connection.execute(*QUERIES["mark_retried"].bind(**place))
        return saved

    async def mark_attempted(self, letter: Letter, *, reason: str, field: str) -> None:
        """Count an attempt that failed."""
        place = {"topic_id": letter.topic_id, "partition": letter.partition, "record_offset": letter.record_offset}
        statement = QUERIES["mark_attempted"].bind(**place, reason=reason, field=field)
        await self._with_connection(lambda connection: connection.execute(*statement))


async def retry(
    dsn: str, log: TopicLog, topic: Topic, letters: Sequence[Letter], *, schema: str = SCHEMA
) -> list[tuple[Letter, RetryResult]]:
    """Try each of them once. Raises TransientStoreError and KafkaError; letters stored before that stay stored."""
    store = _RetryStore(dsn, topic, schema=schema)
    try:
        return [(letter, await _retry(store, log, topic, letter)) for letter in letters]
    finally:
        await store.close()


async def _retry(store: _RetryStore, log: TopicLog, topic: Topic, letter: Letter) -> RetryResult:
    found = await _read(log, letter) if letter.topic_id == topic.id else None
    if found is None:
        return RetryResult.GONE
    if found.letter is not None:
        await store.mark_attempted(letter, reason=found.letter.reason, field=found.letter.field)
        return RetryResult.STILL_BAD
    batch = make_batch([found], canonical_json)
    assert batch.coverage == [Coverage(letter.partition, letter.record_offset, letter.record_offset + 1)]
    try:
        await store.save(topic, batch)
    except PermanentStoreError as error:
        await store.mark_attempted(letter, reason=f"sqlstate_{error.sqlstate.lower()}", field="")
        return RetryResult.STILL_BAD
    return RetryResult.STORED


async def _read(log: TopicLog, letter: Letter) -> Received | None:
    reach = (await log.reach()).get(letter.partition)
    if reach is None or not reach.begin <= letter.record_offset < reach.end:
        return None
    try:
        async for piece in log.read({letter.partition: (letter.record_offset, letter.record_offset + 1)}):
            for item in RecordDecoder(None).decode(letter.partition, piece.records):
                return item
    except LogOvertakenError:
        return None
    return None
