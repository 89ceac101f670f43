"""The store takes all that the contract lets through, to the last value of every field; anything else becomes a dead letter."""

import asyncio
import dataclasses
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import pytest

from agenttracer.wire import events as wire
from agenttracer.wire.envelope import VERSION, Producer, Record
from agenttracer.wire.reader import Notes
from agenttracer.wire.vocabulary import DropReason, RunEnd
from ddl.migrate import SCHEMA
from servicekit import codec
from stream_workers.core.fold import Tables, fold
from stream_workers.metrics import WorkerMetrics
from stream_workers.operations.deletion import remove_project, remove_run
from stream_workers.operations.rebuild.bulk import BulkStore
from stream_workers.pipeline.dead_letter_limit import DeadLetterLimit
from stream_workers.pipeline.decode import canonical_json
from stream_workers.pipeline.writer import Writer
from stream_workers.store.batch import Received, Topic, make_batch
from stream_workers.store.postgres import PostgresStore
from stream_workers.store.read_tables import differences, read_tables
from tests.support import extremes
from tests.support.statistics import Store
from tests.support.traffic import Traffic

TOPIC = Topic("t", uuid.UUID(int=9))
RUN = "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0"
NOW = 1_768_469_400_000_000
STORES = pytest.mark.parametrize("kind", [PostgresStore, BulkStore])


def _store(kind: type[PostgresStore], dsn: dict[str, str]) -> PostgresStore:
    """As who it really writes: a rebuild is the owner's."""
    return kind(dsn["owner" if kind is BulkStore else "worker"], transaction_timeout_s=60)


def _received(records: Sequence[Record]) -> list[Received]:
    return [Received(0, offset, 100, None, record, None) for offset, record in enumerate(records)]


def _as_sent(record: Record) -> Record:
    """As it comes out of the topic, in the form that the gateway wrote and the workers read."""
    read, notes = codec.read_record(codec.encode_record(record))
    assert notes == Notes()
    return read


async def _tables(dsn: str, kind: type[PostgresStore]) -> Tables:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA, "timezone": "UTC"})
    try:
        return _comparable(await read_tables(connection), kind)
    finally:
        await connection.close()


def _comparable(tables: Tables, kind: type[PostgresStore]) -> Tables:
    """A rebuild adds up at its end, so that rollups mean nothing before."""
    return dataclasses.replace(tables, run_rollups={}, step_rollups={}) if kind is BulkStore else tables


@STORES
def test_every_field_may_be_at_its_ends(migrated_dsn: dict[str, str], kind: type[PostgresStore]) -> None:
    """Each at its least and greatest among others at theirs, read, assembled and stored: row for row what the fold says."""
    records = [_as_sent(record) for record in extremes.records()]

    async def work() -> None:
        store = _store(kind, migrated_dsn)
        await store.save(TOPIC, make_batch(_received(records), canonical_json))
        await store.close()
        wanted = _comparable(fold(records, canonical_json), kind)
        assert differences(wanted, await _tables(migrated_dsn["owner"], kind)) == []
        assert len(wanted.runs) >= len({record.project for record in records})
        assert max(end for row in wanted.producers.values() for _, end in row.seen) == wire.COUNT_MAX

    asyncio.run(work())


def test_sums_of_extremes_do_not_overflow(migrated_dsn: dict[str, str]) -> None:
    """Three thousand runs of a hundred years last longer than 64 bits hold: they are stored, compacted, verified and deleted."""
    producer = Producer(id="p", agent="a", agent_version="1")
    runs = [str(uuid.UUID(int=number)) for number in range(1, 3_001)]
    records = [
        Record(v=VERSION, project="shop", producer=producer, received_at=wire.TIME_MAX_US, events=_century(run_id))
        for run_id in runs
    ]

    async def work() -> None:
        store = await Store.open(migrated_dsn)
        await store.save(records)
        for _ in range(2):
            found = await read_tables(store.connection)
            assert differences(fold(records, canonical_json), found) == []
            assert max(rollup.latency_us for rollup in found.run_rollups.values()) > 2**63
            assert await store.wrong() == []
            await store.compact()
        await remove_run(store.dsn, "shop", runs[0])
        assert await store.wrong() == []
        await remove_project(store.dsn, "shop")
        assert await store.sums() == {}
        await store.close()

    asyncio.run(work())


def test_the_worst_values_are_compacted_verified_and_deleted(migrated_dsn: dict[str, str]) -> None:
    """What `hostile` sends is stored as the fold has it, through compaction, the deletion of a run, and that of a project."""
    records = [_as_sent(record) for record in extremes.hostile(1, count=400)]

    async def work() -> None:
        store = await Store.open(migrated_dsn)
        await store.save(records)
        await store.compact()
        assert differences(fold(records, canonical_json), await read_tables(store.connection)) == []
        assert await store.wrong() == []
        first = records[0]
        await remove_run(store.dsn, first.project, first.events[0].run_id)
        assert await store.wrong() == []
        for project in ("shop", "bank"):
            await remove_project(store.dsn, project)
        assert await store.sums() == {}
        await store.close()

    asyncio.run(work())


