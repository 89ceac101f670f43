"""Several gateway processes on one port: all take requests, each tells of itself, one that dies is replaced, all end in order."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway_process import create_topic, gateway_process
from tests.support.stacks import free_port, until

DEADLINE_S = 60.0
EVENT = {"type": "run_started", "run_id": "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0", "seq": 0, "started_at": 1_768_469_400_000_000}
BATCH = {"v": "1.0", "producer": {"id": "p1", "agent": "support-agent", "agent_version": "1"}, "events": [EVENT]}


class Group:
    """Two processes and who started them."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, port: int) -> None:
        self.process = process
        self._log = log
        self.address = f"http://127.0.0.1:{port}"

    def lines(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.endswith("}")]
        return [line for line in lines if line["event"] == event]

    def pages(self) -> list[str]:
        """Addresses of the pages of each process that there ever was, in order of start."""
        return [f"http://127.0.0.1:{line['port']}" for line in self.lines("pages_listening")]

    def post(self) -> int | None:
        """On a connection of its own; None when it was lost."""
        try:
            return httpx.post(f"{self.address}/v1/events", json=BATCH).status_code
        except httpx.TransportError:
            return None

    def children(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    def ready(self, pages: list[str]) -> bool:
        return all(answers(address) for address in pages)


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/ready").status_code == 200
    except httpx.TransportError:
        return False


def accepted(address: str) -> float:
    lines = httpx.get(f"{address}/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("agenttracer_gateway_events_accepted_total "))


@pytest.fixture
def group(tmp_path: Path, kafka_bootstrap: str) -> Iterator[Group]:
    port, log = free_port(), tmp_path / "group.log"
    told = {
        "PORT": port,
        "KAFKA_BOOTSTRAP": kafka_bootstrap,
        "TOPIC": create_topic(kafka_bootstrap),
        "PROCESSES": 2,
        "PAGES_PORT": 0,
        "ANONYMOUS_PROJECT": "default",
    }
    environment = os.environ | {f"AGENTTRACER_GATEWAY_{name}": str(value) for name, value in told.items()}
    with log.open("wb") as stderr:
        process = subprocess.Popen([sys.executable, "-m", "producer_gateway"], env=environment, stderr=stderr)
    group = Group(process, log, port)
    try:
        until(lambda: len(group.pages()) == 2 and group.ready(group.pages()), timeout_s=DEADLINE_S, what="both are ready")
        yield group
    finally:
        process.kill()  # takes the others with it
        process.wait()


def test_pages_of_one_process(tmp_path: Path, kafka_bootstrap: str) -> None:
    """A single process may have a port for its pages as well; its metrics are there alone, and health is on both."""
    with gateway_process(tmp_path, kafka_bootstrap, topic=create_topic(kafka_bootstrap), pages_port=0) as gateway:
        (pages,) = Group(gateway.process, gateway.log, gateway.port).pages()
        assert gateway.client.post("/v1/events", json=BATCH).status_code == 202
        assert accepted(pages) == 1
        assert answers(pages)
        assert [gateway.client.get(path).status_code for path in ("/health", "/ready", "/metrics")] == [200, 200, 404]


def test_both_take_requests(group: Group) -> None:
    """Connections are spread over the processes, and each counts its own."""
    posted = 0
    while not all(accepted(address) for address in group.pages()):
        assert group.post() == 202
        posted += 1
        assert posted < 200, "one process gets nothing"
    assert sum(accepted(address) for address in group.pages()) == posted


def test_one_dies(group: Group) -> None:
    """A process that is killed is replaced, and its port serves all the time."""
    killed, other = group.children()
    os.kill(killed, signal.SIGKILL)
    until(lambda: len(group.lines("process_ended")) == 1, timeout_s=DEADLINE_S, what="the death is noticed")
    assert group.post() == 202
    until(lambda: len(group.pages()) == 3 and answers(group.pages()[2]), timeout_s=DEADLINE_S, what="another one is ready")
    assert other in group.children()
    assert group.post() == 202


def test_end_in_order(group: Group) -> None:
    """Told to end, all processes finish the requests that they are receiving, and all exit with 0."""
    body = json.dumps(BATCH).encode()

    def slowly() -> Iterator[bytes]:
        yield body[:20]
        group.process.send_signal(signal.SIGTERM)
        until(lambda: group.post() is None, timeout_s=DEADLINE_S, what="connections are refused")
        yield body[20:]

    pids = group.children()
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{group.address}/v1/events", content=slowly(), headers=headers, timeout=DEADLINE_S)
    assert answer.status_code == 202
    assert group.process.wait(DEADLINE_S) == 0
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_parent_dies(group: Group) -> None:
    """When who started them is killed the processes end as well, and the port is free."""
    pids = group.children()
    group.process.kill()
    group.process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), timeout_s=DEADLINE_S, what="they are gone")
    assert group.post() is None


def test_a_second_group_is_refused(group: Group, tmp_path: Path) -> None:
    """On the same port the system would give each the other's requests: it ends with one clear line."""
    port = group.address.rpartition(":")[2]
    told = {"PORT": port, "PROCESSES": "2", "PAGES_PORT": "0", "ANONYMOUS_PROJECT": "default"}
    environment = os.environ | {f"AGENTTRACER_GATEWAY_{name}": value for name, value in told.items()}
    second = subprocess.run(
        [sys.executable, "-m", "producer_gateway"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 78
    assert second.stderr.splitlines() == [f"cannot start: cannot listen on 127.0.0.1 port {port}: Address already in use"]
