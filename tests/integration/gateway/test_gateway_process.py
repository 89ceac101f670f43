"""The gateway as a process of its own before real Kafka: from an HTTP request to a record, through an outage, to a clean end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from agenttracer.wire.envelope import VERSION
from tests.support import stacks

DEADLINE_S = 30.0
until = partial(stacks.until, timeout_s=DEADLINE_S)
EVENT = {"type": "run_started", "run_id": "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0", "seq": 0, "started_at": 1_768_469_400_000_000}
BATCH = {"v": "1.0", "producer": {"id": "p1", "agent": "support-agent", "agent_version": "1"}, "events": [EVENT]}


class Process:
    """A running gateway."""

    def __init__(self, process: subprocess.Popen[bytes], client: httpx.Client) -> None:
        self.process = process
        self.client = client

    def post(self) -> httpx.Response:
        """The same batch every time."""
        return self.client.post("/v1/events", json=BATCH)

    def until_ready(self, status: int) -> str | None:
        """Wait until `/ready` answers `status`; why, if it says so."""

        def answer() -> httpx.Response | None:
            got = self.client.get("/ready")
            return got if got.status_code == status else None

        reason: str | None = until(answer, what=f"/ready answers {status}").json().get("reason")
        return reason


@contextmanager
def gateway(tmp_path: Path, bootstrap: str, *, topic: str) -> Iterator[Process]:
    log = tmp_path / f"{topic}.log"
    settings = {"PORT": "0", "KAFKA_BOOTSTRAP": bootstrap, "TOPIC": topic, "ANONYMOUS_PROJECT": "default"}
    env = os.environ | {f"AGENTTRACER_GATEWAY_{name}": value for name, value in settings.items()}
    with log.open("wb") as stderr:
        process = subprocess.Popen([sys.executable, "-m", "producer_gateway"], env=env, stderr=stderr)
    try:
        port = until(lambda: _port(log), what="listening")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S) as client:
            yield Process(process, client)
    finally:
        process.kill()
        process.wait()


def _port(log: Path) -> int | None:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return next((line["port"] for line in lines if line["event"] == "listening"), None)


@pytest.fixture
def topic(kafka_bootstrap: str) -> str:
    return create_topic(kafka_bootstrap)


def create_topic(bootstrap: str) -> str:
    topic = f"gateway-{uuid.uuid4()}"

    async def create() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1)])
        finally:
            await admin.close()

    asyncio.run(create())
    return topic


def read(bootstrap: str, topic: str, count: int) -> list[tuple[bytes, dict[str, Any]]]:
    async def consume() -> list[tuple[bytes, dict[str, Any]]]:
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            async with asyncio.timeout(DEADLINE_S):
                found = [await consumer.getone() for _ in range(count)]
        finally:
            await consumer.stop()
        return [(each.key, json.loads(each.value)) for each in found]

    return asyncio.run(consume())


def test_request_to_record(tmp_path: Path, kafka_bootstrap: str, topic: str) -> None:
    """What was answered with 202 lies in the topic, as the contract says."""
    with gateway(tmp_path, kafka_bootstrap, topic=topic) as process:
        process.until_ready(200)
        answer = process.post()
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "rejected": [], "dropped": {}})
    ((key, record),) = read(kafka_bootstrap, topic, 1)
    assert key == f"default:{EVENT['run_id']}".encode()
    assert (record["v"], record["project"], record["producer"]) == (VERSION, "default", BATCH["producer"])
    assert record["events"] == [EVENT]


def test_end_in_order(tmp_path: Path, kafka_bootstrap: str, topic: str) -> None:
    """Told to end, the gateway finishes the request that it is receiving, and exits with 0."""
    with gateway(tmp_path, kafka_bootstrap, topic=topic) as process:
        process.until_ready(200)
        body = json.dumps(BATCH).encode()

        def slowly() -> Iterator[bytes]:
            yield body[:20]
            process.process.send_signal(signal.SIGTERM)
            until(lambda: _refuses_connections(process.client), what="connections are refused")
            yield body[20:]

        answer = process.client.post("/v1/events", content=slowly(), headers={"content-type": "application/json"})
        assert answer.status_code == 202
        assert process.process.wait(timeout=DEADLINE_S) == 0
    assert len(read(kafka_bootstrap, topic, 1)) == 1


def _refuses_connections(client: httpx.Client) -> bool:
    try:
        httpx.get(f"{client.base_url}/health")
    except httpx.TransportError:
        return True
    return False


def test_start_without_kafka(tmp_path: Path) -> None:
    """Without Kafka the process starts, lives, is not ready, and answers 503."""
    with gateway(tmp_path, "127.0.0.1:1", topic="none") as process:
        assert process.until_ready(503) == "kafka_unreachable"
        assert process.client.get("/health").status_code == 200
        answer = process.post()
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        process.process.terminate()
        assert process.process.wait(timeout=DEADLINE_S) == 0


def test_outage(tmp_path: Path, own_stack: stacks.Stack) -> None:
    """While Kafka is away requests get 503 and readiness is red; then the same request gets 202 from the same process."""
    bootstrap = own_stack.bootstrap
    topic = create_topic(bootstrap)
    with gateway(tmp_path, bootstrap, topic=topic) as process:
        process.until_ready(200)
        assert process.post().status_code == 202
        own_stack.kafka.stop()
        # The client's own timeout is the check: every answer comes, and says 503.
        assert process.post().status_code == 503
        assert process.until_ready(503) == "kafka_unreachable"
        assert process.client.get("/health").status_code == 200
        own_stack.kafka.start()
        process.until_ready(200)
        assert process.post().status_code == 202
        assert process.process.poll() is None
