"""One suite for every `RunStore`: the shipped fake and real Postgres keep the same promises."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from ddl.migrate import SCHEMA
from stream_workers.core.deletions import Deletions
from stream_workers.core.fold import Tables, fold
from stream_workers.core.rows import RANK_DERIVED
from stream_workers.errors import FencedError, OffsetGapError, PermanentStoreError, TransientStoreError
from stream_workers.operations.deletion import remove_project, remove_run
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.batch import DeadLetter, Received, Topic, WriteBatch, make_batch
from stream_workers.store.postgres import PostgresStore
from stream_workers.store.read_tables import differences, read_tables
from stream_workers.store.store import RunStore
from stream_workers.testing import MemoryStore
from tests.support.limits import make_small
from tests.support.traffic import Traffic

TOPIC = Topic("t", uuid.UUID(int=7))
_OF_RUNS = ("runs", "steps", "failures", "losses", "producers")


Remove = Callable[[str, str | None], Awaitable[int]]


class Subject:
    """A store under test, how to look into it, and how an operator removes from it: a run, or a project where that is None."""

    def __init__(self, store: RunStore, tables: Callable[[], Awaitable[Tables]], remove: Remove) -> None:
        self.store = store
        self.tables = tables
        self.remove = remove


@pytest.fixture(params=["fake", "postgres"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if request.param == "fake":
        fake = MemoryStore()

        async def tables() -> Tables:
            return fake.tables()

        async def remove_from_fake(project: str, run_id: str | None) -> int:
            return fake.remove_project(project) if run_id is None else fake.remove_run(project, run_id)

        yield Subject(fake, tables, remove_from_fake)
        return
    dsn = request.getfixturevalue("migrated_dsn")

    async def stored() -> Tables:
        connection = await asyncpg.connect(dsn["owner"], server_settings={"search_path": SCHEMA, "timezone": "UTC"})
        try:
            return await read_tables(connection)
        finally:
            await connection.close()

    async def remove(project: str, run_id: str | None) -> int:
        owner = dsn["owner"]
        return (await (remove_project(owner, project) if run_id is None else remove_run(owner, project, run_id))).rows

    yield Subject(PostgresStore(dsn["worker"], transaction_timeout_s=30), stored, remove)


def _run(subject: Subject, work: Callable[[], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        try:
            return await work()
        finally:
            await subject.store.close()

    return asyncio.run(whole())


def _batch(records: list[Any], *, start: int = 0, partition: int = 0) -> WriteBatch:
    received = [Received(partition, start + i, 100, None, record, None) for i, record in enumerate(records)]
    return make_batch(received, canonical_json)


@pytest.mark.parametrize("seed", range(3))
def test_any_delivery_ends_in_the_fold(subject: Subject, seed: int) -> None:
    """Records repeated, contradicted and shuffled, in batches of seven, give the fold's tables row for row."""
    traffic = Traffic(seed)
    runs = traffic.runs(25, steps=4)
    records = traffic.mischief([*traffic.records(runs), *traffic.elsewhere(runs)])

    async def work() -> None:
        for start in range(0, len(records), 7):
            await subject.store.save(TOPIC, _batch(records[start : start + 7], start=start))
        tables = await subject.tables()
        assert differences(fold(records, canonical_json), tables) == []
        assert {
            state.identity.agent for state, _, _ in tables.runs.values() if state.start and not state.start.is_continuation
        } == {"support"}

    _run(subject, work)


