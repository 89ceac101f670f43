"""A store and a topic of an earlier release are taken over with nothing lost. `tests/data/release_before` has both."""

import asyncio
import gzip
import json
import subprocess
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from agenttracer_cli.admin.topics import ensure_topic
from agenttracer_cli.local_stack.postgres.server import program
from ddl.migrate import migrate
from stream_workers.kafka.topic_identity import find_topic
from tests.support.drill import Operator
from tests.support.pipeline import PARTITIONS, Pipeline, get_json
from tests.support.traffic import Traffic

_DATA = Path(__file__).parents[1] / "data" / "release_before"
_TOPIC = "release_before.events"
"""The ledger in the dump names it."""


@pytest.fixture
def before(pipeline: Pipeline) -> Pipeline:
    """As the release before left it: its database, and its records at their offsets."""
    pipeline.topic = _TOPIC
    pipeline.database = f"{pipeline.database}_before"
    pipeline.stack.create_database(pipeline.database)
    restored = subprocess.run(
        [str(program("pg_restore")), "--exit-on-error", f"--dbname={_owner(pipeline)}", str(_DATA / "store.dump")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert restored.returncode == 0, restored.stderr
    asyncio.run(ensure_topic(pipeline.stack.bootstrap, name=_TOPIC, partitions=PARTITIONS, replication_factor=1))
    asyncio.run(_fill(pipeline.stack.bootstrap))
    # Kafka has given the topic another id than the one that it stands for.
    topic = asyncio.run(find_topic(pipeline.stack.bootstrap, _TOPIC))
    assert topic is not None
    for table in ("ingest_ledger", "dead_letters"):
        pipeline.sql(f"UPDATE {table} SET topic_id = $1", topic.id)
    return pipeline


def test_a_store_of_the_release_before_is_taken_over(before: Pipeline, tmp_path: Path) -> None:
    """Migrated it answers at once and takes new events; rebuilt it is what this release makes of all that was ever sent."""
    operator = Operator(before, tmp_path)
    runs = before.sql("SELECT count(*) AS n FROM runs")[0]["n"]
    covered = before.covered()
    asyncio.run(migrate(_owner(before)))
    before.stack.set_service_passwords()
    query = before.query(AGENTTRACER_QUERY_ANONYMOUS_PROJECT="default")
    shown = get_json(f"{query.url}/v1/runs", limit=100)["runs"]
    ids = {str(row["run_id"]) for row in before.sql("SELECT run_id FROM runs WHERE project = 'default'")}
    assert {run["run_id"] for run in shown} == ids

    before.worker()
    later = Traffic(21).records(Traffic(21).runs(20))
    before.produce(later)
    before.wait_covered(covered + len(later))
    assert before.sql("SELECT count(*) AS n FROM runs")[0]["n"] > runs
    code, outcome = operator.call("rebuild", "--accept-differences")
    assert (code, outcome["runs_taken_over"]) == (0, 0), operator.log()
    before.assert_store_is_fold()
    code, report = operator.call("verify")
    assert code == 0, report


def _owner(pipeline: Pipeline) -> str:
    return pipeline.stack.dsn(database=pipeline.database, role="agenttracer_owner")


async def _fill(bootstrap: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", compression_type="zstd")
    await producer.start()
    try:
        for line in gzip.decompress((_DATA / "topic.jsonl.gz").read_bytes()).splitlines():
            partition, offset, key, value = json.loads(line)
            sent = await producer.send_and_wait(_TOPIC, value.encode(), key=key.encode(), partition=partition)
            assert sent.offset == offset
    finally:
        await producer.stop()
