"""Dead letters of a real topic: listed, shown and tried again, without a word of what they say."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from agenttracer.wire.topics import record_key
from tests.support.drill import COMMAND, Operator
from tests.support.pipeline import Pipeline
from tests.support.traffic import Traffic


def _dlq(pipeline: Pipeline, folder: Path, *words: str) -> tuple[int, str]:
    """Exit code and standard output of `agenttracer dlq`."""
    dsn = pipeline.stack.dsn(database=pipeline.database, role="agenttracer_owner")
    kafka = ["--kafka", pipeline.stack.bootstrap, "--topic", pipeline.topic] if words[0] == "retry" else []
    command = [*COMMAND, "dlq", *words, "--state-dir", str(folder), *kafka]
    store = {**os.environ, "AGENTTRACER_POSTGRES_DSN": dsn}
    done = subprocess.run(command, env=store, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def _listed(pipeline: Pipeline, folder: Path, *words: str) -> list[dict[str, Any]]:
    code, shown = _dlq(pipeline, folder, "list", "--json", *words)
    assert code == 0
    assert "canary" not in shown
    found: list[dict[str, Any]] = json.loads(shown)
    return found


def test_a_record_that_can_be_stored_now_is_stored_and_one_that_cannot_stays(pipeline: Pipeline, tmp_path: Path) -> None:
    """One was refused by a rule of the database that is gone since, the other is no JSON: stored, and one attempt more."""
    traffic = Traffic(71)
    records = traffic.records(traffic.runs(20))
    refused = records[-1]
    run_id = refused.events[0].run_id
    pipeline.sql(f"ALTER TABLE runs ADD CONSTRAINT not_this_one CHECK (run_id <> '{run_id}')")
    worker = pipeline.worker(AGENTTRACER_WORKER_DEAD_LETTER_MAX_SHARE="1")
    pipeline.produce(records)
    pipeline.produce_raw([(record_key("default", "x"), b"canary-not-json{")])
    pipeline.wait_covered(len(records) + 1)
    worker.terminate()
    bad = [one for one in _listed(pipeline, tmp_path) if one["reason"] == "json"]
    good = [one for one in _listed(pipeline, tmp_path) if one["reason"] == "sqlstate_23514"]
    assert len(bad) == 1
    assert len(good) == sum(record.events[0].run_id == run_id for record in records)
    pipeline.sql("ALTER TABLE runs DROP CONSTRAINT not_this_one")
    assert Operator(pipeline, tmp_path).call("verify")[0] == 0, "dead letters are no difference"
    code, shown = _dlq(pipeline, tmp_path, "retry", "--all")
    assert code == 1, "one of them is still bad"
    assert shown.count("stored") == len(good)
    assert shown.count("still_bad") == 1
    assert "canary" not in shown
    left = _listed(pipeline, tmp_path)
    assert [(one["place"], one["attempts"], one["retried_at"]) for one in left] == [(bad[0]["place"], 1, None)]
    assert len(_listed(pipeline, tmp_path, "--retried")) == 1 + len(good)
    pipeline.assert_store_is_fold()
    assert Operator(pipeline, tmp_path).call("verify")[0] == 0
    code, shown = _dlq(pipeline, tmp_path, "show", bad[0]["place"])
    assert (code, json.loads(shown)[0]["size_bytes"]) == (0, len(b"canary-not-json{"))
