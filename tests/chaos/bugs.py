"""Bugs that the checker must find, each as it would be written by mistake: one function or statement changed.

They are planted in a process of a test's own by `planted.py`, and nowhere else. A plant that no longer finds what it changes
fails, so that none can become harmless unnoticed.
"""

import asyncio
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from servicekit.sql import Statement

BUGS: dict[str, Callable[[], None]] = {}


def bug(plant: Callable[[], None]) -> Callable[[], None]:
    BUGS[plant.__name__] = plant
    return plant


def change(statements: dict[str, Statement], name: str, before: str, after: str) -> None:
    """Replace part of a statement, which must be there exactly once."""
    text = statements[name].text
    assert text.count(before) == 1, f"{name} is not what this bug was written for"
    statements[name] = statements[name].with_text(text.replace(before, after))


# -- gateway --------------------------------------------------------------------------------------------------------------


@bug
def ack_before_produce() -> None:
    """202 as soon as the records are handed to the Kafka client."""
    from producer_gateway.kafka.kafka_record_log import KafkaRecordLog

    original, running = KafkaRecordLog.append, set()

    async def append(self: Any, messages: Any, *, timeout_s: float) -> frozenset[int]:
        task = asyncio.create_task(original(self, messages, timeout_s=timeout_s))
        running.add(task)
        await asyncio.sleep(0)
        return frozenset()

    KafkaRecordLog.append = append  # type: ignore[method-assign]


@bug
def accepted_on_timeout() -> None:
    """202 when Kafka did not answer in time."""
    from producer_gateway.errors import LogUnavailableError
    from producer_gateway.kafka.kafka_record_log import KafkaRecordLog

    original = KafkaRecordLog.append

    async def append(self: Any, messages: Any, *, timeout_s: float) -> frozenset[int]:
        try:
            return await original(self, messages, timeout_s=timeout_s)
        except LogUnavailableError:
            return frozenset()

    KafkaRecordLog.append = append  # type: ignore[method-assign]


@bug
def uncounted_drop() -> None:
    """The last event of a request goes missing between check and record, and nobody counts it."""
    from producer_gateway.events import publish

    original = publish.build_records

    def build_records(events: Any, **rest: Any) -> Any:
        return original(events[:-1], **rest)

    publish.build_records = build_records


# -- worker ---------------------------------------------------------------------------------------------------------------


@dataclass
class _Taken:
    """A chunk as `take` hands it out: without the message that it came in."""

    tp: Any
    value: Any


@bug
def take() -> None:
    """Faust's `take`, which acknowledges when its body is left, and acknowledgements that count."""
    from faust.streams import Stream
    from faust.types.tuples import TP

    from stream_workers.kafka.faust_consumer import ChunkConsumer

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
    from stream_workers.store import postgres

    async def save(self: Any, connection: Any, topic: Any, batch: Any, epochs: Any) -> Any:
        await self._ensure_partitions(connection, batch.rows)
        async with connection.transaction():
            await postgres._lock_ledger(connection, topic, batch, epochs)
            await postgres._write_dead_letters(connection, topic, batch.letters)
            await postgres._cover_offsets(connection, topic, batch)
        async with connection.transaction():
            return await self._write(connection, batch)

    assert callable(postgres.PostgresStore._save)
    postgres.PostgresStore._save = save  # type: ignore[method-assign]


@bug
def counted_on_redelivery() -> None:
    """Steps are counted as they come, not as they are inserted."""
    from stream_workers.store.statements import QUERIES

    before = "FROM inserted GROUP BY project, run_id\n), by_bucket"
    change(QUERIES, "write_steps", before, "FROM stage_steps GROUP BY project, run_id\n), by_bucket")


