"""Bugs that the checker must find, each as it would be written by mistake: one function or statement changed.

They are planted in a process of a test's own by `planted.py`, and nowhere else. A plant that no longer finds what it changes
fails, so that none can become harmless unnoticed.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

BUGS: dict[str, Callable[[], None]] = {}


def bug(plant: Callable[[], None]) -> Callable[[], None]:
    BUGS[plant.__name__] = plant
    return plant


def change(statements: dict[str, str], name: str, before: str, after: str) -> None:
    """Replace part of a statement, which must be there exactly once."""
    assert statements[name].count(before) == 1, f"{name} is not what this bug was written for"
    statements[name] = statements[name].replace(before, after)


# -- gateway --------------------------------------------------------------------------------------------------------------


@bug
def ack_before_produce() -> None:
    """202 as soon as the records are handed to the Kafka client."""
    from producer_gateway.kafka_log import KafkaLog

    original, running = KafkaLog.append, set()

    async def append(self: Any, messages: Any, *, timeout_s: float) -> frozenset[int]:
        task = asyncio.create_task(original(self, messages, timeout_s=timeout_s))
        running.add(task)
        await asyncio.sleep(0)
        return frozenset()

    KafkaLog.append = append  # type: ignore[method-assign]


@bug
def accepted_on_timeout() -> None:
    """202 when Kafka did not answer in time."""
    from producer_gateway.errors import LogUnavailableError
    from producer_gateway.kafka_log import KafkaLog

    original = KafkaLog.append

    async def append(self: Any, messages: Any, *, timeout_s: float) -> frozenset[int]:
        try:
            return await original(self, messages, timeout_s=timeout_s)
        except LogUnavailableError:
            return frozenset()

    KafkaLog.append = append  # type: ignore[method-assign]


@bug
def uncounted_drop() -> None:
    """The last event of a request goes missing between check and record, and nobody counts it."""
    from producer_gateway import publish

    original = publish.group

    def group(events: Any, **rest: Any) -> Any:
        return original(events[:-1], **rest)

    publish.group = group


# -- worker ---------------------------------------------------------------------------------------------------------------


class _Taken(NamedTuple):
    """A chunk as `take` hands it out: without the message that it came in."""

    tp: Any
    value: Any


@bug
def take() -> None:
    """Faust's `take`, which acknowledges when its body is left, and acknowledgements that count."""
    from faust.streams import Stream
    from faust.types.tuples import TP

    from stream_workers.delivery import ChunkConsumer

    count = ChunkConsumer.done

    def ack(self: Any, message: Any) -> bool:
        count(self, message)
        return True

    class Taking:
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def events(self) -> Any:
            async for chunks in self._stream.take(5, within=0.05):
                for chunk in chunks:
                    event = type("Event", (), {})()
                    event.message = _Taken(TP(TOPIC, chunk.partition), chunk)
                    yield event

    ChunkConsumer.ack = ack  # type: ignore[method-assign]
    ChunkConsumer.done = lambda self, message: None  # type: ignore[method-assign]
    Stream.noack = lambda self: Taking(self)  # noqa: PLW0108 - a class would not be bound


TOPIC = os.environ.get("AGENTTRACER_WORKER_TOPIC", "")


@bug
def commit_before_insert() -> None:
    """The ledger is committed first, the rows after it."""
    from stream_workers import postgres

    async def save(self: Any, connection: Any, topic: Any, batch: Any, epochs: Any) -> Any:
        await self._ensure_partitions(connection, batch.rows.steps)
        async with connection.transaction():
            await postgres._lock_ledger(connection, topic, batch, epochs)
            for one in batch.letters:
                place = (topic.id, one.partition, one.offset, topic.name)
                await connection.execute(postgres.QUERIES["bury"], *place, one.reason, one.field, one.size_bytes, one.keyed_hash)
            await connection.executemany(postgres.QUERIES["cover"], [(topic.id, *one) for one in batch.coverage])
        async with connection.transaction():
            return await self._write(connection, batch)

    assert callable(postgres.PostgresStore._save)
    postgres.PostgresStore._save = save  # type: ignore[method-assign]


@bug
def counted_on_redelivery() -> None:
    """Steps are counted as they come, not as they are inserted."""
    from stream_workers.statements import QUERIES

    before = "FROM inserted GROUP BY project, run_id\n), rolled"
    change(QUERIES, "write_steps", before, "FROM stage_steps GROUP BY project, run_id\n), rolled")


