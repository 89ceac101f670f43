"""Up to which time of receipt the store is complete: what workers say of it, what the ledger allows, and what readers get."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from ddl.migrate import SCHEMA
from query_service.settings import QuerySettings
from query_service.store.pool import PostgresPool
from query_service.store.postgres import PostgresReader
from servicekit import sql
from stream_workers.health import receipts

QUERIES = sql.load(Path(receipts.__file__).with_name("queries.sql"))
TOPIC, AGAIN = uuid.UUID(int=1), uuid.UUID(int=2)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
Work = Callable[["Subject"], Coroutine[Any, Any, None]]


@dataclass
class Subject:
    """A worker's session, its owner's, and where a query service reads."""

    worker: asyncpg.Connection
    owner: asyncpg.Connection
    query_dsn: str

    async def know(self, *partitions: int, topic_id: uuid.UUID = TOPIC, topic: str = "t") -> None:
        bound = QUERIES["know_partitions"].bind(topic_id=topic_id, topic=topic, partitions=list(partitions))
        await self.worker.execute(*bound)

    async def cover(self, partition: int, covered: str, *, lost: str = "{}", topic_id: uuid.UUID = TOPIC) -> None:
        await self.owner.execute(
            "INSERT INTO ingest_ledger (topic_id, partition, topic, covered, lost, updated_at) "
            "VALUES ($1, $2, 't', $3::text::int8multirange, $4::text::int8multirange, now()) "
            "ON CONFLICT (topic_id, partition) DO UPDATE SET covered = excluded.covered, lost = excluded.lost",
            topic_id,
            partition,
            covered,
            lost,
        )

    async def say(
        self, marks: Mapping[int, tuple[int, datetime]], *, margin_s: float = 0, topic_id: uuid.UUID = TOPIC, topic: str = "t"
    ) -> None:
        said = {"first_open": [offset for offset, _ in marks.values()], "times": [at for _, at in marks.values()]}
        bound = {"topic_id": topic_id, "topic": topic, "margin_s": margin_s, "partitions": list(marks), **said}
        await self.worker.execute(*QUERIES["mark_stored"].bind(**bound))

    async def read(self) -> datetime | None:
        """As a query service that has just started."""
        postgres = PostgresPool(QuerySettings(postgres_dsn=SecretStr(self.query_dsn), pool_max=2))
        await postgres.open()
        try:
            return await PostgresReader(postgres).complete_to()
        finally:
            await postgres.close()


@pytest.fixture
def run(migrated_dsn: dict[str, str]) -> Callable[[Work], None]:
    @asynccontextmanager
    async def subject() -> AsyncIterator[Subject]:
        settings = {"search_path": SCHEMA, "timezone": "UTC"}
        worker = await asyncpg.connect(migrated_dsn["worker"], server_settings=settings)
        owner = await asyncpg.connect(migrated_dsn["owner"], server_settings=settings)
        try:
            yield Subject(worker, owner, migrated_dsn["query"])
        finally:
            await worker.close()
            await owner.close()

    def runner(work: Work) -> None:
        async def story() -> None:
            async with subject() as made:
                await work(made)

        asyncio.run(story())

    return runner


def test_it_is_the_least_of_all_partitions_and_unknown_before_each_said_it(run: Callable[[Work], None]) -> None:
    """A partition that nobody reads holds it back, also one of which nothing was ever said."""

    async def work(subject: Subject) -> None:
        assert await subject.read() is None
        await subject.know(0, 1)
        await subject.cover(0, "{[0,5)}")
        await subject.cover(1, "{}")
        await subject.say({0: (5, NOON)})
        assert await subject.read() is None
        await subject.say({1: (0, NOON - SECOND)})
        assert await subject.read() == NOON - SECOND
        await subject.say({0: (5, NOON + 9 * SECOND)}, margin_s=2)
        assert await subject.read() == NOON - SECOND
        await subject.say({1: (0, NOON + 5 * SECOND)}, margin_s=2)
        assert await subject.read() == NOON + 3 * SECOND

    run(work)


@pytest.mark.parametrize(
    ("covered", "lost", "allowed"),
    [
        ("{[0,5)}", "{}", True),
        ("{[0,4)}", "{}", False),
        ("{[0,3),[4,9)}", "{}", False),
        ("{[0,3),[4,9)}", "{[3,4)}", True),
        ("{[1,9)}", "{}", False),
        ("{}", "{}", False),
    ],
)
def test_the_ledger_has_the_last_word(run: Callable[[Work], None], covered: str, lost: str, allowed: bool) -> None:  # noqa: FBT001 - a parameter
    """Whatever a worker believes: where an offset before its mark is not covered, nothing changes."""

    async def work(subject: Subject) -> None:
        await subject.know(0)
        await subject.cover(0, covered, lost=lost)
        await subject.say({0: (5, NOON)})
        assert await subject.read() == (NOON if allowed else None)

    run(work)


def test_it_never_goes_back(run: Callable[[Work], None]) -> None:
    """A worker that was stopped before it could say it says it late, or its clock is behind."""

    async def work(subject: Subject) -> None:
        await subject.know(0)
        await subject.cover(0, "{[0,5)}")
        await subject.say({0: (5, NOON)})
        await subject.say({0: (4, NOON - SECOND)})
        assert await subject.read() == NOON

    run(work)


def test_a_clock_that_is_ahead_says_no_more_than_the_servers(run: Callable[[Work], None]) -> None:
    """Records with times of the future, or a worker whose clock is wrong."""

    async def work(subject: Subject) -> None:
        await subject.know(0)
        await subject.cover(0, "{[0,5)}")
        await subject.say({0: (5, datetime.now(UTC) + timedelta(days=2))}, margin_s=5)
        read = await subject.read()
        assert read is not None
        assert read <= datetime.now(UTC) - timedelta(seconds=5)

    run(work)


def test_a_topic_that_was_made_again_counts_alone(run: Callable[[Work], None]) -> None:
    """The partitions of the one before it are read by nobody any more; those of a topic of another name are."""

    async def work(subject: Subject) -> None:
        for topic_id, at in ((TOPIC, NOON), (AGAIN, NOON + SECOND)):
            await subject.know(0, topic_id=topic_id)
            await subject.cover(0, "{[0,5)}", topic_id=topic_id)
            await subject.say({0: (5, at)}, topic_id=topic_id)
        assert await subject.read() == NOON + SECOND
        await subject.know(0, topic_id=uuid.UUID(int=3), topic="other")
        assert await subject.read() is None

    run(work)


def test_who_writes_holds_nobody_up(run: Callable[[Work], None]) -> None:
    """A worker's transaction has the ledger's row locked, and the other says what it knows meanwhile."""

    async def work(subject: Subject) -> None:
        await subject.know(0)
        await subject.cover(0, "{[0,5)}")
        async with subject.owner.transaction():
            await subject.owner.execute("SELECT 1 FROM ingest_ledger WHERE partition = 0 FOR UPDATE")
            await asyncio.wait_for(subject.say({0: (5, NOON)}), 10)
            assert await subject.read() == NOON

    run(work)


def test_a_query_service_asks_once_for_many(migrated_dsn: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls within a second share one question; one that failed is asked again at once."""

    async def story() -> None:
        postgres = PostgresPool(QuerySettings(postgres_dsn=SecretStr(migrated_dsn["query"]), pool_max=2))
        await postgres.open()
        reader, asked = PostgresReader(postgres), []

        async def read(*_: Any) -> datetime:
            asked.append(time.monotonic())
            await asyncio.sleep(0)
            if len(asked) == 1:
                raise RuntimeError
            return NOON

        monkeypatch.setattr(postgres, "read", read)
        failed = await asyncio.gather(reader.complete_to(), reader.complete_to(), return_exceptions=True)
        assert [type(one) for one in failed] == [RuntimeError, RuntimeError]
        assert await asyncio.gather(*(reader.complete_to() for _ in range(9))) == [NOON] * 9
        assert await reader.complete_to() == NOON
        assert len(asked) == 2
        await postgres.close()

    asyncio.run(story())
