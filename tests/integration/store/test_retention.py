"""Retention by whole days: what it removes, at what cost, beside whom. After every mischief the store is what the fold says."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from agenttracer.wire.envelope import VERSION, Producer, Record
from agenttracer.wire.events import RunFinished, RunStarted, StepFinished
from agenttracer.wire.vocabulary import RunEnd, StepKind, StepStatus
from ddl.migrate import SCHEMA, migrate
from stream_workers.core.deletions import Deletions
from stream_workers.core.fold import Tables, fold, rollups_of
from stream_workers.errors import WorkerError
from stream_workers.kafka.topic_log import LogRange
from stream_workers.operations.deletion import apply_retention, day, remove_run, session, set_retention
from stream_workers.operations.verify import RunSelection, verify
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.batch import Received, Topic, WriteBatch, make_batch
from stream_workers.store.day_partitions import DAY_US
from stream_workers.store.postgres import PostgresStore
from stream_workers.store.read_tables import differences, read_tables
from tests.support.detail import detail_of
from tests.support.traffic import Traffic

TOPIC = Topic("t", uuid.UUID(int=5))
SHADOW = f"{SCHEMA}_shadow"
TODAY_US = time.time_ns() // 1000 // DAY_US * DAY_US
HOUR_US = 3_600_000_000
# Whoever counts rows that are deleted one by one must not be asked whether there are any: every one of them says so.
_COUNT = """
CREATE TABLE one_by_one (started_at timestamptz NOT NULL);
CREATE FUNCTION count_one() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN INSERT INTO agenttracer.one_by_one VALUES (OLD.started_at); RETURN NULL; END $$;
CREATE TRIGGER count_one AFTER DELETE ON steps FOR EACH ROW EXECUTE FUNCTION count_one();
"""
_WAITING = """SELECT FROM pg_locks JOIN pg_class ON pg_class.oid = relation
WHERE relname = 'ingest_ledger' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


def midday(days_ago: int) -> int:
    """Noon of that day of UTC (us)."""
    return TODAY_US - days_ago * DAY_US + DAY_US // 2


def table_of(at_us: int) -> str:
    return f"steps_{datetime.fromtimestamp(at_us / 1e6, UTC):%Y%m%d}"


def traffic_of(seed: int, project: str, days_ago: int, *, runs: int = 12) -> list[Record]:
    """Runs of one project that begin and end about noon of one day."""
    made = Traffic(seed, base_us=midday(days_ago))
    return [replace(record, project=project) for record in made.mischief(made.records(made.runs(runs)))]


def long_run(project: str, *times: int) -> Record:
    """A run with a step at each of these times."""
    run_id = str(uuid.uuid4())
    steps = [
        StepFinished(
            run_id=run_id,
            seq=seq,
            step_id=f"{seq:016x}",
            kind=StepKind.TOOL,
            name="search",
            started_at=at,
            duration_us=5,
            status=StepStatus.OK,
        )
        for seq, at in enumerate(times, start=1)
    ]
    began = RunStarted(run_id=run_id, seq=0, started_at=times[0])
    last = len(times) + 1
    ended = RunFinished(run_id=run_id, seq=last, ended_at=times[-1] + 9, status=RunEnd.SUCCESS, emitted=last + 1)
    producer = Producer(id="p", agent="a", agent_version="1")
    return Record(v=VERSION, project=project, producer=producer, received_at=times[-1] + 10, events=(began, *steps, ended))