@bug
def swallowed_database_error() -> None:
    """An error of a statement is caught, and the transaction goes on without the rows."""
    import asyncpg

    from stream_workers.store.postgres import PostgresStore
    from stream_workers.store.store import Saved

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
    """Of conflicting ends of the run's own the earliest wins in the store, not the latest."""
    from stream_workers.store.statements import QUERIES

    change(
        QUERIES, "write_runs", "at DESC, digest DESC LIMIT 1", "CASE WHEN rank IS NULL THEN at END, at DESC, digest DESC LIMIT 1"
    )


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
    from stream_workers.store import batch

    original = batch._coverage
    batch._coverage = lambda received: [one for one in original(received) if one.partition != 0]


@bug
def dead_letter_dropped() -> None:
    """A record that cannot be read is passed over in silence."""
    from stream_workers.store.statements import QUERIES

    before = "ORDER BY partition, record_offset"
    change(QUERIES, "dead_letter", before, f"WHERE false {before}")


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
    from stream_workers.store.statements import QUERIES

    change(QUERIES, "write_runs", "FROM upserted WHERE existed", "FROM upserted WHERE existed AND false")


@bug
def tokens_not_taken_back() -> None:
    """Of a step that lost against another one, the tokens stay counted."""
    from stream_workers.store.statements import QUERIES

    change(QUERIES, "remove_step", "-input_tokens, -output_tokens, -cost", "0, 0, -cost")


@bug
def delta_counted_twice() -> None:
    """A compaction adds deltas to totals and leaves them where they were."""
    from stream_workers.rollups import compaction

    change(compaction.QUERIES, "take_step_deltas", "DELETE FROM step_rollup_deltas", "SELECT * FROM step_rollup_deltas")
    text = compaction.QUERIES["take_step_deltas"].text
    change(compaction.QUERIES, "take_step_deltas", text[text.index("RETURNING") : text.index(")\nSELECT minute")], "")
    original, calls = compaction._compact_some, itertools.count()

    async def compact_once(*arguments: Any, **options: Any) -> int:
        found = await original(*arguments, **options)
        return found if next(calls) % 2 == 0 else 0  # or it would go on with the same deltas for ever

    compaction._compact_some = compact_once


@bug
def delta_lost() -> None:
    """A compaction removes a delta that it adds to no total."""
    from stream_workers.rollups import compaction

    original = compaction._by_period
    compaction._by_period = lambda kind, deltas, now: original(kind, deltas[1:] or deltas, now)


@bug
def zombies_not_refused() -> None:
    """The ledger's epoch is not held against the writer's."""
    from stream_workers.store import postgres

    assert callable(postgres.refuse_zombie)
    postgres.refuse_zombie = lambda held, found: None


@bug
def writer_hangs() -> None:
    """A transaction is waited for that nobody began, while everything else goes on."""
    from stream_workers.pipeline.writer import Writer

    async def write(self: Any, received: Any, *, batch: Any = None) -> None:
        await asyncio.Event().wait()

    assert callable(Writer.write)
    Writer.write = write  # type: ignore[method-assign]


# -- query service --------------------------------------------------------------------------------------------------------


@bug
def tenant_filter_removed() -> None:
    """The list of runs does not ask whose they are. Its test also lifts row level security, which would save it."""
    from query_service.store.pool import STATEMENTS

    change(STATEMENTS, "list_runs", "WHERE project = $1\n", "WHERE $1::text IS NOT NULL\n")
    change(STATEMENTS, "runs", "WHERE project = $1 AND run_id", "WHERE $1::text IS NOT NULL AND run_id")


@bug
def undeclared_loss_is_complete() -> None:
    """Lost is what a producer declared, and what its end counted and nobody has seen is not missed."""
    from query_service import completeness
    from query_service.completeness import Completeness, CompletenessState

    original = completeness._of_producer

    def of_producer(producer: Any) -> Any:
        found = original(producer)
        if not found.unexplained:
            return found
        declared = sum(found.declared.values())
        state = CompletenessState.LOST if declared else CompletenessState.COMPLETE
        counted = Completeness(state, declared, found.completeness.stored_events)
        return replace(found, completeness=counted, unexplained=0)

    completeness._of_producer = of_producer
