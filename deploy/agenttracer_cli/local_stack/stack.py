"""Kafka and PostgreSQL together: the local stack that `agenttracer up`, the demo and the tests run on."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from agenttracer_cli.errors import NotRunningError
from agenttracer_cli.local_stack.files import open_state_dir
from agenttracer_cli.local_stack.kafka.server import KafkaServer
from agenttracer_cli.local_stack.ports import PortBook
from agenttracer_cli.local_stack.postgres.server import PostgresServer
from agenttracer_cli.local_stack.server import LocalServer, Report


@dataclass(frozen=True)
class Endpoints:
    """Where the stack's servers are found."""

    kafka_bootstrap: str  # host:port
    postgres_dsn: str  # of the owner role; `LocalStack.postgres.dsn` gives the others


def _silent(_line: str) -> None:
    return


class LocalStack:
    """Real Kafka and PostgreSQL on loopback, kept in one state directory. Any number of stacks can run side by side.

    Of a protected one, Kafka takes clients with a generated password alone, as PostgreSQL always does. The directory is made by
    the first start. Commands that only read it, or use servers elsewhere, make none.
    """

    def __init__(self, state_dir: Path, report: Report = _silent, *, protected: bool = False) -> None:
        self.state_dir = state_dir.resolve()
        ports = PortBook(self.state_dir)
        self.kafka = KafkaServer(self.state_dir, ports=ports, report=report, protected=protected)
        self.postgres = PostgresServer(self.state_dir, ports=ports, report=report)

    @property
    def servers(self) -> tuple[LocalServer, ...]:
        """Every server of the stack."""
        return (self.kafka, self.postgres)

    @property
    def endpoints(self) -> Endpoints:
        """Where the servers are. Raises NotRunningError before the first start."""
        if self.kafka.port is None or self.postgres.port is None:
            raise NotRunningError("the local stack was never started here; run `agenttracer up`")
        return Endpoints(kafka_bootstrap=self.kafka.bootstrap, postgres_dsn=self.postgres.dsn())

    def start(self) -> Endpoints:
        """Start both side by side, or adopt what runs."""
        self.start_servers(self.servers)
        return self.endpoints

    def start_servers(self, servers: Sequence[LocalServer]) -> Sequence[LocalServer]:
        """Start these side by side and give those that did not run already.

        When one fails, those that this call started are stopped again and its error is raised.
        """
        if servers:
            open_state_dir(self.state_dir)
        started, errors = _at_once(servers, lambda server: server.start())
        if errors:
            for server in started:
                server.stop()
            raise errors[0]
        return started

    def stop(self) -> None:
        """Stop both in order; nothing happens to one that does not run."""
        self.stop_servers(self.servers)

    def stop_servers(self, servers: Sequence[LocalServer]) -> None:
        """Stop these in order; nothing happens to one that does not run."""
        _, errors = _at_once(servers, lambda server: server.stop())
        if errors:
            raise errors[0]


def _at_once(servers: Sequence[LocalServer], act: Callable[[LocalServer], bool]) -> tuple[list[LocalServer], list[BaseException]]:
    """Give the servers for which `act` did something, and what it raised for others."""
    with ThreadPoolExecutor(max_workers=len(servers) or 1) as threads:
        futures = [(server, threads.submit(act, server)) for server in servers]
    errors = [error for _, future in futures if (error := future.exception())]
    return [server for server, future in futures if not future.exception() and future.result()], errors
