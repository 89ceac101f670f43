"""`agenttracer rebuild` on real processes: killed, under traffic, before readers' eyes; and what it says of a changed rule."""

import re
from pathlib import Path

from agenttracer.wire.topics import record_key
from ddl.migrate import SCHEMA
from tests.chaos.store_lock import TableLock
from tests.support.drill import LiveTraffic, Operator, Readers, changed_rule, kill_in_phase, kill_rebuilds, schema_id
from tests.support.pipeline import Pipeline
from tests.support.traffic import Traffic

_CATALOG = (
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = $1 ORDER BY 1, 2",
    "SELECT tablename, policyname, roles::text, cmd, qual FROM pg_policies WHERE schemaname = $1 ORDER BY 1, 2",
    "SELECT relname, relrowsecurity, relacl::text FROM pg_class WHERE relnamespace = $1::regnamespace ORDER BY 1",
    "SELECT proname, proconfig, proacl::text FROM pg_proc WHERE pronamespace = $1::regnamespace ORDER BY 1",
    "SELECT nspname, nspacl::text FROM pg_namespace WHERE nspname = $1",
)


def test_a_killed_rebuild_under_traffic_ends_in_an_equal_store(pipeline: Pipeline, tmp_path: Path) -> None:
    """20,000 events, three kills, records arriving, readers reading: no difference, no reader's error, and the workers go on."""
    traffic = Traffic(31)
    records = traffic.mischief(traffic.records(traffic.runs(1_600)))
    assert sum(len(record.events) for record in records) >= 20_000
    worker, query, operator = pipeline.worker(), pipeline.query(), Operator(pipeline, tmp_path)
    pipeline.produce(records)
    pipeline.produce_raw([(record_key("default", "x"), b"not-json{")])
    pipeline.wait_covered(len(records) + 1)
    before = pipeline.sql("SELECT 'runs'::regclass::oid AS oid")[0]["oid"]
    with Readers(pipeline, url=query.url, pause_s=0.03) as readers, LiveTraffic(pipeline, events_per_s=200, seed=32) as live:
        kill_rebuilds(pipeline, operator, kills=3, seed=33)
        code, outcome = operator.call("rebuild", "--processes", "2")
        assert code == 0, operator.log()
        assert outcome["diff"]["runs_differing"] == 0, operator.log()
    assert pipeline.sql("SELECT 'runs'::regclass::oid AS oid")[0]["oid"] != before, "nothing was swapped"
    after = traffic.records(traffic.runs(20))
    pipeline.produce(after)
    pipeline.wait_covered(len(records) + 1 + live.records + len(after))
    assert readers.errors == []
    assert readers.answers > 100
    assert worker.pid is not None, "the worker lived through the swap"
    pipeline.assert_store_is_fold()
    assert len(pipeline.sql("SELECT FROM dead_letters")) == 1
    assert operator.call("verify")[0] == 0, operator.log()
    _assert_like_a_migrated_schema(pipeline)
    assert operator.call("rebuild")[0] == 2, "the old schema is in the way"
    assert operator.call("rebuild", "drop-old")[0] == 0
    assert [row["nspname"] for row in pipeline.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE $1", f"{SCHEMA}%")] == [
        SCHEMA
    ]


def test_a_rebuild_that_would_swap_goes_on_where_it_was_killed(pipeline: Pipeline, tmp_path: Path) -> None:
    """While it makes indexes, which is undone, and while it compares: the next call goes on with what is filled and finished."""
    traffic = Traffic(35)
    records = traffic.mischief(traffic.records(traffic.runs(400)))
    pipeline.worker()
    pipeline.produce(records)
    pipeline.wait_covered(len(records))
    operator, shadow = Operator(pipeline, tmp_path), f"{SCHEMA}_shadow"
    kill_rebuilds(pipeline, operator, kills=1, seed=36, latest=0.5)
    made = schema_id(pipeline, shadow)
    with TableLock(pipeline, f"{shadow}.failures", database=pipeline.database, mode="ROW EXCLUSIVE"):  # as one who fills it
        assert kill_in_phase(operator, "indexing") == "indexing"
    assert operator.call("rebuild", "--no-swap")[0] == 0, operator.log()
    assert "indexing" in operator.phases(), "what was killed is done anew"
    with TableLock(pipeline, f"{shadow}.steps", database=pipeline.database, mode="ACCESS EXCLUSIVE"):
        assert kill_in_phase(operator, "comparing") == "comparing"
    code, outcome = operator.call("rebuild")
    assert (code, outcome["diff"]["runs_differing"]) == (0, 0), operator.log()
    assert operator.phases() == ["catching up", "comparing", "swapping"]
    assert schema_id(pipeline, SCHEMA) == made, "begun anew"
    pipeline.assert_store_is_fold()
    assert operator.call("verify")[0] == 0, operator.log()


def _assert_like_a_migrated_schema(pipeline: Pipeline) -> None:
    """Indexes, policies, grants and pinned functions are those of a fresh database."""
    other = pipeline.new_database()
    for catalog in _CATALOG:
        found, wanted = ([tuple(row) for row in pipeline.sql(catalog, SCHEMA, database=one)] for one in (None, other))
        assert [row for row in found if not re.match(r"steps_\d", row[0])] == wanted


def test_a_changed_rule_is_named_by_exactly_the_runs_that_it_concerns(pipeline: Pipeline, tmp_path: Path) -> None:
    """Rate limits become timeouts: the diff has their runs, no other, and nothing is swapped unless the change is accepted."""
    traffic = Traffic(41)
    records = traffic.records(traffic.runs(300))
    pipeline.worker()
    pipeline.produce(records)
    pipeline.wait_covered(len(records))
    concerned = {str(row["run_id"]) for row in pipeline.sql("SELECT run_id FROM failures WHERE rule_id = 'http.rate_limited'")}
    assert 10 < len(concerned) < 250
    operator = Operator(pipeline, tmp_path)
    with changed_rule(tmp_path) as environment:
        code, outcome = operator.call("rebuild", **environment)
        assert code == 1, operator.log()
        assert {run_id for _, run_id in outcome["diff"]["runs"]} == concerned
        failures = outcome["diff"]["tables"]["failures"]
        assert (failures["added"], failures["removed"]) == (0, 0)
        assert failures["columns"]["failure_code"] > 0
        assert failures["columns"].keys() <= {"failure_code", "fingerprint", "outcome", "caused_by"}, "what follows from the code"
        assert outcome["pause_s"] is None
        assert not pipeline.sql("SELECT FROM failures WHERE rule_id = 'http.rate_limited' AND failure_code = 'timeout'")
        code, outcome = operator.call("rebuild", "--accept-differences", **environment)
    assert (code, outcome["diff"]["runs_differing"]) == (0, len(concerned)), operator.log()
    changed = pipeline.sql(
        "SELECT DISTINCT run_id FROM failures WHERE rule_id = 'http.rate_limited' AND failure_code = 'timeout'"
    )
    assert {str(row["run_id"]) for row in changed} == concerned
