"""`complete_to` on the real stack: it follows the clock while nothing comes, and stands still for who is away or behind."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import asyncpg

from agenttracer_cli.local.services import Service
from ddl.migrate import SCHEMA
from tests.support.pipeline import PARTITIONS, Pipeline, get_json
from tests.support.stacks import until
from tests.support.traffic import Traffic

SECOND = timedelta(seconds=1)
NO_MARGIN = {"AGENTTRACER_WORKER_COMPLETE_MARGIN_S": "0"}
"""Kafka and all clocks are of one machine, and nothing comes by a gateway."""


def _answered(query: Service) -> datetime | None:
    found = get_json(f"{query.url}/v1/runs")["complete_to"]
    return None if found is None else datetime.fromisoformat(found)


def _of_partitions(pipeline: Pipeline) -> list[datetime]:
    """What each partition is complete to, the least first; the epoch for an unknown one."""
    rows = pipeline.sql("SELECT coalesce(complete_to, 'epoch') AS at FROM stored_partitions ORDER BY 1")
    return [row["at"] for row in rows]


def _passes(query: Service, moment: datetime) -> None:
    until(lambda: (found := _answered(query)) is not None and found > moment, timeout_s=90, what=f"complete to {moment}")


@contextmanager
def _nobody_writes(pipeline: Pipeline) -> Iterator[None]:
    """Workers wait for their partitions' rows in the ledger, which anybody may read."""
    locked, stop = threading.Event(), threading.Event()

    async def hold() -> None:
        dsn = pipeline.stack.dsn(database=pipeline.database, role="agenttracer_owner")
        connection = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA})
        async with connection.transaction():
            await connection.execute("LOCK TABLE ingest_ledger IN SHARE ROW EXCLUSIVE MODE")
            locked.set()
            await asyncio.to_thread(stop.wait)
        await connection.close()

    holder = threading.Thread(target=lambda: asyncio.run(hold()))
    holder.start()
    try:
        assert locked.wait(30)
        yield
    finally:
        stop.set()
        holder.join()


def test_it_follows_the_clock_and_stops_with_the_workers(pipeline: Pipeline) -> None:
    """Unknown before a worker runs; then it advances though no record ever comes; without a worker it stands still."""
    query = pipeline.query()
    assert _answered(query) is None
    worker = pipeline.worker(**NO_MARGIN)
    for _ in range(2):
        _passes(query, datetime.now(UTC))
    assert len(_of_partitions(pipeline)) == PARTITIONS
    assert get_json(f"{query.url}/v1/stats")["complete_to"] is not None
    worker.terminate()
    stopped, at = datetime.now(UTC), _of_partitions(pipeline)
    assert at[-1] <= stopped
    until(lambda: datetime.now(UTC) > stopped + 3 * SECOND, timeout_s=30, what="three rounds without a worker")
    assert _of_partitions(pipeline) == at
    answered = _answered(query)
    assert answered is not None
    assert answered <= stopped
    pipeline.worker(2, **NO_MARGIN)
    _passes(query, datetime.now(UTC))


def test_a_backlog_holds_it_back(pipeline: Pipeline) -> None:
    """What is received and not stored: its partitions go no further than that, others go on; stored, it is passed."""
    traffic = Traffic(31)
    records = traffic.records(traffic.runs(1))
    query = pipeline.query()
    pipeline.worker(**NO_MARGIN)
    _passes(query, datetime.now(UTC))
    with _nobody_writes(pipeline):
        pipeline.produce(records)
        received = datetime.now(UTC)
        until(lambda: _of_partitions(pipeline)[-1] > received, timeout_s=90, what="an idle partition going on")
        assert _of_partitions(pipeline)[0] <= received
        answered = _answered(query)
        assert answered is not None
        assert answered <= received
    _passes(query, received)
    pipeline.assert_store_is_fold()


def test_it_stays_behind_by_its_margin(pipeline: Pipeline) -> None:
    """A request that a gateway still holds was received before, and is not in the log yet."""
    query = pipeline.query()
    pipeline.worker(AGENTTRACER_WORKER_COMPLETE_MARGIN_S="3")
    until(lambda: _answered(query) is not None, timeout_s=90, what="an answer")
    for _ in range(3):
        answered = _answered(query)
        assert answered is not None
        assert datetime.now(UTC) - answered >= 3 * SECOND