@dataclass
class Subject:
    """A store, and what it was sent."""

    dsn: dict[str, str]
    worker: PostgresStore

    async def sql(self, statement: str, *arguments: Any, schema: str = SCHEMA) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn["owner"], server_settings={"search_path": schema, "timezone": "UTC"})
        try:
            if arguments or statement.startswith("SELECT"):
                return list(await connection.fetch(statement, *arguments))
            await connection.execute(statement)
            return []
        finally:
            await connection.close()

    async def save(self, records: Sequence[Record]) -> int:
        return (await self.worker.save(TOPIC, batch(records))).deleted

    async def tables(self, schema: str = SCHEMA) -> Tables:
        connection = await asyncpg.connect(self.dsn["owner"], server_settings={"search_path": schema, "timezone": "UTC"})
        try:
            return await read_tables(connection)
        finally:
            await connection.close()

    async def wrong(self, records: Sequence[Record], schema: str = SCHEMA) -> list[str]:
        """Where the store's detail is not the fold of these records and of what it says was deleted."""
        said = await self.sql("SELECT project, run_id::text AS run_id FROM deletions")
        deletions = Deletions.of((row["project"], row["run_id"]) for row in said)
        return differences(detail_of(fold(records, canonical_json, deletions)), detail_of(await self.tables(schema)))

    async def wrong_statistics(self, records: Sequence[Record], schema: str = SCHEMA) -> list[str]:
        """Where statistics are not those of all these records: what expires stays counted, open runs as abandoned."""
        wanted, found = _open_alike(fold(records, canonical_json)), _open_alike(await self.tables(schema))
        return differences(replace(found, run_rollups=wanted.run_rollups, step_rollups=wanted.step_rollups), found)

    async def partitions(self, schema: str = SCHEMA) -> set[str]:
        rows = await self.sql(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'steps'::regclass", schema=schema
        )
        return {row["name"].rpartition(".")[2] for row in rows}

    async def one_by_one(self) -> Counter[str]:
        """Steps that were deleted as rows, by day."""
        rows = await self.sql("SELECT to_char(started_at, '\"steps_\"YYYYMMDD') AS name FROM one_by_one")
        return Counter(row["name"] for row in rows)

    async def apply(self) -> Any:
        return await apply_retention(self.dsn["owner"], report=str)

    async def keep(self, **days: int) -> None:
        for project, count in days.items():
            await set_retention(self.dsn["owner"], project, count)


def _open_alike(tables: Tables) -> Tables:
    """Runs that did not end count alike, whether they are open or have expired so."""
    counts = (
        ((*key[:4], "open", "", "") if key[4] in {"running", "abandoned"} else key, one)
        for key, one in tables.run_rollups.items()
    )
    return replace(tables, run_rollups=rollups_of(counts))


def batch(records: Sequence[Record]) -> WriteBatch:
    received = [Received(0, offset, 100, None, record, None) for offset, record in enumerate(records)]
    return make_batch(received, canonical_json)


Work = Callable[[Subject], Awaitable[None]]


@pytest.fixture
def run(migrated_dsn: dict[str, str]) -> Callable[[Work], None]:
    def whole(work: Work) -> None:
        async def both() -> None:
            subject = Subject(migrated_dsn, PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30))
            await subject.sql(_COUNT)
            await work(subject)
            await subject.worker.close()

        asyncio.run(both())

    return whole


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LOCK_TIMEOUT_MS", 200)
    monkeypatch.setattr(session, "_TRIES", 2)
    monkeypatch.setattr(session, "_PAUSE_S", 0.01)


