"""Getting records into the store, whatever it takes."""

import asyncio
import uuid

import pytest

from agenttracer.wire.envelope import Record
from stream_workers.batch import Batch, DeadLetter, Received, Topic
from stream_workers.brake import PoisonBrake
from stream_workers.core.fold import fold
from stream_workers.decode import canonical_json
from stream_workers.errors import HoleError, PermanentStoreError, PoisonBrakeError, SlowStoreError, TransientStoreError
from stream_workers.metrics import Metrics
from stream_workers.store import Epochs, Saved
from stream_workers.testing import MemoryStore
from stream_workers.write import Writer
from tests.support.traffic import Traffic

TOPIC = Topic("t", uuid.UUID(int=1))


def _received(records: list[Record]) -> list[Received]:
    return [Received(0, offset, 100, None, record, None) for offset, record in enumerate(records)]


def _writer(store: MemoryStore) -> Writer:
    return Writer(store, TOPIC, Metrics(), retry_max_s=0.01, brake=PoisonBrake(max_share=0.5, max_in_a_row=100))


def _records() -> list[Record]:
    traffic = Traffic(5)
    return traffic.records(traffic.runs(20))


def test_a_store_that_is_away_is_waited_for() -> None:
    """Transient errors, before the write and after it, end in the same rows."""
    store, records = MemoryStore(), _records()
    store.fail_next = [TransientStoreError("08006"), TransientStoreError("40P01")]
    store.fail_after_next = [TransientStoreError("ConnectionResetError")]
    asyncio.run(_writer(store).write(_received(records)))
    assert store.tables() == fold(records, canonical_json)


class _Refusing(MemoryStore):
    """Refuses whatever holds one run, as a database refuses a value."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._refused = run_id

    async def save(self, topic: Topic, batch: Batch, *, epochs: Epochs | None = None) -> Saved:
        if any(state.run_id == self._refused for state in batch.rows.runs):
            raise PermanentStoreError("22P05")
        return await super().save(topic, batch, epochs=epochs)


def test_one_refused_record_is_found_and_buried_alone() -> None:
    """Halving finds it; all others are stored, and every offset is covered."""
    records = _records()
    poison = records[17].events[0].run_id
    store = _Refusing(poison)
    asyncio.run(_writer(store).write(_received(records)))
    bad = {(0, offset) for offset, record in enumerate(records) if record.events[0].run_id == poison}
    assert store.letters.keys() == bad
    assert {letter.reason for letter in store.letters.values()} == {"sqlstate_22p05"}
    assert store.tables() == fold([one for one in records if one.events[0].run_id != poison], canonical_json)
    assert asyncio.run(store.frontiers(TOPIC, [0])) == {0: len(records)}


def test_a_hole_is_the_callers_to_mend() -> None:
    """Records above what the ledger has seen are not written; the error says where reading must begin."""
    store = MemoryStore()
    with pytest.raises(HoleError) as told:
        asyncio.run(_writer(store).write(_received(_records())[3:]))
    assert told.value.frontiers == {0: 0}
    assert not store.runs


class _Slow(MemoryStore):
    """Takes longer than a transaction may last for more than so many records at a time."""

    def __init__(self, *, records_max: int) -> None:
        super().__init__()
        self.records_max = records_max
        self.tried: list[int] = []

    async def save(self, topic: Topic, batch: Batch, *, epochs: Epochs | None = None) -> Saved:
        records = sum(coverage.end - coverage.start for coverage in batch.coverage)
        self.tried.append(records)
        if records > self.records_max:
            raise SlowStoreError("25P04")
        return await super().save(topic, batch, epochs=epochs)


def test_what_takes_too_long_twice_is_written_in_halves() -> None:
    """Down to what the store can take, and nothing of it is buried."""
    store, records = _Slow(records_max=5), _records()
    writer = _writer(store)
    asyncio.run(writer.write(_received(records)))
    assert store.tables() == fold(records, canonical_json)
    assert not store.letters
    whole = len(records)
    assert store.tried[:4] == [whole, whole, whole // 2, whole // 4], "after two in a row each further one halves"
    assert writer.progress == len(store.tried), "none of them looks like a writer that hangs"


def test_one_time_limit_halves_nothing() -> None:
    """The next try of the same succeeds, and the next accident is the first one again."""
    store, records = _Slow(records_max=1_000), _records()
    writer = _writer(store)
    for _ in range(2):
        store.fail_next = [SlowStoreError("57014")]
        asyncio.run(writer.write(_received(records)))
    assert store.tried == [len(records)] * 4


def test_a_single_record_that_takes_too_long_is_tried_for_ever() -> None:
    """Slow is not poison: after many tries it is stored, not buried."""
    store, records = MemoryStore(), _records()[:1]
    store.fail_next = [SlowStoreError("TimeoutError") for _ in range(20)]
    asyncio.run(_writer(store).write(_received(records)))
    assert store.tables() == fold(records, canonical_json)
    assert not store.letters


def test_too_many_dead_letters_are_not_written_at_all() -> None:
    """The brake holds before the batch that would be one too many, so its records stay to be read again."""
    store, records = MemoryStore(), _records()
    unreadable = [
        Received(0, offset, 9, None, None, DeadLetter(0, offset, "json", "", 9, None))
        for offset in range(len(records), len(records) + 100)
    ]
    with pytest.raises(PoisonBrakeError):
        asyncio.run(_writer(store).write([*_received(records), *unreadable]))
    assert not store.letters
    assert asyncio.run(store.frontiers(TOPIC, [0])) == {0: 0}
    asyncio.run(_writer(store).write([*_received(records), *unreadable[:99]]))
    assert len(store.letters) == 99