@pytest.mark.parametrize("seed", range(2))
def test_diagnoses_at_their_limits_are_those_of_the_fold(subject: Subject, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that go in circles, are too long and fail too often, one or two records a batch: row for row what the fold says."""
    make_small(monkeypatch)
    traffic = Traffic(seed + 100)
    records = traffic.mischief(traffic.records(traffic.runs(30, steps=10), flush=3))

    async def work() -> None:
        for start in range(0, len(records), 2):
            await subject.store.save(TOPIC, _batch(records[start : start + 2], start=start))
        tables = await subject.tables()
        assert differences(fold(records, canonical_json), tables) == []
        codes = {row.failure_code for row, _ in tables.failures.values()}
        verdicts = [verdict for _, verdict in tables.failures.values()]
        assert "loop_suspected" in codes
        assert {None, "fatal", "unrecovered"} <= {verdict.outcome for verdict in verdicts}
        assert any(verdict.caused_by for verdict in verdicts)

    _run(subject, work)


def test_saving_again_changes_nothing(subject: Subject) -> None:
    """The same batch twice is the same batch once, and is reported as repeated."""
    traffic = Traffic(1)
    batch = _batch(traffic.records(traffic.runs(10)))

    async def work() -> None:
        first = await subject.store.save(TOPIC, batch)
        before = await subject.tables()
        again = await subject.store.save(TOPIC, batch)
        assert first.repeated == 0
        found = sum(row.failure_rank == RANK_DERIVED for row, _ in before.failures.values())  # no event says these
        assert (again.new_steps, again.new_failures) == (0, 0)
        assert first.new_steps + first.new_failures - again.repeated in {0, found}
        assert differences(before, await subject.tables()) == []

    _run(subject, work)


def test_offsets_above_the_frontier_are_a_hole(subject: Subject) -> None:
    """What starts above the ledger is not written; what was lost for good closes the hole."""
    traffic = Traffic(2)
    records = traffic.records(traffic.runs(3))

    async def work() -> None:
        await subject.store.save(TOPIC, _batch(records[:2]))
        with pytest.raises(OffsetGapError) as told:
            await subject.store.save(TOPIC, _batch(records[2:], start=5))
        assert told.value.frontiers == {0: 2}
        await subject.store.record_lost(TOPIC, 0, start=2, end=5)
        assert await subject.store.frontiers(TOPIC, [0, 9]) == {0: 5, 9: 0}
        await subject.store.save(TOPIC, _batch(records[2:], start=5))
        assert differences(fold(records, canonical_json), await subject.tables()) == []

    _run(subject, work)


def test_who_took_a_partition_last_may_write_it_and_nobody_before(subject: Subject) -> None:
    """An earlier owner's write is refused whole, its named losses too; the last owner's goes through, again and again."""
    traffic = Traffic(6)
    records = traffic.records(traffic.runs(4))
    mine, other = _batch(records[:2], partition=1), _batch(records[2:4], partition=2)
    both = make_batch(
        [Received(part, offset, 100, None, one, None) for part in (1, 2) for offset, one in enumerate(records[:2])],
        canonical_json,
    )

    async def work() -> None:
        first = await subject.store.take(TOPIC, [1, 2], owner="first")
        second = await subject.store.take(TOPIC, [1], owner="second")
        assert {part: one.frontier for part, one in first.items()} == {1: 0, 2: 0}
        assert second[1].epoch > first[1].epoch
        old, new = {part: one.epoch for part, one in first.items()}, {1: second[1].epoch}
        for late in (mine, both):
            with pytest.raises(FencedError) as told:
                await subject.store.save(TOPIC, late, epochs=old)
            assert told.value.partitions == {1}
        with pytest.raises(FencedError):
            await subject.store.save(TOPIC, mine, epochs={})
        with pytest.raises(FencedError):
            await subject.store.record_lost(TOPIC, 1, start=0, end=9, epoch=old[1])
        assert await subject.store.frontiers(TOPIC, [1, 2]) == {1: 0, 2: 0}
        assert not (await subject.tables()).runs
        await subject.store.save(TOPIC, other, epochs=old)
        await subject.store.save(TOPIC, mine, epochs=new)
        await subject.store.save(TOPIC, mine, epochs=new)
        await subject.store.record_lost(TOPIC, 1, start=2, end=5, epoch=new[1])
        assert await subject.store.frontiers(TOPIC, [1, 2]) == {1: 5, 2: 2}
        third = await subject.store.take(TOPIC, [1], owner="third")
        assert third[1].frontier == 5
        assert third[1].epoch > second[1].epoch

    _run(subject, work)


def test_a_store_that_was_set_back_takes_the_owners_word(subject: Subject) -> None:
    """Of two workers that are both ahead of the ledger's epochs the older one is refused once the newer one has written."""
    traffic = Traffic(7)
    batch = _batch(traffic.records(traffic.runs(2)))

    async def work() -> None:
        await subject.store.save(TOPIC, batch, epochs={0: 4})
        await subject.store.save(TOPIC, batch, epochs={0: 5})
        with pytest.raises(FencedError):
            await subject.store.save(TOPIC, batch, epochs={0: 4})
        await subject.store.save(TOPIC, batch)
        assert (await subject.store.take(TOPIC, [0], owner="next"))[0].epoch == 6

    _run(subject, work)


def test_a_deleted_run_is_gone_and_stays_away(subject: Subject) -> None:
    """With all its rows and its part of the sums; what comes of it again is left out and counted, and covered all the same."""
    traffic = Traffic(31)
    records = traffic.mischief(traffic.records(traffic.runs(20)))
    gone = records[0].events[0].run_id
    wanted = fold(records, canonical_json, Deletions.of([("default", gone)]))
    whole = fold(records, canonical_json)
    rows = sum(key[1] == gone for name in _OF_RUNS for key in getattr(whole, name))

    async def work() -> None:
        await subject.store.save(TOPIC, _batch(records))
        assert await subject.remove("default", gone) == rows > 0
        assert differences(wanted, await subject.tables()) == []
        again = await subject.store.save(TOPIC, _batch(records))
        assert again.deleted > 0
        assert (again.new_steps, again.new_failures) == (0, 0)
        assert differences(wanted, await subject.tables()) == []
        assert await subject.remove("default", gone) == 0

    _run(subject, work)


def test_a_run_may_be_deleted_before_it_comes(subject: Subject) -> None:
    """Nothing of it is there yet, and nothing of it ever is; its offsets are covered."""
    traffic = Traffic(32)
    records = traffic.records(traffic.runs(1, steps=4))

    async def work() -> None:
        assert await subject.remove("default", records[0].events[0].run_id) == 0
        saved = await subject.store.save(TOPIC, _batch(records))
        assert saved.deleted > 0
        assert (await subject.tables()).runs == {}
        assert await subject.store.frontiers(TOPIC, [0]) == {0: len(records)}

    _run(subject, work)


def test_a_fence_costs_no_statement(migrated_dsn: dict[str, str]) -> None:
    """A write with an epoch sends what a write without one does, and taking partitions is one question, as reading them is."""
    traffic = Traffic(9)
    batch = _batch(traffic.records(traffic.runs(3)))
    sent: list[str] = []

    async def work() -> None:
        store = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30)
        await store.save(TOPIC, batch)
        assert store._connection is not None
        store._connection.add_query_logger(lambda query: sent.append(query.query))
        counts = []
        for question in (
            store.save(TOPIC, batch),
            store.save(TOPIC, batch, epochs={0: 1}),
            store.frontiers(TOPIC, list(range(6))),
            store.take(TOPIC, list(range(6)), owner="w"),
        ):
            sent.clear()
            await question
            counts.append(len(sent))
        assert counts[0] == counts[1] > 5
        assert counts[2:] == [1, 1]
        await store.close()

    asyncio.run(work())


