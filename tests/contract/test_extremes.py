"""What the contract lets through the store takes, to the last value of every field; what it cannot take is buried alone."""

import asyncio
import dataclasses
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import pytest

from agenttracer.wire import events as wire
from agenttracer.wire.envelope import Record
from agenttracer.wire.reader import Notes
from agenttracer.wire.vocabulary import DropReason
from ddl.migrate import SCHEMA
from servicekit import codec
from stream_workers.batch import Received, Topic, make_batch
from stream_workers.brake import PoisonBrake
from stream_workers.core.fold import Tables, fold
from stream_workers.decode import canonical_json
from stream_workers.metrics import Metrics
from stream_workers.postgres import PostgresStore
from stream_workers.rebuild.bulk import BulkStore
from stream_workers.stored import differences, stored_tables
from stream_workers.write import Writer
from tests.support import extremes
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
        return _comparable(await stored_tables(connection), kind)
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
        brake = PoisonBrake(max_share=1, max_in_a_row=10)
        writer = Writer(store, TOPIC, Metrics(), retry_max_s=1, brake=brake)
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

    monkeypatch.setattr("stream_workers.postgres.run_values", broken)

    async def work() -> None:
        store = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=60)
        with pytest.raises(TypeError, match="ours"):
            await store.save(TOPIC, make_batch(_received(traffic.records(traffic.runs(1))), canonical_json))
        await store.close()

    asyncio.run(work())
