"""Crashes, outages, rebalances and bad records: what was in the topic is in the store, once, or in the dead letters."""

import json
import os
import signal
import time

import httpx

from agenttracer.wire.topics import record_key
from agenttracer_cli.local.services import Service
from servicekit import codec
from stream_workers.core.fold import fold
from stream_workers.pipeline.decode import canonical_json
from tests.support.pipeline import Pipeline
from tests.support.slow_store import slow_down
from tests.support.stacks import Stack, until
from tests.support.traffic import Traffic


def _records(seed: int, *, runs: int) -> list:
    traffic = Traffic(seed)
    return traffic.records(traffic.runs(runs))


def test_a_killed_worker_loses_and_doubles_nothing(pipeline: Pipeline) -> None:
    """Kill -9 in mid-load, then a restart: 20,000 events are stored once, and the ledger has no hole."""
    records = _records(1, runs=2_000)
    assert sum(len(record.events) for record in records) >= 20_000
    worker = pipeline.worker()
    pipeline.produce(records[: len(records) // 2])
    pipeline.wait_covered(1)
    worker.kill()
    at_kill = pipeline.covered()
    pipeline.produce(records[len(records) // 2 :])
    assert at_kill < len(records), "the worker was done before it was killed"
    pipeline.worker()
    pipeline.wait_covered(len(records))
    pipeline.assert_store_is_fold()


def test_the_same_topic_into_an_empty_store_gives_the_same_rows(pipeline: Pipeline) -> None:
    """A new worker of another group fills an empty database with the same rows, table by table, and both equal the fold."""
    traffic = Traffic(2)
    records = traffic.mischief(traffic.records(traffic.runs(300)))
    pipeline.worker(1)
    pipeline.produce(records)
    pipeline.wait_covered(len(records))
    other = pipeline.new_database()
    pipeline.worker(2, database=other, group=f"{pipeline.name}-again")
    pipeline.wait_covered(len(records), database=other)
    assert pipeline.tables() == pipeline.tables(database=other)
    pipeline.assert_store_is_fold()
    pipeline.assert_store_is_fold(database=other)


def test_an_emptied_store_is_filled_again_by_the_same_group(pipeline: Pipeline) -> None:
    """The group's offset is past the end, the ledger knows nothing: reading begins where the ledger says."""
    records = _records(3, runs=100)
    worker = pipeline.worker()
    pipeline.produce(records)
    pipeline.wait_covered(len(records))
    worker.terminate()
    pipeline.sql("TRUNCATE runs, steps, failures, run_producers, declared_losses, ingest_ledger")
    pipeline.sql("TRUNCATE run_rollup_deltas, step_rollup_deltas, run_rollup_totals, step_rollup_totals")
    pipeline.worker()
    pipeline.wait_covered(len(records))
    pipeline.assert_store_is_fold()


def test_partitions_move_between_workers_without_loss(pipeline: Pipeline) -> None:
    """Two workers, then three, then one: everything is stored once."""
    records = _records(4, runs=1_200)
    quarter = len(records) // 4
    first, second = pipeline.worker(1), pipeline.worker(2)
    pipeline.produce(records[:quarter])
    third = pipeline.worker(3)
    pipeline.produce(records[quarter : 2 * quarter])
    second.kill()
    pipeline.produce(records[2 * quarter : 3 * quarter])
    third.terminate()
    pipeline.produce(records[3 * quarter :])
    pipeline.wait_covered(len(records))
    pipeline.assert_store_is_fold()
    assert first.pid is not None, "the first worker lived through it all"


def test_a_worker_paused_past_its_session_writes_no_wrong_row(pipeline: Pipeline) -> None:
    """A zombie: stopped while it holds records, replaced, continued. Its late writes change nothing."""
    records = _records(5, runs=1_000)
    zombie = pipeline.worker(1)
    pipeline.produce(records[: len(records) // 2])
    pipeline.wait_covered(1)
    assert zombie.pid is not None
    os.kill(zombie.pid, signal.SIGSTOP)
    try:
        pipeline.worker(2, wait=False)
        pipeline.produce(records[len(records) // 2 :])
        pipeline.wait_covered(len(records))
    finally:
        os.kill(zombie.pid, signal.SIGCONT)
    late = _records(6, runs=20)
    pipeline.produce(late)
    pipeline.wait_covered(len(records) + len(late))
    pipeline.assert_store_is_fold()


def test_poison_is_buried_without_its_content(pipeline: Pipeline) -> None:
    """Not JSON, an unknown version, a NUL in a string: dead letters with reason and size; the good beside them are stored."""
    good = _records(7, runs=50)
    whole = json.loads(codec.encode_record(good[0]))
    nul = {**whole, "producer": {**whole["producer"], "agent": "canary\u0000agent"}}
    poison = [b"canary-not-json{", json.dumps({**whole, "v": "2.0"}).encode(), json.dumps(nul).encode()]
    pipeline.worker()
    pipeline.produce(good[:25])
    pipeline.produce_raw([(record_key("default", str(i)), value) for i, value in enumerate(poison)])
    pipeline.produce(good[25:])
    pipeline.wait_covered(len(good) + len(poison))
    pipeline.assert_store_is_fold()
    letters = pipeline.sql("SELECT reason, field, size_bytes, dead_letters::text AS whole FROM dead_letters")
    assert sorted((row["reason"], row["field"], row["size_bytes"]) for row in letters) == sorted(
        [("json", "", len(poison[0])), ("unsupported_version", "v", len(poison[1])), ("name", "producer.agent", len(poison[2]))]
    )
    assert not any("canary" in row["whole"] for row in letters)


def test_the_worker_waits_for_a_stopped_postgres(own_stack: Stack) -> None:
    """Postgres is away for 20 s in mid-load, twice what stuck is: the same process waits and continues, and nothing is lost."""
    pipeline = Pipeline(own_stack)
    try:
        records = _records(8, runs=800)
        worker = pipeline.worker(AGENTTRACER_WORKER_STUCK_AFTER_S="10")
        pid = worker.pid
        pipeline.produce(records[: len(records) // 2])
        pipeline.wait_covered(1)
        own_stack.postgres.stop()
        pipeline.produce(records[len(records) // 2 :])
        _pass_time(20)
        assert _metric(worker, "lag_records") > 0
        assert _metric(worker, "lag_seconds") > 10
        own_stack.postgres.start()
        pipeline.wait_covered(len(records))
        pipeline.assert_store_is_fold()
        assert worker.pid == pid
        until(lambda: _metric(worker, "lag_records") == 0, timeout_s=10, what="no lag is shown")
    finally:
        pipeline.close()


def test_a_store_far_too_slow_gets_everything_from_one_process(pipeline: Pipeline) -> None:
    """What waits takes it many times a transaction's limit: it is written in pieces, and the worker is not called stuck."""
    records = _records(9, runs=30)
    steps = len(fold(records, canonical_json).steps)
    pipeline.with_store(lambda owner: slow_down(owner, "steps", seconds_a_row=14 / steps))
    pipeline.produce(records)
    worker = pipeline.worker(AGENTTRACER_WORKER_TRANSACTION_TIMEOUT_S="2", AGENTTRACER_WORKER_STUCK_AFTER_S="8")
    pid = worker.pid
    until(
        lambda: pipeline.covered() >= len(records) or worker.pid != pid,
        timeout_s=180,
        what="everything is covered",
        every_s=0.2,
    )
    assert worker.pid == pid, worker.log_tail()
    pipeline.assert_store_is_fold()
    assert '"batch_halved"' in worker.log.read_text()
    assert pipeline.sql("SELECT count(*) AS n FROM dead_letters")[0]["n"] == 0


def _metric(worker: Service, name: str) -> float:
    """The sum of a worker's metric over its partitions."""
    lines = httpx.get(f"{worker.url}/metrics", timeout=10).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"agenttracer_worker_{name}{{"))


def _pass_time(seconds: float) -> None:
    """The length of the outage is what is tested; there is no condition to poll."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, timeout_s=seconds + 5, what="the outage is over")