def test_the_ledger_names_each_partitions_owner(migrated_dsn: dict[str, str]) -> None:
    """Who has it and since when, for whoever looks; a refused write changes neither."""
    traffic = Traffic(8)
    batch = _batch(traffic.records(traffic.runs(1)))

    async def work() -> None:
        store = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30)
        await store.take(TOPIC, [0], owner="one")
        held = await store.take(TOPIC, [0], owner="two")
        with pytest.raises(FencedError):
            await store.save(TOPIC, batch, epochs={0: held[0].epoch - 1})
        await store.save(TOPIC, batch, epochs={0: held[0].epoch})
        await store.close()
        connection = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": SCHEMA})
        row = await connection.fetchrow("SELECT epoch, owner, taken_at <= now() AS dated FROM ingest_ledger")
        await connection.close()
        assert tuple(row) == (2, "two", True)

    asyncio.run(work())


def test_a_deleted_project_takes_its_runs_and_no_others(subject: Subject) -> None:
    """Also runs that it begins later, under ids that another project uses as well."""
    traffic = Traffic(33)
    records = traffic.records(traffic.runs(10))
    theirs = [replace(record, project="other") for record in records]

    async def work() -> None:
        await subject.store.save(TOPIC, _batch([*records[::2], *theirs]))
        assert await subject.remove("default", None) > 0
        assert differences(fold(theirs, canonical_json), await subject.tables()) == []
        assert (await subject.store.save(TOPIC, _batch(records))).deleted > 0
        assert differences(fold(theirs, canonical_json), await subject.tables()) == []

    _run(subject, work)


