"""Everything that connects to Kafka reaches one that asks for TLS and a password: the topic command, the gateway, the worker."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from agenttracer_cli.local import services
from tests.support.secure_kafka import SecureKafka
from tests.support.stacks import until

TOPIC = "secure.events"
DEADLINE_S = 60.0
RUN = "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0"
EVENT = {"type": "run_started", "run_id": RUN, "seq": 0, "started_at": 1_768_469_400_000_000}
BATCH = {"v": "1.0", "producer": {"id": "p1", "agent": "support-agent", "agent_version": "1"}, "events": [EVENT]}


@pytest.fixture(scope="module")
def kafka() -> Iterator[SecureKafka]:
    with tempfile.TemporaryDirectory(prefix="agenttracer-secure-") as folder:
        kafka = SecureKafka(Path(folder))
        kafka.start()
        yield kafka
        kafka.stop()


def topics(kafka: SecureKafka, folder: Path, *, password: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("agenttracer")), "topics", "--kafka", kafka.secure_bootstrap, "--name", TOPIC]
    environment = os.environ | kafka.settings("AGENTTRACER_", password=password)
    command += ["--state-dir", str(folder), "--partitions", "3"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_topics(kafka: SecureKafka, tmp_path: Path) -> None:
    """The command makes the topic with the right password, and none with a wrong one."""
    assert topics(kafka, tmp_path, password="wrong").returncode == 1
    made = topics(kafka, tmp_path, password="only-for-tests")
    assert made.returncode == 0, made.stderr


def test_event_to_row(kafka: SecureKafka, tmp_path: Path, migrated_dsn: dict[str, str]) -> None:
    """An event goes through gateway, Kafka and worker into the store, all over TLS with a password."""
    assert topics(kafka, tmp_path, password="only-for-tests").returncode == 0
    of_gateway, of_worker = kafka.settings("AGENTTRACER_GATEWAY_"), kafka.settings("AGENTTRACER_WORKER_")
    where = {"state_dir": tmp_path, "kafka_bootstrap": kafka.secure_bootstrap, "topic": TOPIC}
    of_gateway["AGENTTRACER_GATEWAY_ANONYMOUS_PROJECT"] = "default"
    keys = {"postgres_dsn": migrated_dsn["gateway"], "key_pepper": "p" * 32}
    gateway = services.gateway(**where, **keys, name_key="n" * 32, extra=of_gateway)  # type: ignore[arg-type]  # as the keys say
    worker = services.worker(number=1, postgres_dsn=migrated_dsn["worker"], **where, extra=of_worker)  # type: ignore[arg-type]  # as above
    try:
        for service in (gateway, worker):
            service.start()
        for service in (gateway, worker):
            service.wait_ready()
        assert httpx.post(f"{gateway.url}/v1/events", json=BATCH).status_code == 202
        until(lambda: asyncio.run(_runs(migrated_dsn["owner"])) == 1, timeout_s=DEADLINE_S, what="the run is stored")
        until(lambda: "topic_retention_seconds 604800.0" in _metrics(worker), timeout_s=DEADLINE_S, what="the retention is known")
    finally:
        for service in (gateway, worker):
            service.terminate()


def _metrics(service: services.Service) -> str:
    return httpx.get(f"{service.url}/metrics", timeout=DEADLINE_S).text


async def _runs(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM agenttracer.runs"))
    finally:
        await connection.close()
