"""The Kafka and the PostgreSQL that the services use: the local stack's, or existing ones that the user points us at.

Only here is it known which of the two it is.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.addresses import postgres_url, shown
from deploy.kafka_access import read_kafka_security
from deploy.local_stack import LocalStack
from deploy.local_stack.postgres import SERVICE_ROLES
from deploy.local_stack.server import Server
from servicekit.kafka import KafkaSecurity


@dataclass(frozen=True)
class Existing:
    """Servers that are not ours to start or stop; None where the local stack's is to be used."""

    kafka_bootstrap: str | None = None
    postgres_dsn: str | None = None


class Infrastructure:
    """Kafka and PostgreSQL, wherever they are."""

    def __init__(self, state_dir: Path, *, existing: Existing, report: Callable[[str], None]) -> None:
        self.existing = existing
        self.stack = LocalStack(state_dir, report)
        self._started: Sequence[Server] = ()

    @property
    def local_servers(self) -> list[Server]:
        """The servers that we run ourselves."""
        chosen: list[tuple[str | None, Server]] = [
            (self.existing.kafka_bootstrap, self.stack.kafka),
            (self.existing.postgres_dsn, self.stack.postgres),
        ]
        return [server for elsewhere, server in chosen if not elsewhere]

    @property
    def kafka_bootstrap(self) -> str:
        """What Kafka's clients connect to."""
        return self.existing.kafka_bootstrap or self.stack.kafka.bootstrap

    @property
    def kafka_security(self) -> KafkaSecurity:
        """How this command connects to Kafka. Raises SettingsError."""
        return read_kafka_security() if self.existing.kafka_bootstrap else KafkaSecurity()

    @property
    def owner_dsn(self) -> str:
        """The connection URL that migrations use."""
        return self.existing.postgres_dsn or self.stack.postgres.dsn()

    @property
    def postgres_address(self) -> str:
        """Where PostgreSQL is, without user and password."""
        return shown(self.owner_dsn, usual_port=self.stack.postgres.preferred_port)

    def service_dsn(self, role: str) -> str:
        """Give a service's connection URL: with its own role on the local stack; on an existing server as the user says.

        There `AGENTTRACER_WORKER_POSTGRES_DSN` (or `..._QUERY_...`, `..._GATEWAY_...`) comes before the one for everything.
        Raises SettingsError where that is no address.
        """
        if self.existing.postgres_dsn:
            variable = f"{role.upper()}_POSTGRES_DSN"
            return postgres_url(os.environ.get(variable, self.existing.postgres_dsn), name=variable)
        return self.stack.postgres.dsn(role=role)

    def refuse_unsound(self) -> None:
        """Raises SettingsError for an address or a Kafka setting of the environment that cannot be used. Contacts nobody."""
        if self.existing.kafka_bootstrap:
            read_kafka_security()
        for role in SERVICE_ROLES if self.existing.postgres_dsn else ():
            self.service_dsn(role)

    def start(self) -> None:
        """Start what is ours, or adopt it; idempotent, so it also brings back what died."""
        self._started = self.stack.start_servers(self.local_servers)

    def stop(self) -> None:
        """Stop what is ours."""
        self.stack.stop()

    def stop_started(self) -> None:
        """Stop what `start` started, and leave what it found running."""
        self.stack.stop_servers(self._started)

    def admit_services(self) -> None:
        """Give the services' roles their passwords, after the migrations."""
        if not self.existing.postgres_dsn:
            self.stack.postgres.set_service_passwords()
