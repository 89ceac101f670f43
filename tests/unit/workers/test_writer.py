"""Getting records into the store, whatever it takes."""

import asyncio
import uuid
from collections import Counter
from dataclasses import replace

import pytest

from agenttracer.wire.envelope import Record
from stream_workers.core.fold import fold
from stream_workers.errors import DeadLetterLimitError, OffsetGapError, PermanentStoreError, SlowStoreError, TransientStoreError
from stream_workers.metrics import WorkerMetrics
from stream_workers.pipeline.dead_letter_limit import REFUSALS_MAX, DeadLetterLimit
from stream_workers.pipeline.decode import canonical_json
from stream_workers.pipeline.writer import Writer
from stream_workers.store.batch import DeadLetter, Received, Topic, WriteBatch
from stream_workers.store.store import Epochs, Saved
from stream_workers.testing import MemoryStore
from tests.support.traffic import Traffic

TOPIC = Topic("t", uuid.UUID(int=1))


def _received(records: list[Record]) -> list[Received]:
    return [Received(0, offset, 100, None, record, None) for offset, record in enumerate(records)]


def _writer(store: MemoryStore) -> Writer:
    return Writer(store, TOPIC, WorkerMetrics(), retry_max_s=0.01, limit=DeadLetterLimit(max_share=0.5, max_in_a_row=100))


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

    async def save(self, topic: Topic, batch: WriteBatch, *, epochs: Epochs | None = None) -> Saved:
        if any(state.run_id == self._refused for state in batch.rows.runs):
            raise PermanentStoreError("22P05")
        return await super().save(topic, batch, epochs=epochs)


def test_one_refused_record_becomes_the_only_dead_letter() -> None:
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
    with pytest.raises(OffsetGapError) as told:
        asyncio.run(_writer(store).write(_received(_records())[3:]))
    assert told.value.frontiers == {0: 0}
    assert not store.runs


class _Slow(MemoryStore):
    """Takes longer than a transaction may last for more than so many records at a time."""

    def __init__(self, *, records_max: int) -> None:
        super().__init__()
        self.records_max = records_max
        self.tried: list[int] = []

    async def save(self, topic: Topic, batch: WriteBatch, *, epochs: Epochs | None = None) -> Saved:
        records = sum(coverage.end - coverage.start for coverage in batch.coverage)
        self.tried.append(records)
        if records > self.records_max:
            raise SlowStoreError("25P04")
        return await super().save(topic, batch, epochs=epochs)


def test_what_takes_too_long_twice_is_written_in_halves() -> None:
    """Down to what the store can take, and no record of it becomes a dead letter."""
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
    """Slow is not poison: after many tries it is stored, and no dead letter."""
    store, records = MemoryStore(), _records()[:1]
    store.fail_next = [SlowStoreError("TimeoutError") for _ in range(20)]
    asyncio.run(_writer(store).write(_received(records)))
    assert store.tables() == fold(records, canonical_json)
    assert not store.letters


class _Burning(MemoryStore):
    """Refuses whatever holds a row of one project."""

    def __init__(self, project: str) -> None:
        super().__init__()
        self._project = project
        self.refusals = 0

    async def save(self, topic: Topic, batch: WriteBatch, *, epochs: Epochs | None = None) -> Saved:
        if any(state.project == self._project for state in batch.rows.runs):
            self.refusals += 1
            raise PermanentStoreError("22003")
        return await super().save(topic, batch, epochs=epochs)


def _mixed(seed: int) -> list[Record]:
    """Records of two projects, one after the other."""
    traffic = Traffic(seed)
    records = traffic.records(traffic.runs(300))
    return [replace(record, project=("good", "bad")[at % 2]) for at, record in enumerate(records)]


def test_a_project_that_burns_is_parked_alone() -> None:
    """The others' records are stored, with the offsets of all, and few transactions are spent on the one that burns."""
    store, records = _Burning("bad"), _mixed(7)
    writer = _writer(store)
    asyncio.run(writer.write(_received(records)))
    good = [one for one in records if one.project == "good"]
    assert store.tables() == fold(good, canonical_json)
    assert asyncio.run(store.frontiers(TOPIC, [0])) == {0: len(records)}
    bad = {(0, at) for at, one in enumerate(records) if one.project == "bad"}
    assert store.letters.keys() == bad
    assert {letter.project for letter in store.letters.values()} == {"bad"}
    reasons = Counter(letter.reason for letter in store.letters.values())
    assert reasons["parked"] > len(bad) / 2
    assert store.refusals < 2 * REFUSALS_MAX, "one SQLSTATE is not searched for again and again"


def test_records_of_a_parked_project_are_held_back_without_a_try() -> None:
    """They are letters with the reason `parked`, which a retry stores; the next batch of the others is one transaction."""
    store, records = _Burning("bad"), _mixed(8)
    writer = _writer(store)
    asyncio.run(writer.write(_received(records)))
    before = store.refusals
    later = [Received(0, len(records) + at, 100, None, record, None) for at, record in enumerate(_mixed(9))]
    asyncio.run(writer.write(later))
    assert store.refusals == before
    assert {store.letters[0, item.offset].reason for item in later if item.project == "bad"} == {"parked"}


def test_a_record_that_was_stored_gets_no_letter_when_its_project_is_parked() -> None:
    """Delivered again while the project is parked: the rows are there already, and a letter would deny it."""
    store, records = MemoryStore(), _records()
    limit = DeadLetterLimit(max_share=0.5, max_in_a_row=100)
    writer = Writer(store, TOPIC, WorkerMetrics(), retry_max_s=0.01, limit=limit)
    asyncio.run(writer.write(_received(records)))
    limit.park(records[0].project)
    asyncio.run(writer.write(_received(records)))
    assert not store.letters
    assert store.tables() == fold(records, canonical_json)


def test_a_letter_of_a_parked_project_ends_when_its_record_is_stored() -> None:
    """Delivered again to a worker that has not parked the project."""
    store, records = MemoryStore(), _records()
    limit = DeadLetterLimit(max_share=0.5, max_in_a_row=100)
    limit.park(records[0].project)
    asyncio.run(Writer(store, TOPIC, WorkerMetrics(), retry_max_s=0.01, limit=limit).write(_received(records)))
    assert len(store.letters) == len(records)
    assert not store.runs
    asyncio.run(_writer(store).write(_received(records)))
    assert not store.letters
    assert store.tables() == fold(records, canonical_json)


def test_dead_letters_of_many_projects_with_nothing_stored_stop_the_writer() -> None:
    """Then the fault is not theirs: what is written by then stays, and the caller parks the worker."""
    store = MemoryStore()
    unreadable = [
        Received(0, at, 9, None, None, DeadLetter(0, at, "json", "", 9, None, f"project-{at // 100}")) for at in range(300)
    ]
    with pytest.raises(DeadLetterLimitError):
        asyncio.run(_writer(store).write(unreadable))
    assert {letter.reason for letter in store.letters.values()} == {"json"}
