"""What runs in a state directory right now, as plain data: for `status`, its JSON and its exit code."""

import socket
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from deploy.endpoints import PipelineEndpoints, read_endpoints
from deploy.errors import NotRunningError
from deploy.local_stack import LocalStack
from deploy.local_stack.kafka import KafkaServer
from deploy.local_stack.owned_process import OwnedProcess
from deploy.local_stack.ports import LOOPBACK
from deploy.local_stack.postgres import PostgresServer
from deploy.local_stack.server import Server
from deploy.ready_probe import Answer, Probe
from deploy.services import GATEWAY

_CONNECT_TIMEOUT_S = 2.0


class State(StrEnum):
    """How a part is."""

    READY = "ready"
    NOT_READY = "not ready"
    STOPPED = "stopped"
    ELSEWHERE = "elsewhere"  # an existing server that is not ours; reachable
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class PartState:
    """One part of the pipeline."""

    name: str
    state: State
    where: str
    pid: int | None

    @property
    def ready(self) -> bool:
        """Whether it can do its work."""
        return self.state in (State.READY, State.ELSEWHERE)


def look(state_dir: Path) -> list[PartState]:
    """Look at every part that should run, and at Kafka and PostgreSQL in any case. Makes no state directory."""
    if not state_dir.exists():
        return [PartState(server.name, State.STOPPED, "", None) for server in (KafkaServer, PostgresServer)]
    stack = LocalStack(state_dir)
    try:
        endpoints = read_endpoints(stack.state_dir)
    except NotRunningError:
        return [_server(stack.kafka), _server(stack.postgres)]
    services = (_service(name, url=url, state_dir=stack.state_dir, endpoints=endpoints) for name, url in _service_urls(endpoints))
    kafka = _server(stack.kafka) if endpoints.local_kafka else _existing("kafka", endpoints.kafka_bootstrap)
    postgres = _server(stack.postgres) if endpoints.local_postgres else _existing("postgres", endpoints.postgres_address)
    return [*services, kafka, postgres]


def _service_urls(endpoints: PipelineEndpoints) -> list[tuple[str, str]]:
    workers = [(f"worker-{number}", url) for number, url in enumerate(endpoints.worker_urls, start=1)]
    return [(GATEWAY, endpoints.gateway_url), ("query", endpoints.query_url), *workers]


def _service(name: str, *, url: str, state_dir: Path, endpoints: PipelineEndpoints) -> PartState:
    process = OwnedProcess(state_dir=state_dir, name=name)
    probe = Probe(process, listeners=endpoints.gateway_processes if name == GATEWAY else 1)
    running, ready = process.find(), probe.ask(urlsplit(url).port or 0) is Answer.READY
    return PartState(name, _state(running=running is not None, ready=ready), url, running.pid if running else None)


def _server(server: Server) -> PartState:
    pid = server.pid
    where = f"{LOOPBACK}:{server.port}" if server.port else ""
    return PartState(server.name, _state(running=pid is not None, ready=pid is not None and server.answers()), where, pid)


def _state(*, running: bool, ready: bool) -> State:
    if not running:
        return State.STOPPED
    return State.READY if ready else State.NOT_READY


def _existing(name: str, where: str) -> PartState:
    """Look at a server that is not ours, as far as a connection shows; of several Kafka brokers one is enough."""
    reachable = any(_connects(address) for address in where.split(","))
    return PartState(name, State.ELSEWHERE if reachable else State.UNREACHABLE, where, None)


def _connects(address: str) -> bool:
    host, _, port = address.partition("/")[0].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError):
        return False
    return True
