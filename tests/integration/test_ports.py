"""Ports that others want as well: real services and real Kafka find one of their own, and come back on it."""

import os
import shutil
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from agenttracer_cli.local.services import Service
from agenttracer_cli.local.supervisor import Supervisor
from agenttracer_cli.local_stack import ports
from agenttracer_cli.local_stack.kafka.server import KafkaServer
from agenttracer_cli.local_stack.ports import LOOPBACK, PortBook, is_free
from agenttracer_cli.local_stack.process_table import identify
from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack, free_port, until

EVENT = {"type": "run_started", "run_id": "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0", "seq": 0, "started_at": 1_768_469_400_000_000}
BATCH = {"v": "1.0", "producer": {"id": "p1", "agent": "support-agent", "agent_version": "1"}, "events": [EVENT]}


class Blind:
    """Lets the first looks at each port find it free, as when others look at the same moment."""

    def __init__(self, looks: int) -> None:
        self._left = Counter[int]()
        self._looks = looks

    def __call__(self, port: int) -> bool:
        self._left[port] += 1
        return self._left[port] <= self._looks or is_free(port)


@pytest.fixture
def two(stack: Stack) -> Iterator[list[Pipeline]]:
    with ExitStack() as ended:
        yield [ended.enter_context(closing(Pipeline(stack))) for _ in range(2)]


def post(service: Service, key: str) -> int:
    return httpx.post(f"{service.url}/v1/events", json=BATCH, headers={"x-api-key": key}, timeout=10).status_code


@pytest.mark.parametrize("processes", [1, 2])
def test_two_stacks_that_start_at_once_keep_apart(two: list[Pipeline], monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    """All six services were told the port of their counterpart: each moves or stays, and each gateway takes its own key alone."""
    for name in ("GATEWAY", "QUERY", "WORKER"):
        monkeypatch.setenv(f"AGENTTRACER_{name}_PORT", str(free_port()))
    monkeypatch.setattr(ports, "is_free", Blind(2))
    gateways = [one.gateway_of(processes, wait=False) for one in two]
    others = [(one.query(wait=False), one.worker(wait=False)) for one in two]
    assert len({each.port for each in gateways}) == 1
    assert len({each.port for pair in others for each in pair}) == 2
    started = [*gateways, *others[0], *others[1]]
    for service in started:
        service.wait_ready()
    assert len({each.port for each in started}) == 6
    assert all(each.is_ready() for each in started)
    for _ in range(10):  # of two processes on one port each gets some
        assert [post(gateways[0], two[0].local_key), post(gateways[1], two[1].local_key)] == [202, 202]
        assert [post(gateways[0], two[1].local_key), post(gateways[1], two[0].local_key)] == [401, 401]


def test_several_gateway_processes_are_started_anew_on_their_port(two: list[Pipeline]) -> None:
    """One of them dies: not ready until it is replaced. Who started them dies: the supervisor starts all again, on their port."""
    pipeline = two[0]
    service = pipeline.gateway_of(2)
    port, parent = service.port, service.pid
    assert parent is not None
    child = next(pid for pid in service.pids if pid != parent)
    os.kill(child, signal.SIGKILL)
    assert not service.is_ready()
    until(service.is_ready, timeout_s=60, what="both are ready again")
    assert service.pid == parent
    said: list[str] = []
    supervisor = Supervisor([service], report=said.append, restarted=lambda: None)
    os.kill(parent, signal.SIGKILL)
    now = 0.0
    until(lambda: service.pid is None, timeout_s=60, what="all have ended")
    while "gateway started again" not in said:
        now += 100
        supervisor.look(now=now)
    service.wait_ready()
    assert service.port == port
    assert post(service, pipeline.local_key) == 202


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaServer]:
    server = KafkaServer(tmp_path, ports=PortBook(tmp_path), report=print)
    server.preferred_port, server.preferred_controller_port = free_port(), free_port()
    yield server
    server.kill()
    shutil.rmtree(server.folder, ignore_errors=True)


def test_kafka_comes_back_on_its_port(kafka: KafkaServer) -> None:
    """Killed with SIGKILL again and again, started again at once: its clients need no other address."""
    kafka.start()
    port = kafka.port
    for _ in range(3):
        pid = kafka.pid
        assert pid is not None
        process = identify(pid)
        os.kill(pid, signal.SIGKILL)
        until(lambda of=process: identify(of.pid) != of, timeout_s=30, what="it is gone", every_s=0)
        assert is_free(port or 0)
        assert kafka.start()
        assert kafka.port == port
        assert kafka.answers()


@pytest.mark.parametrize("lost", ["preferred_port", "preferred_controller_port"])
def test_kafka_that_lost_a_port_takes_another(kafka: KafkaServer, monkeypatch: pytest.MonkeyPatch, lost: str) -> None:
    """Somebody else listens there between the choice and the start."""
    with socket.create_server((LOOPBACK, 0)) as stranger:
        taken = stranger.getsockname()[1]
        setattr(kafka, lost, taken)
        monkeypatch.setattr(ports, "is_free", Blind(2))  # to format, and to start
        assert kafka.start()
        assert kafka.answers()
        assert taken not in {int(file.read_text()) for file in (kafka.folder.parent / "ports").glob("kafka*")}
