"""The topic's retention has deleted what the store still has: verify says so, and a rebuild loses nothing of it."""

import asyncio
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from stream_workers.core.fold import fold
from stream_workers.decode import canonical_json
from stream_workers.stored import differences
from tests.support.drill import Operator
from tests.support.pipeline import PARTITIONS, Pipeline
from tests.support.traffic import Traffic


def test_what_the_log_has_lost_stays_in_the_store(pipeline: Pipeline, tmp_path: Path) -> None:
    """Half of each partition is deleted: equal as far as the log reaches, and the rebuilt store has every run as before."""
    traffic = Traffic(61)
    records = traffic.records(traffic.runs(150))
    pipeline.worker()
    pipeline.produce(records)
    pipeline.wait_covered(len(records))
    asyncio.run(_delete_half(pipeline))
    operator = Operator(pipeline, tmp_path)
    code, report = operator.call("verify")
    assert code == 0, operator.log()
    assert all(one["deleted"] == [[0, one["begin"]]] for one in report["coverage"] if one["begin"])
    assert sum(one["begin"] for one in report["coverage"]) > len(records) / 3
    assert report["runs_out_of_reach"] > 0
    code, outcome = operator.call("rebuild")
    assert code == 0, operator.log()
    assert outcome["runs_taken_over"] > 0
    late = traffic.records(traffic.runs(10))
    pipeline.produce(late)
    pipeline.wait_covered(len(records) + len(late))
    assert differences(fold([*records, *late], canonical_json), pipeline.tables()) == []
    pipeline.sql("DELETE FROM steps WHERE ctid = (SELECT max(ctid) FROM steps_default) AND tableoid = 'steps_default'::regclass")
    assert pipeline.holes() == 0


async def _delete_half(pipeline: Pipeline) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.stack.bootstrap)
    await admin.start()
    covered = {row["partition"]: row["upper"] for row in await asyncio.to_thread(_uppers, pipeline)}
    halves = {TopicPartition(pipeline.topic, one): RecordsToDelete(before_offset=covered[one] // 2) for one in range(PARTITIONS)}
    await admin.delete_records(halves)
    await admin.close()


def _uppers(pipeline: Pipeline) -> list[dict[str, int]]:
    return [dict(row) for row in pipeline.sql("SELECT partition, upper(covered) AS upper FROM ingest_ledger")]