@bug
def swallowed_database_error() -> None:
    """An error of a statement is caught, and the transaction goes on without the rows."""
    import asyncpg

    from stream_workers.postgres import PostgresStore
    from stream_workers.store import Saved

    original = PostgresStore._write

    async def write(self: Any, connection: Any, batch: Any) -> Any:
        try:
            async with connection.transaction():
                return await original(self, connection, batch)
        except asyncpg.PostgresError:
            return Saved(0, 0, 0)

    PostgresStore._write = write  # type: ignore[method-assign]


@bug
def first_end_wins() -> None:
    """Of conflicting ends the earliest wins in the store, not the latest."""
    from stream_workers.statements import QUERIES

    before = "AS finish (at, digest, status, emitted) ORDER BY 1 DESC NULLS LAST, 2 DESC LIMIT 1"
    change(QUERIES, "write_runs", before, "AS finish (at, digest, status, emitted) ORDER BY 1 NULLS LAST, 2 LIMIT 1")


@bug
def drops_parent_step_id() -> None:
    """A step's place under another one gets lost where its row is made, which is code that the fold uses, too."""
    from stream_workers.core import assemble

    original = assemble.step_row
    assemble.step_row = lambda *arguments: original(*arguments)._replace(parent_step_id=None)


@bug
def drop_report_forgotten() -> None:
    """What a producer declares lost is read and not kept, by code that the fold uses, too."""
    from agenttracer.wire.events import EventsDropped
    from stream_workers.core import assemble

    assemble._READ[EventsDropped.type] = lambda reading, event: None  # type: ignore[index]


@bug
def ledger_hole() -> None:
    """Offsets of one partition are not written down."""
    from stream_workers import batch

    original = batch._coverage
    batch._coverage = lambda received: [one for one in original(received) if one.partition != 0]


@bug
def dead_letter_dropped() -> None:
    """A record that cannot be read is passed over in silence."""
    from stream_workers.statements import QUERIES

    before = "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())"
    columns = "$1::uuid, $2::integer, $3::bigint, $4::text, $5::text, $6::text, $7::integer, $8::bytea, now()"
    change(QUERIES, "bury", before, f"SELECT {columns} WHERE false")


@bug
def failure_repeated() -> None:
    """A failure found in a step gets an id of its own each time it is found."""
    from stream_workers.core import assemble

    original = assemble.failure_of_step

    def failure_of_step(*arguments: Any, **named: Any) -> Any:
        found = original(*arguments, **named)
        return None if found is None else found._replace(failure_id=os.urandom(8).hex())

    assemble.failure_of_step = failure_of_step


@bug
def rollup_keeps_the_old_row() -> None:
    """A run that changes is added to where it counts now and stays where it counted before."""
    from stream_workers.statements import QUERIES

    change(QUERIES, "write_runs", "FROM upserted WHERE existed", "FROM upserted WHERE existed AND false")


@bug
def zombies_not_refused() -> None:
    """The ledger's epoch is not held against the writer's."""
    from stream_workers import postgres

    assert callable(postgres.refuse_zombie)
    postgres.refuse_zombie = lambda held, found: None


@bug
def writer_hangs() -> None:
    """A transaction is waited for that nobody began, while everything else goes on."""
    from stream_workers.write import Writer

    async def write(self: Any, received: Any, *, batch: Any = None) -> None:
        await asyncio.Event().wait()

    assert callable(Writer.write)
    Writer.write = write  # type: ignore[method-assign]


# -- query service --------------------------------------------------------------------------------------------------------


@bug
def tenant_filter_removed() -> None:
    """The list of runs does not ask whose they are. Its test also lifts row level security, which would save it."""
    from query_service.postgres import STATEMENTS

    change(STATEMENTS, "list_runs", "WHERE project = $1\n", "WHERE $1::text IS NOT NULL\n")


@bug
def undeclared_loss_is_complete() -> None:
    """Lost is what a producer declared, and what its end counted and nobody has seen is not missed."""
    from query_service import completeness
    from query_service.completeness import Completeness, Verdict

    original = completeness._account

    def account(producer: Any) -> Any:
        told = original(producer)
        if not told.unexplained:
            return told
        declared = sum(told.declared.values())
        state = Completeness.LOST if declared else Completeness.COMPLETE
        return replace(told, verdict=Verdict(state, declared, told.verdict.stored_events), unexplained=0)

    completeness._account = account
