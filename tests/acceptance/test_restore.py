"""The restore drill: PostgreSQL is lost, a backup from before comes back, and the topic brings what came after it."""

import subprocess
from pathlib import Path

import httpx

from agenttracer_cli.local_stack.postgres.server import program
from tests.support.drill import LiveTraffic, Operator
from tests.support.pipeline import Pipeline

_RUN = {
    "agent_id": "after",
    "agent_version": "1",
    "status": "success",
    "steps": [{"name": "greet", "kind": "respond", "latency_ms": 3}],
}


def test_a_backup_and_the_topic_give_all_of_it(pipeline: Pipeline, tmp_path: Path) -> None:
    """Dumped under traffic, then lost with all that came later: workers go on from the backup's ledger, keys work as before."""
    backup = tmp_path / "backup"
    key, worker = pipeline.local_key, pipeline.worker()
    with LiveTraffic(pipeline, events_per_s=400, seed=5) as live:
        pipeline.wait_covered(60)
        _run("pg_dump", "--format=custom", f"--file={backup}", _dsn(pipeline))
        pipeline.wait_covered(pipeline.covered() + 120)
    pipeline.wait_covered(live.records)
    worker.terminate(grace_s=15)

    pipeline.database = f"{pipeline.database}_restored"
    pipeline.stack.create_database(pipeline.database)
    _run("pg_restore", "--exit-on-error", f"--dbname={_dsn(pipeline)}", str(backup))
    assert 0 < pipeline.covered() < live.records

    sent = httpx.post(f"{pipeline.gateway().url}/v1/runs", json=_RUN, headers={"X-Api-Key": key}, timeout=30)
    assert sent.status_code == 202, sent.text
    pipeline.worker()
    pipeline.wait_covered(live.records + 1)
    pipeline.assert_store_is_fold()
    code, report = Operator(pipeline, tmp_path).call("verify")
    assert code == 0, report


def _dsn(pipeline: Pipeline) -> str:
    return pipeline.stack.dsn(database=pipeline.database, role="agenttracer_owner")


def _run(name: str, *arguments: str) -> None:
    done = subprocess.run([str(program(name)), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