def test_a_day_that_nobody_keeps_goes_without_a_row_of_it(run: Callable[[Work], None]) -> None:
    """Two projects, one day: not one of its steps is deleted, only what a run had on the next day; late events stay away."""
    over_midnight = long_run("shop", midday(10), midday(9) - DAY_US // 2 + HOUR_US)
    records = [*traffic_of(1, "shop", 10), *traffic_of(2, "bank", 10), over_midnight, *traffic_of(3, "shop", 2)]

    async def work(subject: Subject) -> None:
        await subject.save(records)
        await subject.keep(shop=5, bank=6)
        applied = await subject.apply()
        assert applied.complete
        assert applied.one_by_one == 0
        assert set(applied.runs) == {"shop", "bank"}
        assert not {table_of(midday(10)), table_of(midday(9))} & await subject.partitions()
        assert table_of(midday(2)) in await subject.partitions()
        assert await subject.one_by_one() == {table_of(midday(9)): 1}
        assert await subject.wrong(records) == []
        assert await subject.save(records) > 0
        assert await subject.wrong(records) == []
        assert await subject.wrong_statistics(records) == []
        assert (await subject.apply()).runs.total() == 0

    run(work)


@pytest.mark.parametrize("longer", [None, 30])
def test_a_day_that_another_project_keeps_loses_single_runs(run: Callable[[Work], None], longer: int | None) -> None:
    """The one that keeps longer, or for ever, has every row as before; the day stays, and the statistics of both."""
    theirs = traffic_of(5, "bank", 10)
    records = [*traffic_of(4, "shop", 10), *theirs]

    async def work(subject: Subject) -> None:
        await subject.save(records)
        await subject.keep(shop=5, **({} if longer is None else {"bank": longer}))
        applied = await subject.apply()
        assert applied.one_by_one == applied.runs.total() == 12
        assert applied.dropped == []
        assert table_of(midday(10)) in await subject.partitions()
        assert (await subject.one_by_one()).keys() == {table_of(midday(10))}
        assert differences(detail_of(fold(theirs, canonical_json)), detail_of(await subject.tables())) == []
        assert await subject.wrong(records) == []
        assert await subject.wrong_statistics(records) == []

    run(work)


def test_a_day_waits_for_the_runs_that_reach_into_the_next(run: Callable[[Work], None]) -> None:
    """A run that is kept for some hours more holds its first day, of which nothing goes meanwhile; then the day goes whole."""
    now_us = time.time_ns() // 1000
    kept = long_run("shop", midday(8), now_us - 7 * DAY_US + HOUR_US)
    records = [*traffic_of(6, "shop", 8), kept]

    async def work(subject: Subject) -> None:
        await subject.save(records)
        before = await subject.tables()
        await subject.keep(shop=7)
        assert (await subject.apply()).runs.total() == 0
        assert differences(before, await subject.tables()) == []
        await subject.keep(shop=6)  # a day later
        applied = await subject.apply()
        assert (applied.runs.total(), applied.one_by_one) == (13, 0)
        assert table_of(midday(8)) in applied.dropped
        assert table_of(midday(8)) not in await subject.one_by_one()
        assert await subject.wrong(records) == []

    run(work)


def test_a_run_that_only_spans_a_day_does_not_hold_it(run: Callable[[Work], None]) -> None:
    """It began before and goes on after, without a step there: the day is dropped, the run keeps every row."""
    spanning = long_run("bank", midday(12), midday(3))
    records = [*traffic_of(7, "shop", 10), spanning]

    async def work(subject: Subject) -> None:
        await subject.save(records)
        await subject.keep(shop=5)
        assert (await subject.apply()).dropped == [table_of(midday(10))]
        assert await subject.one_by_one() == {}
        assert differences(detail_of(fold([spanning], canonical_json)), detail_of(await subject.tables())) == []

    run(work)


@pytest.mark.usefixtures("impatient")
def test_readers_go_first_and_see_what_they_saw(run: Callable[[Work], None]) -> None:
    """While one holds the steps nothing is removed, not even row by row; afterwards the next call does it all."""
    records = [*traffic_of(8, "shop", 10), *traffic_of(9, "shop", 9)]

    async def work(subject: Subject) -> None:
        await subject.save(records)
        await subject.keep(shop=5)
        before = await subject.tables()
        reader = await asyncpg.connect(
            subject.dsn["query"], server_settings={"search_path": SCHEMA, "agenttracer.project": "shop"}
        )
        async with reader.transaction(isolation="repeatable_read", readonly=True):
            count = await reader.fetchval("SELECT count(*) FROM steps")
            applied = await subject.apply()
            assert (applied.complete, applied.runs.total(), len(applied.held)) == (False, 0, 2)
            assert await reader.fetchval("SELECT count(*) FROM steps") == count > 0
        assert differences(before, await subject.tables()) == []
        applied = await subject.apply()
        assert (applied.complete, applied.one_by_one, len(applied.dropped)) == (True, 0, 2)
        assert await reader.fetchval("SELECT count(*) FROM steps") == 0
        await reader.close()
        assert await subject.wrong(records) == []

    run(work)


def test_killed_in_the_middle_of_a_day_nothing_is_half_done(run: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The server loses the session once all but the drop is done: every row is back, and the next call does it all."""
    records = [*traffic_of(10, "shop", 10), *traffic_of(11, "shop", 2)]

    async def work(subject: Subject) -> None:
        async def taken_out_and_killed(connection: asyncpg.Connection, project: str, **rest: Any) -> int:
            await taken_out(connection, project, **rest)
            await subject.sql("SELECT pg_terminate_backend($1)", connection.get_server_pid())
            return 0

        taken_out = day.delete_rows
        await subject.save(records)
        await subject.keep(shop=5)
        before = await subject.tables()
        with monkeypatch.context() as patched:
            patched.setattr(day, "delete_rows", taken_out_and_killed)
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await subject.apply()
        assert differences(before, await subject.tables()) == []
        assert await subject.sql("SELECT FROM deletions") == []
        assert (await subject.apply()).dropped == [table_of(midday(10))]
        assert await subject.wrong(records) == []

    run(work)


def test_workers_that_write_into_the_day_meanwhile_leave_no_row(run: Callable[[Work], None]) -> None:
    """Late events of what expires and new runs on the same day, again and again, while days are dropped."""
    late = [*traffic_of(12, "shop", 10), *traffic_of(13, "shop", 9)]
    newer = [record for seed in range(20, 24) for record in traffic_of(seed, "shop", 10, runs=4)]
    records = [*late, *newer, *traffic_of(14, "shop", 2)]

    async def work(subject: Subject) -> None:
        await subject.save(late)
        await subject.keep(shop=5)

        async def write() -> None:
            writer = PostgresStore(subject.dsn["worker"], transaction_timeout_s=30)
            for start in range(0, len(records), 5):
                received = [
                    Received(1, offset, 1, None, records[offset], None) for offset in range(start, min(start + 5, len(records)))
                ]
                while True:
                    try:
                        await writer.save(TOPIC, make_batch(received, canonical_json))
                        break
                    except WorkerError:
                        continue
            await writer.close()

        async def expire() -> None:
            for _ in range(6):
                await subject.apply()

        await asyncio.gather(write(), expire())
        assert await subject.wrong(records) == []
        assert (await subject.apply()).complete
        assert await subject.wrong(records) == []
        assert table_of(midday(10)) not in await subject.partitions()
        assert {key[0] for key in (await subject.tables()).runs} == {"shop"}

    run(work)


def test_what_comes_between_the_look_and_the_lock_is_seen(run: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another project's run on the day, written before the writers are stopped: the day stays, and that run whole."""
    records, more = traffic_of(25, "shop", 10), traffic_of(26, "bank", 10)

    async def work(subject: Subject) -> None:
        async def written_to_and_asked_for(connection: asyncpg.Connection, lock: str) -> None:
            await subject.save([*records, *more])
            await asked_for(connection, lock)

        asked_for = day.wait_for_lock
        await subject.save(records)
        await subject.keep(shop=5)
        monkeypatch.setattr(day, "wait_for_lock", written_to_and_asked_for)
        assert (await subject.apply()).dropped == []
        assert table_of(midday(10)) in await subject.partitions()
        assert differences(detail_of(fold(more, canonical_json)), detail_of(await subject.tables())) == []

    run(work)


def test_a_worker_waits_while_a_day_ends(run: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes with late events of what goes and a new run of the day: stopped at the ledger, it then leaves out the first."""
    records, more = traffic_of(27, "shop", 10), traffic_of(28, "bank", 10)

    async def work(subject: Subject) -> None:
        async def wait_for_a_writer(connection: asyncpg.Connection, project: str, **rest: Any) -> int:
            if not writing:
                writing.append(asyncio.create_task(subject.save([*records, *more])))
                deadline = time.monotonic() + 20
                while not await subject.sql(_WAITING):
                    assert time.monotonic() < deadline, "nobody waits"
                    await asyncio.sleep(0.02)
            return await taken_out(connection, project, **rest)

        writing: list[asyncio.Task[int]] = []
        taken_out = day.delete_rows
        await subject.save(records)
        await subject.keep(shop=5)
        monkeypatch.setattr(day, "delete_rows", wait_for_a_writer)
        assert (await subject.apply()).dropped == [table_of(midday(10))]
        assert await writing[0] > 0
        assert differences(detail_of(fold(more, canonical_json)), detail_of(await subject.tables())) == []

    run(work)


@pytest.mark.parametrize("ahead", [False, True])
def test_a_shadow_loses_the_same_runs(run: Callable[[Work], None], ahead: bool) -> None:  # noqa: FBT001 - a parameter
    """Its day is dropped too; where it is ahead and holds another run there, that one stays. Statistics of both stay."""
    records = traffic_of(15, "shop", 10)
    more = traffic_of(16, "bank", 10) if ahead else []

    async def work(subject: Subject) -> None:
        await migrate(subject.dsn["owner"], schema=SHADOW)
        await subject.save(records)
        shadow = PostgresStore(subject.dsn["owner"], transaction_timeout_s=30, schema=SHADOW)
        await shadow.save(TOPIC, batch([*records, *more]))
        await subject.keep(shop=5)
        applied = await subject.apply()
        assert applied.dropped == [table_of(midday(10))]
        assert (table_of(midday(10)) in await subject.partitions(SHADOW)) == ahead
        assert await subject.wrong([*records, *more], schema=SHADOW) == []
        await shadow.save(TOPIC, batch([*records, *more]))
        assert await subject.wrong([*records, *more], schema=SHADOW) == []
        assert await subject.wrong_statistics([*records, *more], schema=SHADOW) == []
        await shadow.close()

    run(work)


class _EmptyLog:
    """A topic whose records are all deleted; while verify asks for its reach, retention is applied."""

    def __init__(self, end: int, meanwhile: Callable[[], Awaitable[Any]]) -> None:
        self._end = end
        self._meanwhile = meanwhile
        self.applied: Any = None

    async def reach(self) -> dict[int, LogRange]:
        self.applied = await self._meanwhile()
        return {0: LogRange(self._end, self._end)}

    async def read(self, wanted: Any) -> Any:
        for piece in wanted:
            yield piece


@pytest.mark.usefixtures("impatient")
def test_no_day_is_dropped_from_under_verify(run: Callable[[Work], None]) -> None:
    """A snapshot does not protect from a drop: verify holds the steps before it takes one, and finds rows and sums equal."""
    records = traffic_of(17, "shop", 10)

    async def work(subject: Subject) -> None:
        await subject.save(records)
        await subject.keep(shop=5)
        log: Any = _EmptyLog(len(records), subject.apply)
        report = await verify(
            subject.dsn["owner"], log, TOPIC, scope=RunSelection(), memory_bytes=1 << 24, progress=lambda *_: None
        )
        assert report.equal, report.examples
        assert not log.applied.complete
        assert (await subject.apply()).complete

    run(work)


@pytest.mark.parametrize("moved", [False, True])
def test_a_day_in_the_default_partition_expires_alike(run: Callable[[Work], None], moved: bool) -> None:  # noqa: FBT001 - a parameter
    """Steps that came while somebody held the table: verify finds nothing wrong; they go, as a day once they have one."""
    records = [*traffic_of(29, "shop", 10), *traffic_of(30, "shop", 2)]

    async def nothing() -> None:
        pass

    async def work(subject: Subject) -> None:
        holder = await asyncpg.connect(subject.dsn["owner"], server_settings={"search_path": SCHEMA})
        await holder.execute("BEGIN; LOCK TABLE steps IN ACCESS SHARE MODE")
        await subject.save(records)
        await holder.close()
        assert not {table_of(midday(10)), table_of(midday(2))} & await subject.partitions()
        if moved:
            await subject.sql(f"SELECT ensure_steps_partition('{table_of(midday(10))[6:]}')")
            await subject.sql("TRUNCATE one_by_one")
        log: Any = _EmptyLog(len(records), nothing)
        report = await verify(
            subject.dsn["owner"], log, TOPIC, scope=RunSelection(), memory_bytes=1 << 24, progress=lambda *_: None
        )
        assert report.equal, report.examples
        await subject.keep(shop=5)
        applied = await subject.apply()
        assert (applied.complete, applied.runs.total()) == (True, 12)
        assert applied.dropped == ([table_of(midday(10))] if moved else [])
        assert bool(await subject.one_by_one()) != moved
        assert await subject.wrong(records) == []

    run(work)


def test_what_was_asked_for_outlives_what_expired(run: Callable[[Work], None]) -> None:
    """An expired run's mark is forgotten after a while; one of a run that somebody deleted as well is not."""
    records = traffic_of(18, "shop", 10)
    asked, expired = sorted({record.events[0].run_id for record in records})[:2]

    async def work(subject: Subject) -> None:
        await subject.save(records)
        await subject.keep(shop=5)
        await subject.apply()
        await remove_run(subject.dsn["owner"], "shop", asked)
        await subject.sql("UPDATE deletions SET deleted_at = now() - interval '91 days'")
        await subject.apply()
        left = {str(row["run_id"]) for row in await subject.sql("SELECT run_id FROM deletions")}
        assert left == {asked}
        assert expired not in left

    run(work)
