"""The state of every part of a pipeline, as plain data for `agenttracer status`."""

import socket
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from agenttracer_cli.errors import NotRunningError
from agenttracer_cli.local.endpoints import PipelineEndpoints, read_endpoints
from agenttracer_cli.local.ready_probe import Probe, Readiness
from agenttracer_cli.local.services import GATEWAY
from agenttracer_cli.local_stack import LocalStack
from agenttracer_cli.local_stack.kafka.server import KafkaServer
from agenttracer_cli.local_stack.owned_process import OwnedProcess
from agenttracer_cli.local_stack.ports import LOOPBACK
from agenttracer_cli.local_stack.postgres.server import PostgresServer
from agenttracer_cli.local_stack.server import LocalServer

_CONNECT_TIMEOUT_S = 2.0


class ProcessState(StrEnum):
    """State of a part."""

    READY = "ready"
    NOT_READY = "not ready"
    STOPPED = "stopped"
    ELSEWHERE = "elsewhere"  # an existing server, reachable
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class PartStatus:
    """One part of the pipeline."""

    name: str
    state: ProcessState
    where: str
    pid: int | None

    @property
    def ready(self) -> bool:
        """Whether it can do its work."""
        return self.state in (ProcessState.READY, ProcessState.ELSEWHERE)


def read_status(state_dir: Path) -> list[PartStatus]:
    """Read the state of every part that should run, and of Kafka and PostgreSQL in any case. Makes no state directory."""
    if not state_dir.exists():
        return [PartStatus(server.name, ProcessState.STOPPED, "", None) for server in (KafkaServer, PostgresServer)]
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


def _service(name: str, *, url: str, state_dir: Path, endpoints: PipelineEndpoints) -> PartStatus:
    process = OwnedProcess(state_dir=state_dir, name=name)
    probe = Probe(process, listeners=endpoints.gateway_processes if name == GATEWAY else 1)
    grpc_port = endpoints.grpc_port if name == GATEWAY else None
    running, ready = process.find(), probe.ask(urlsplit(url).port or 0, grpc_port=grpc_port) is Readiness.READY
    return PartStatus(name, _state(running=running is not None, ready=ready), url, running.pid if running else None)


def _server(server: LocalServer) -> PartStatus:
    pid = server.pid
    where = f"{LOOPBACK}:{server.port}" if server.port else ""
    return PartStatus(server.name, _state(running=pid is not None, ready=pid is not None and server.answers()), where, pid)


def _state(*, running: bool, ready: bool) -> ProcessState:
    if not running:
        return ProcessState.STOPPED
    return ProcessState.READY if ready else ProcessState.NOT_READY


def _existing(name: str, where: str) -> PartStatus:
    """State of an existing server, as far as a connection shows it; of several Kafka brokers one is enough."""
    reachable = any(_connects(address) for address in where.split(","))
    return PartStatus(name, ProcessState.ELSEWHERE if reachable else ProcessState.UNREACHABLE, where, None)


def _connects(address: str) -> bool:
    host, _, port = address.partition("/")[0].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError):
        return False
    return True
