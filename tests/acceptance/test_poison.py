"""A topic with unreadable records without end: whose they are is parked alone, and nothing is lost."""

import os
import subprocess
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import httpx

from agenttracer.wire.envelope import Record
from agenttracer.wire.topics import record_key
from agenttracer_cli.local.services import Service
from agenttracer_cli.local.supervisor import Supervisor
from stream_workers.abort import EXIT_DEAD_LETTERS
from tests.support.drill import COMMAND
from tests.support.pipeline import Pipeline
from tests.support.stacks import until
from tests.support.traffic import Traffic

POISON = 250


def _records(seed: int, project: str) -> list[Record]:
    traffic = Traffic(seed)
    return [replace(record, project=project) for record in traffic.records(traffic.runs(30))]


def _behind(record: Record, count: int) -> list[tuple[bytes, bytes]]:
    """Records that nobody can read, in the partition of a good one and before it."""
    return [(record_key(record.project, record.events[0].run_id), b"canary{")] * count


def _reasons(pipeline: Pipeline) -> Counter[tuple[str, str]]:
    return Counter((row["project"], row["reason"]) for row in pipeline.sql("SELECT project, reason FROM dead_letters"))


def _retry_parked(pipeline: Pipeline, folder: Path) -> str:
    dsn = pipeline.stack.dsn(database=pipeline.database, role="agenttracer_owner")
    kafka = ["--kafka", pipeline.stack.bootstrap, "--topic", pipeline.topic]
    words = ["retry", "--all", "--project", "bad", "--reason", "parked"]
    command = [*COMMAND, "dlq", *words, "--state-dir", str(folder), *kafka]
    store = {**os.environ, "AGENTTRACER_POSTGRES_DSN": dsn}
    return subprocess.run(command, env=store, capture_output=True, text=True, check=True).stdout


def test_a_project_full_of_poison_is_parked_and_the_others_go_on(pipeline: Pipeline, tmp_path: Path) -> None:
    """Its good records behind the poison are held back until a retry; the other project's are stored at once."""
    good, bad = _records(95, "good"), _records(96, "bad")
    worker = pipeline.worker()
    pipeline.produce_raw(_behind(bad[0], POISON))
    pipeline.produce([*good, *bad])
    pipeline.wait_covered(POISON + len(good) + len(bad))
    assert worker.is_ready()
    assert '"project_parked"' in worker.log.read_text()
    assert "agenttracer_worker_projects_parked 1.0" in httpx.get(f"{worker.url}/metrics", timeout=10).text
    reasons = _reasons(pipeline)
    assert reasons["bad", "json"] == POISON
    assert reasons["bad", "parked"] > 0
    assert {project for project, _ in reasons} == {"bad"}
    stored = _retry_parked(pipeline, tmp_path)
    assert stored.count("stored") == reasons["bad", "parked"]
    pipeline.assert_store_is_fold()


def test_a_topic_full_of_poison_parks_the_worker_and_loses_nothing(pipeline: Pipeline) -> None:
    """Three projects with nothing stored between them: it stays alive, is not ready and says why; the rest stays in the topic."""
    rest = _records(97, "good")
    for number in range(3):
        record = replace(rest[0], project=f"bad-{number}")
        pipeline.produce_raw(_behind(record, 100))
    worker = pipeline.worker(wait=False, AGENTTRACER_WORKER_DEAD_LETTER_MAX_SHARE="1")
    until(lambda: "parked_dead_letter_limit" in _ready(worker), timeout_s=60, what="the worker is parked", every_s=0.2)
    assert worker.pid is not None
    assert '"dead_letter_limit"' in worker.log.read_text()
    pipeline.produce(rest)
    worker.terminate()
    pipeline.worker(AGENTTRACER_WORKER_DEAD_LETTER_MAX_IN_A_ROW="1000", AGENTTRACER_WORKER_DEAD_LETTER_MAX_SHARE="1")
    pipeline.wait_covered(300 + len(rest))
    pipeline.assert_store_is_fold()


def _ready(worker: Service) -> str:
    try:
        return httpx.get(f"{worker.url}/ready", timeout=5).text
    except httpx.TransportError:
        return ""


def test_a_worker_that_is_to_end_ends_for_good(pipeline: Pipeline) -> None:
    """Exit code 65 stays down."""
    for number in range(3):
        pipeline.produce_raw(_behind(replace(_records(98, "x")[0], project=f"bad-{number}"), 100))
    worker = pipeline.worker(wait=False, AGENTTRACER_WORKER_DEAD_LETTER_EXIT="true")
    until(lambda: worker.pid is None, timeout_s=60, what="the worker ended", every_s=0.2)
    assert worker.exit_code == EXIT_DEAD_LETTERS
    said: list[str] = []
    supervisor = Supervisor([worker], report=said.append, restarted=lambda: None)
    for ahead_s in range(0, 120, 10):
        supervisor.look(now=time.monotonic() + ahead_s)
    assert worker.pid is None
    assert "stays down" in said[-1]
