"""The topic's retention has deleted what the store still has: verify says so, and a rebuild loses nothing of it."""

import asyncio
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from agenttracer.wire.topics import record_key
from agenttracer_cli.admin.topics import ensure_topic
from stream_workers.core.fold import Tables, fold
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.read_tables import differences
from tests.support.drill import Operator, changed_rule
from tests.support.pipeline import PARTITIONS, Pipeline, readable
from tests.support.traffic import Traffic

_UPPERS = "SELECT partition, upper(covered) AS upper FROM ingest_ledger WHERE covered <> '{}'"


def test_what_the_log_has_lost_stays_in_the_store(pipeline: Pipeline, tmp_path: Path) -> None:
    """Half of each partition is deleted: equal as far as the log reaches, and the rebuilt store has every run as before."""
    traffic = Traffic(61)
    records = traffic.records(traffic.runs(150))
    pipeline.worker()
    pipeline.produce(records)
    pipeline.wait_covered(len(records))
    delete_records(pipeline, {one: end // 2 for one, end in ends(pipeline).items()})
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


def test_partitions_without_a_record_lose_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    """One holds poison alone, then some are empty, then all, then the topic is a new one: verify and rebuild say equal."""
    traffic = Traffic(62)
    records = traffic.records(traffic.runs(150))
    wanted = fold(records, canonical_json)
    worker, operator = pipeline.worker(), Operator(pipeline, tmp_path)
    pipeline.produce(records)
    pipeline.wait_covered(len(records))
    pipeline.produce_raw([(record_key("default", "x"), b"not-json{")])
    pipeline.wait_covered(len(records) + 1)

    def rebuilt() -> None:
        assert operator.call("verify")[0] == 0, operator.log()
        code, outcome = operator.call("rebuild")
        assert (code, outcome["diff"]["runs_differing"]) == (0, 0), operator.log()
        assert outcome["runs_taken_over"] > 0
        assert differences(wanted, pipeline.tables()) == []
        assert operator.call("verify")[0] == 0, operator.log()
        assert operator.call("rebuild", "drop-old")[0] == 0

    poison = pipeline.sql("SELECT partition, record_offset FROM dead_letters")[0]
    delete_records(pipeline, {poison["partition"]: poison["record_offset"]})
    rebuilt()
    for emptied in (range(PARTITIONS // 2), range(PARTITIONS)):
        delete_records(pipeline, {one: end for one, end in ends(pipeline).items() if one in emptied})
        rebuilt()
    worker.terminate()
    pipeline.topic += ".anew"
    asyncio.run(ensure_topic(pipeline.stack.bootstrap, name=pipeline.topic, partitions=PARTITIONS, replication_factor=1))
    rebuilt()
    assert len(pipeline.sql("SELECT FROM dead_letters")) == 1


def test_other_rules_spare_what_cannot_be_read_again(pipeline: Pipeline, tmp_path: Path) -> None:
    """Half of the partitions are emptied and a rule is changed: their runs stay as they are, the others' are judged anew."""
    traffic = Traffic(63)
    records = traffic.records(traffic.runs(200))
    pipeline.worker()
    pipeline.produce(records)
    pipeline.wait_covered(len(records))
    before = pipeline.tables()
    delete_records(pipeline, {one: end for one, end in ends(pipeline).items() if one < PARTITIONS // 2})
    left = {record.events[0].run_id for record in readable(pipeline.topic_values())}
    limited = {key[1] for key, (row, _) in before.failures.items() if row.rule_id == "http.rate_limited"}
    assert limited & left
    assert limited - left
    operator = Operator(pipeline, tmp_path)
    with changed_rule(tmp_path) as environment:
        code, outcome = operator.call("rebuild", "--accept-differences", **environment)
        assert code == 0, operator.log()
        assert {run_id for _, run_id in outcome["diff"]["runs"]} == limited & left
        assert operator.call("verify", **environment)[0] == 0, operator.log()
    after = pipeline.tables()
    assert differences(_without(before, left), _without(after, left)) == []
    anew = {
        key[1] for key, (row, _) in after.failures.items() if (row.rule_id, row.failure_code) == ("http.rate_limited", "timeout")
    }
    assert anew == limited & left


def _without(tables: Tables, runs: set[str]) -> Tables:
    def kept(table: Mapping[Any, Any]) -> dict[Any, Any]:
        return {key: row for key, row in table.items() if key[1] not in runs}

    many = {one.name: kept(getattr(tables, one.name)) for one in fields(Tables) if not one.name.endswith("_rollups")}
    return Tables(**many, run_rollups={}, step_rollups={})


def ends(pipeline: Pipeline) -> dict[int, int]:
    """Where each partition ends that has rows in the store."""
    return {row["partition"]: row["upper"] for row in pipeline.sql(_UPPERS)}


def delete_records(pipeline: Pipeline, befores: Mapping[int, int]) -> None:
    """Delete what partitions have before these offsets, as the topic's retention would."""

    async def delete() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.stack.bootstrap)
        await admin.start()
        await admin.delete_records({TopicPartition(pipeline.topic, one): RecordsToDelete(end) for one, end in befores.items()})
        await admin.close()

    asyncio.run(delete())
