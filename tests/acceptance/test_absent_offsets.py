"""Offsets that do not come when they are due: passed where the log holds no record there, and never where it does."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from aiokafka import AIOKafkaProducer
from faust.types.tuples import TP

from agenttracer.wire.envelope import Record
from agenttracer.wire.topics import record_key
from servicekit import codec
from servicekit.kafka import KafkaSecurity
from stream_workers.kafka.topic_identity import find_topic
from stream_workers.kafka.topic_log import open_log
from stream_workers.metrics import WorkerMetrics
from stream_workers.pipeline.start_offsets import StartOffsets
from stream_workers.store.lease import Leases
from stream_workers.store.postgres import PostgresStore
from tests.support.drill import Operator
from tests.support.pipeline import Pipeline
from tests.support.stacks import until
from tests.support.traffic import Traffic

_LEDGER = "SELECT covered::text AS covered, lost::text AS lost FROM ingest_ledger WHERE partition = 0"
_SAID_LOST = "INSERT INTO ingest_ledger VALUES ($1, 0, $2, '{}', int8multirange(int8range(0, $3)), now())"


def _records(seed: int, *, runs: int) -> list[Record]:
    traffic = Traffic(seed)
    return traffic.records(traffic.runs(runs))


async def _produce(pipeline: Pipeline, records: list[Record], *, transaction: str | None = None) -> None:
    """All to partition 0, in one transaction if it has a name: its marker takes an offset that holds no record."""
    producer = AIOKafkaProducer(bootstrap_servers=pipeline.stack.bootstrap, acks="all", transactional_id=transaction)
    await producer.start()
    try:
        if transaction is not None:
            await producer.begin_transaction()
        for one in records:
            key = record_key(one.project, one.events[0].run_id)
            await producer.send(pipeline.topic, codec.encode_record(one), key=key, partition=0)
        await producer.flush()
        if transaction is not None:
            await producer.commit_transaction()
    finally:
        await producer.stop()


def test_offsets_that_hold_no_record_are_passed(pipeline: Pipeline, tmp_path: Path) -> None:
    """A transaction's marker is named lost within seconds, by itself alone, and the same process goes on behind it."""
    records = _records(91, runs=20)
    worker, half = pipeline.worker(), len(records) // 2
    pid = worker.pid
    asyncio.run(_produce(pipeline, records[:half], transaction=pipeline.name))
    pipeline.wait_covered(half)
    asyncio.run(_produce(pipeline, records[half:], transaction=pipeline.name))
    began = time.monotonic()
    pipeline.wait_covered(len(records))
    assert time.monotonic() - began < 40, "well before it counts as stuck"
    assert worker.pid == pid
    found = dict(pipeline.sql(_LEDGER)[0])
    assert found == {"covered": f"{{[0,{half}),[{half + 1},{len(records) + 1})}}", "lost": f"{{[{half},{half + 1})}}"}
    code, report = Operator(pipeline, tmp_path).call("verify")
    assert (code, report["differences"]) == (0, 0)
    assert report["coverage"][0]["lost_in_log"] == [[half, half + 1]]


def test_what_the_log_still_holds_is_never_named_lost(pipeline: Pipeline) -> None:
    """However often later chunks came instead, and for how long: the log is asked, it has the record, reading goes on there."""
    asyncio.run(_produce(pipeline, _records(92, runs=20)))
    tp = TP(pipeline.topic, 0)

    async def asked() -> tuple[list[int], Mapping[int, int]]:
        topic = await find_topic(pipeline.stack.bootstrap, pipeline.topic)
        assert topic is not None
        store = PostgresStore(pipeline.stack.dsn(database=pipeline.database, role="agenttracer_worker"), transaction_timeout_s=30)
        seconds = iter(range(0, 100_000, 30))

        async def begins(_: TP) -> int:
            return 0

        async with open_log(pipeline.stack.bootstrap, pipeline.topic, KafkaSecurity()) as log:
            leases = Leases(store, topic, WorkerMetrics(), owner="w")
            ledger = StartOffsets(
                store, topic, leases, first_record=log.first_record, earliest=begins, clock_s=lambda: next(seconds)
            )
            starts = [await ledger.resume_at(tp, 0, 15) for _ in range(20)]
        frontiers = await store.frontiers(topic, [0])
        await store.close()
        return starts, frontiers

    assert asyncio.run(asked()) == ([0] * 20, {0: 0})


def test_records_that_were_wrongly_named_lost_are_found_and_rebuilt(pipeline: Pipeline, tmp_path: Path) -> None:
    """The store has nothing of them, as the ledger says; but the log has them: verify says so, and a rebuild stores them."""
    records = _records(93, runs=20)
    asyncio.run(_produce(pipeline, records))
    topic = asyncio.run(find_topic(pipeline.stack.bootstrap, pipeline.topic))
    assert topic is not None
    pipeline.sql(_SAID_LOST, topic.id, topic.name, 7)
    pipeline.worker()
    pipeline.wait_covered(len(records) - 7)
    operator = Operator(pipeline, tmp_path)
    code, report = operator.call("verify")
    assert code == 1, operator.log()
    assert report["examples"] == [f"ingest_ledger (0, {offset}): lost, and still in the log" for offset in range(7)]
    assert operator.call("rebuild", "--accept-differences")[0] == 0, operator.log()
    assert operator.call("verify")[0] == 0, operator.log()
    until(lambda: pipeline.holes() == 0, timeout_s=10, what="nothing is lost any more")