def test_a_count_that_is_full_takes_further_rows(migrated_dsn: dict[str, str]) -> None:
    """The run with two milliards of steps, which nobody can make in a test, goes on: its count stays where it is."""
    records = [_as_sent(one) for one in (_one(_step()), _one(_step(step_id="00f067aa0ba902b8", status="error")))]

    async def work() -> None:
        store = await Store.open(migrated_dsn)
        await store.save(records[:1])
        await store.connection.execute("UPDATE runs SET step_count = 2147483647, failure_count = 2147483647")
        await store.worker.save(TOPIC, make_batch(_received(records[1:]), canonical_json))
        counts = await store.connection.fetchrow("SELECT step_count, error_step_count, failure_count FROM runs")
        assert tuple(counts) == (2**31 - 1, 1, 2**31 - 1)
        await store.close()

    asyncio.run(work())


def _one(event: wire.Event) -> Record:
    return Record(
        v=VERSION, project="shop", producer=Producer(id="p", agent="a", agent_version="1"), received_at=NOW, events=(event,)
    )


def _century(run_id: str) -> tuple[wire.Event, ...]:
    began = wire.RunStarted(run_id=run_id, seq=0, started_at=wire.TIME_MIN_US)
    return began, wire.RunFinished(run_id=run_id, seq=1, ended_at=wire.TIME_MAX_US, status=RunEnd.SUCCESS, emitted=2)


def _step(**members: Any) -> wire.Event:
    known = {"seq": 1, "step_id": "00f067aa0ba902b7", "kind": "tool", "name": "x", "status": "ok"}
    return wire.StepFinished(run_id=RUN, started_at=NOW, duration_us=5, **{**known, **members})


UNFIT: dict[str, Callable[[], wire.Event]] = {
    "a number too large for its column": lambda: _step(attempt=2**15),
    "a number too large for the end of a range": lambda: _step(seq=wire.COUNT_MAX),
    "a number too large for a statement's argument": lambda: wire.EventsDropped(run_id=RUN, reason=DropReason.EXIT, total=2**31),
    "a text that is no id": lambda: wire.RunStarted(run_id=RUN, seq=0, started_at=NOW, parent_run_id="canary"),
    "a text for a number": lambda: _step(attempt="canary"),
    "a text that is no Unicode": lambda: _step(evidence=wire.Evidence(error_code="canary\ud800")),
}


@STORES
@pytest.mark.parametrize("unfit", UNFIT)
def test_a_value_that_cannot_be_encoded_is_buried_alone(
    migrated_dsn: dict[str, str], kind: type[PostgresStore], unfit: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Should a reader ever let one through: its record is a dead letter, others are stored, and nobody says the value."""
    traffic = Traffic(91)
    good = traffic.records(traffic.runs(10))
    bad = dataclasses.replace(good[0], events=(UNFIT[unfit](),))
    middle = len(good) // 2

    async def work() -> None:
        store = _store(kind, migrated_dsn)
        limit = DeadLetterLimit(max_share=1, max_in_a_row=10)
        writer = Writer(store, TOPIC, WorkerMetrics(), retry_max_s=1, limit=limit)
        async with asyncio.timeout(60):
            await writer.write(_received([*good[:middle], bad, *good[middle:]]))
        assert await store.frontiers(TOPIC, [0]) == {0: len(good) + 1}
        await store.close()
        owner = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": SCHEMA})
        letters = await owner.fetch("SELECT record_offset, reason FROM dead_letters")
        await owner.close()
        assert [tuple(row) for row in letters] == [(middle, "sqlstate_22000")]
        wanted = _comparable(fold(good, canonical_json), kind)
        assert differences(wanted, await _tables(migrated_dsn["owner"], kind)) == []

    asyncio.run(work())
    assert "canary" not in "".join(capfd.readouterr())


def test_an_error_of_our_own_is_no_poison(migrated_dsn: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A TypeError while rows are made comes out as what it is, and ends the process instead of burying records."""
    traffic = Traffic(92)

    def broken(*_: object) -> tuple[Any, ...]:
        raise TypeError("ours")

    monkeypatch.setattr("stream_workers.store.write_rows.run_values", broken)

    async def work() -> None:
        store = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=60)
        with pytest.raises(TypeError, match="ours"):
            await store.save(TOPIC, make_batch(_received(traffic.records(traffic.runs(1))), canonical_json))
        await store.close()

    asyncio.run(work())