@pytest.mark.parametrize("seed", range(2))
def test_deletions_between_batches_leave_what_the_fold_leaves(subject: Subject, seed: int) -> None:
    """Runs deleted at any moment of a delivery: the store is a function of the records and the tombstones, whatever the order."""
    traffic = Traffic(34 + seed)
    records = traffic.mischief(traffic.records(traffic.runs(15)))
    gone = sorted({record.events[0].run_id for record in records})[::3]
    wanted = fold(records, canonical_json, Deletions.of(("default", run_id) for run_id in gone))

    async def work() -> None:
        left = list(gone)
        for start in range(0, len(records), 5):
            await subject.store.save(TOPIC, _batch(records[start : start + 5], start=start))
            if left:
                await subject.remove("default", left.pop())
        while left:
            await subject.remove("default", left.pop())
        assert differences(wanted, await subject.tables()) == []

    _run(subject, work)


def test_dead_letters_cover_their_offsets(subject: Subject) -> None:
    """A batch of nothing but a dead letter moves the frontier, however often it is saved."""
    letter = DeadLetter(0, 0, "json", "", 12, b"k" * 16)
    batch = make_batch([Received(0, 0, 12, letter.keyed_hash, None, letter)], canonical_json)

    async def work() -> None:
        await subject.store.save(TOPIC, batch)
        await subject.store.save(TOPIC, batch)
        assert await subject.store.frontiers(TOPIC, [0]) == {0: 1}

    _run(subject, work)


def test_a_stopped_writer_does_not_hold_its_partitions_for_ever(
    migrated_dsn: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that stops with the ledger's rows locked is ended by the server, and the next owner's write goes through."""
    traffic = Traffic(4)
    batch = _batch(traffic.records(traffic.runs(2)))
    stopped, owner = (PostgresStore(migrated_dsn["worker"], transaction_timeout_s=limit) for limit in (2, 30))
    locked = asyncio.Event()

    async def hang(*_: object) -> None:
        locked.set()
        await asyncio.Event().wait()

    async def work() -> None:
        with monkeypatch.context() as patched:
            patched.setattr("stream_workers.store.postgres.write_rows", hang)
            stopped._timeout_s = 2
            await stopped.frontiers(TOPIC, [0])  # connected, with the server's limit of 2 s
            stopped._timeout_s = 3600  # a stopped process does not keep its own limits
            holding = asyncio.create_task(stopped.save(TOPIC, batch))
            await locked.wait()
        await owner.save(TOPIC, batch)
        assert await owner.frontiers(TOPIC, [0]) == {0: batch.coverage[0].end}
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        await owner.close()
        await stopped.close()

    asyncio.run(work())


def test_a_store_that_cannot_be_reached_is_transient() -> None:
    """Nobody listens there: the error says to try again, and names no address."""
    store = PostgresStore("postgresql://nobody:secret@127.0.0.1:1/none", transaction_timeout_s=5)
    with pytest.raises(TransientStoreError) as told:
        asyncio.run(store.frontiers(TOPIC, [0]))
    assert "secret" not in str(told.value)


def test_what_postgres_refuses_is_permanent_and_says_no_value(migrated_dsn: dict[str, str]) -> None:
    """A value that no column takes is the record's fault; the error carries the SQLSTATE alone."""
    traffic = Traffic(3)
    batch = _batch(traffic.records(traffic.runs(1, steps=3)))
    batch.rows.steps[0:1] = [batch.rows.steps[0]._replace(kind="canary-kind")]  # type: ignore[index]  # a list inside
    store = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30)

    async def work() -> None:
        with pytest.raises(PermanentStoreError) as told:
            await store.save(TOPIC, batch)
        assert told.value.sqlstate == "23514"
        assert "canary" not in str(told.value)
        assert told.value.__cause__ is None
        await store.close()

    asyncio.run(work())
