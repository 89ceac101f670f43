"""Workers that are late, fenced off, stuck or far behind: refused, ended or told, and nothing is lost."""

import asyncio
import time

import pytest
from aiokafka import AIOKafkaProducer

from agenttracer.wire.topics import record_key
from agenttracer_cli.admin.kafka_admin import topic_admin
from agenttracer_cli.local.services import Service
from servicekit import codec
from servicekit.kafka import KafkaSecurity
from tests.chaos import fleet
from tests.chaos.store_lock import TableLock
from tests.support.pipeline import PARTITIONS, Pipeline
from tests.support.stacks import until
from tests.support.traffic import Traffic
from tests.support.zombie import late_write

HOUR_S = 3_600
_OWNERS = "SELECT partition, epoch, owner FROM ingest_ledger ORDER BY partition"


def _records(seed: int, *, runs: int = 200) -> list:
    traffic = Traffic(seed)
    return traffic.records(traffic.runs(runs))


def _worker(pipeline: Pipeline, number: int, **extra: str) -> Service:
    """One worker, not started, known by a name."""
    group = extra.pop("group", pipeline.name)
    return fleet.worker(
        pipeline, number, database=pipeline.database, group=group, AGENTTRACER_WORKER_INSTANCE=f"w{number}", **extra
    )


def test_a_zombies_late_write_is_refused_and_counted(pipeline: Pipeline) -> None:
    """Stopped in mid-transaction past its session: the store refuses it, it rejoins and works on as the same process."""
    records = _records(71)
    zombie, successor = _worker(pipeline, 1), _worker(pipeline, 2)
    found = late_write(pipeline, zombie, successor, records)
    assert found.refused > 0
    assert found.repeated == 0, "nothing of the late write reached a table"
    assert '"zombie_write_refused"' in zombie.log.read_text()
    until(zombie.is_ready, timeout_s=60, what="the zombie is a member again")
    late = _records(72, runs=30)
    pipeline.produce(late)
    pipeline.wait_covered(len(records) + len(late))
    pipeline.assert_store_is_fold()
    until(
        lambda: {row["owner"] for row in pipeline.sql(_OWNERS)} == {"w1", "w2"},
        timeout_s=60,
        what="both own partitions",
        every_s=0.2,
    )


def test_two_groups_in_one_store_do_not_take_turns(pipeline: Pipeline) -> None:
    """The later one has the partitions. The earlier one takes nothing back, and ends when no rebalance comes."""
    first, second = (
        _worker(pipeline, 1, AGENTTRACER_WORKER_STUCK_AFTER_S="5"),
        _worker(pipeline, 2, group=f"{pipeline.name}-other"),
    )
    first.start()
    first.wait_ready()
    second.start()
    until(
        lambda: [row["owner"] for row in pipeline.sql(_OWNERS)] == ["w2"] * PARTITIONS,
        timeout_s=60,
        what="the second owns all partitions",
        every_s=0.2,
    )
    owners = pipeline.sql(_OWNERS)
    records = _records(73)
    pipeline.produce(records)
    pipeline.wait_covered(len(records))
    until(lambda: first.pid is None, timeout_s=60, what="the first ended", every_s=0.2)
    assert '"fenced_without_rebalance"' in first.log.read_text()
    assert pipeline.sql(_OWNERS) == owners
    pipeline.assert_store_is_fold()


def test_a_stuck_worker_shows_its_stacks_and_ends(pipeline: Pipeline) -> None:
    """Its writer hangs, the store answers: the process ends by itself, and a healthy one stores everything."""
    records = _records(74, runs=30)
    stuck = fleet.planted(_worker(pipeline, 1, AGENTTRACER_WORKER_STUCK_AFTER_S="4"), "writer_hangs")
    stuck.start()
    stuck.wait_ready()
    pipeline.produce(records)
    until(lambda: stuck.pid is None, timeout_s=60, what="the stuck worker ended", every_s=0.2)
    told = stuck.log.read_text()
    assert '"stuck"' in told
    assert "most recent call first" in told
    assert pipeline.covered() == 0
    _worker(pipeline, 1).start()
    pipeline.wait_covered(len(records))
    pipeline.assert_store_is_fold()


def test_silence_is_not_stuck(pipeline: Pipeline) -> None:
    """No records for three times the limit: the process works on."""
    worker = _worker(pipeline, 1, AGENTTRACER_WORKER_STUCK_AFTER_S="2")
    worker.start()
    worker.wait_ready()
    pid, end = worker.pid, time.monotonic() + 6
    until(lambda: time.monotonic() >= end, timeout_s=10, what="the silence is over")
    records = _records(75, runs=5)
    pipeline.produce(records)
    pipeline.wait_covered(len(records))
    assert worker.pid == pid


@pytest.fixture
def _hour_of_retention(pipeline: Pipeline) -> None:
    async def change() -> None:
        async with topic_admin(pipeline.stack.bootstrap, KafkaSecurity()) as admin:
            await admin.change_settings(pipeline.topic, {"retention.ms": str(HOUR_S * 1000)})

    asyncio.run(change())


def _produce_old(pipeline: Pipeline, records: list, *, age_s: int) -> None:
    async def produce() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=pipeline.stack.bootstrap, acks="all")
        await producer.start()
        then_ms = int(time.time() - age_s) * 1000
        for one in records:
            key = record_key(one.project, one.events[0].run_id)
            await producer.send(pipeline.topic, codec.encode_record(one), key=key, timestamp_ms=then_ms)
        await producer.stop()

    asyncio.run(produce())


@pytest.mark.usefixtures("_hour_of_retention")
def test_the_alarm_is_on_while_lag_comes_near_the_topics_retention(pipeline: Pipeline) -> None:
    """Fifty of sixty minutes are over for what is not stored: the alarm is on, the worker stays ready; stored, it is off."""
    records = _records(76, runs=60)
    _produce_old(pipeline, records, age_s=50 * 60)
    worker = _worker(pipeline, 1)
    with TableLock(pipeline, "runs", database=pipeline.database) as lock:
        worker.start()
        lock.wait_for_waiting()
        until(lambda: _said(worker, "retention_alarm") == PARTITIONS, timeout_s=60, what="the alarm is on")
        margin_s = _said(worker, "retention_margin_seconds") / PARTITIONS
        assert 0 < margin_s <= 600
        assert _said(worker, "topic_retention_seconds") == HOUR_S
        assert '"retention_near"' in worker.log.read_text()
        assert worker.is_ready()
    pipeline.wait_covered(len(records))
    until(lambda: _said(worker, "retention_alarm") == 0, timeout_s=60, what="the alarm is off")
    assert _said(worker, "retention_margin_seconds") == PARTITIONS * HOUR_S
    assert '"retention_far"' in worker.log.read_text()
    pipeline.assert_store_is_fold()


def _said(worker: Service, name: str) -> float:
    """A worker's metric, added up over its partitions; -1 while it does not answer."""
    return fleet.metrics(worker, [name]).get(name, -1.0)
