"""`agenttracer verify` on a real topic and a real store: it finds what is wrong, names it, and takes lag for what it is."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agenttracer.wire.topics import record_key
from tests.support.pipeline import Pipeline
from tests.support.traffic import Traffic


@pytest.fixture
def filled(pipeline: Pipeline) -> Pipeline:
    """A store that a worker has filled from a topic with repetitions, contradictions and one record of poison."""
    traffic = Traffic(21)
    records = traffic.mischief(traffic.records(traffic.runs(150)))
    worker = pipeline.worker()
    pipeline.produce(records)
    pipeline.produce_raw([(record_key("default", "x"), b"not-json{")])
    pipeline.wait_covered(len(records) + 1)
    worker.terminate()
    return pipeline


def verify(pipeline: Pipeline, tmp_path: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON and what was printed."""
    file = tmp_path / "report.json"
    command = [sys.executable, "-c", "from agenttracer_cli import main; main()", "verify", "--json", str(file)]
    where = ["--kafka", pipeline.stack.bootstrap, "--topic", pipeline.topic, "--state-dir", str(tmp_path)]
    dsn = pipeline.stack.dsn(database=pipeline.database, role="agenttracer_owner")
    store = {**os.environ, "AGENTTRACER_POSTGRES_DSN": dsn}
    done = subprocess.run([*command, *where, *options], env=store, capture_output=True, text=True, check=False)
    document = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return done.returncode, document, done.stdout + done.stderr


def test_a_right_store_is_equal_in_any_memory(filled: Pipeline, tmp_path: Path) -> None:
    """Exit code 0, every run compared, also where the records do not fit the budget; a sample compares a part of them."""
    code, whole, shown = verify(filled, tmp_path)
    assert code == 0, shown
    assert whole["equal"]
    assert whole["runs_compared"] == len(filled.tables().runs)
    code, spilled, shown = verify(filled, tmp_path, "--memory-mb", "16")
    assert (code, spilled["rows_compared"]) == (0, whole["rows_compared"]), shown
    code, sample, shown = verify(filled, tmp_path, "--sample", "0.2")
    assert code == 0, shown
    assert 0 < sample["runs_compared"] < whole["runs_compared"] / 2


def test_a_topic_of_which_nothing_was_stored_is_no_topic_that_is_gone(filled: Pipeline, tmp_path: Path) -> None:
    """A worker takes a partition before it stores anything of it: such a row of the ledger says whose it is, and no more."""
    filled.sql(
        "INSERT INTO ingest_ledger (topic_id, partition, topic, covered, updated_at, epoch, owner) "
        "VALUES (gen_random_uuid(), 0, 'other', '{}', now(), 1, 'w')"
    )
    code, report, shown = verify(filled, tmp_path)
    assert (code, report["runs_out_of_reach"]) == (0, 0), shown
    assert "topics that are no more" not in shown


def test_what_workers_have_not_reached_is_lag_and_no_difference(filled: Pipeline, tmp_path: Path) -> None:
    """Records beyond the ledger are counted and left out."""
    traffic = Traffic(22)
    late = traffic.records(traffic.runs(20))
    filled.produce(late)
    code, report, shown = verify(filled, tmp_path)
    assert (code, report["lag"]) == (0, len(late)), shown


_DAMAGE = {
    "steps": "UPDATE steps SET duration_us = duration_us + 1 WHERE ctid = (SELECT min(ctid) FROM steps)",
    "failures": "DELETE FROM failures WHERE failure_id = (SELECT min(failure_id) FROM failures WHERE failure_rank = 1)",
    "runs": "UPDATE runs SET step_count = step_count + 1 WHERE run_id = (SELECT max(run_id::text)::uuid FROM runs)",
    "losses": "INSERT INTO declared_losses SELECT project, run_id, 'p', 'exit', 9 FROM runs LIMIT 1",
    "run_rollups": "UPDATE run_rollup_deltas SET runs = runs + 1 WHERE ctid = (SELECT min(ctid) FROM run_rollup_deltas)",
    "step_rollups": "UPDATE step_rollup_deltas SET latency_us = 1 WHERE ctid = (SELECT min(ctid) FROM step_rollup_deltas)",
    "step_rollup_totals": "INSERT INTO step_rollup_totals SELECT 'default', 60, date_trunc('hour', now()), 'a', '1', 'tool', "
    "'n', 'ok', '', 1, 1, 0, 0, 0, ''",
    "dead_letters": "DELETE FROM dead_letters",
    "declared_losses: 1 rows without their run": "INSERT INTO declared_losses VALUES ('p', gen_random_uuid(), 'p', 'exit', 1)",
}


def test_damage_of_one_row_in_any_table_is_found_and_named(filled: Pipeline, tmp_path: Path) -> None:
    """Exit code 1, and each example says table and key."""
    for statement in _DAMAGE.values():
        filled.sql(statement)
    code, report, shown = verify(filled, tmp_path)
    assert code == 1, shown
    for named in _DAMAGE:
        assert any(example.startswith(named) for example in report["examples"]), (named, report["examples"])


def test_a_deleted_run_is_no_difference(filled: Pipeline, tmp_path: Path) -> None:
    """The topic still has it, the store must not: equal after `delete run`, different where one of its rows comes back."""
    run_id = str(filled.sql("SELECT run_id FROM declared_losses LIMIT 1")[0]["run_id"])
    dsn = filled.stack.dsn(database=filled.database, role="agenttracer_owner")
    command = [sys.executable, "-c", "from agenttracer_cli import main; main()", "delete", "run", "default", run_id]
    store = {**os.environ, "AGENTTRACER_POSTGRES_DSN": dsn}
    subprocess.run([*command, "--state-dir", str(tmp_path)], env=store, check=True, capture_output=True)
    assert not filled.sql("SELECT FROM runs WHERE run_id = $1", run_id)
    code, report, shown = verify(filled, tmp_path)
    assert (code, report["differences"]) == (0, 0), shown
    filled.sql("INSERT INTO declared_losses VALUES ('default', $1, 'p', 'exit', 1)", run_id)
    assert verify(filled, tmp_path)[0] == 1


def test_a_hole_in_the_ledger_and_a_run_that_nobody_sent_are_found(filled: Pipeline, tmp_path: Path) -> None:
    """The hole by partition and offsets; the run as extra; `--run` looks at that one alone."""
    filled.sql("UPDATE ingest_ledger SET covered = covered - int8multirange(int8range(3, 5)) WHERE partition = 0")
    made_up = filled.sql(
        "WITH made AS (INSERT INTO runs (project, run_id, identity_rank, agent, agent_version, first_event_at, last_event_at, "
        "last_received_at, silent_after, step_count, error_step_count, failure_count, recorded_failure_count) VALUES "
        "('default', gen_random_uuid(), 1, 'a', '1', now(), now(), now(), now(), 0, 0, 0, 0) RETURNING run_id) SELECT * FROM made"
    )[0]["run_id"]
    code, report, shown = verify(filled, tmp_path)
    assert code == 1, shown
    assert report["coverage"][0]["holes"] == [[3, 5]]
    assert any(str(made_up) in example and example.endswith("extra") for example in report["examples"])
    code, report, shown = verify(filled, tmp_path, "--run", str(made_up))
    assert (code, report["differences"]) == (1, 1), shown


def test_without_servers_the_exit_code_says_so(tmp_path: Path, pipeline: Pipeline) -> None:
    """2: nothing is known. The line names no password."""
    pipeline.topic = "no.such.topic"
    code, _, shown = verify(pipeline, tmp_path)
    assert code == 2
    assert "no.such.topic" in shown
