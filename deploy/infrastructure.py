"""The Kafka and the PostgreSQL that the services use: the local stack's, or existing ones that the user points us at.

Only here is it known which of the two it is.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from deploy.kafka_access import KafkaAccess
from deploy.local_stack import LocalStack
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
        """How this command connects to Kafka."""
        return KafkaAccess().kafka_security if self.existing.kafka_bootstrap else KafkaSecurity()

    @property
    def owner_dsn(self) -> str:
        """The connection URL that migrations use."""
        return self.existing.postgres_dsn or self.stack.postgres.dsn()

    @property
    def postgres_address(self) -> str:
        """Where PostgreSQL is, without user and password."""
        parts = urlsplit(self.owner_dsn)
        return f"{parts.hostname}:{parts.port or self.stack.postgres.preferred_port}{parts.path}"

    def service_dsn(self, role: str) -> str:
        """Give a service's connection URL: with its own role on the local stack; on an existing server as the user says.

        There `AGENTTRACER_WORKER_POSTGRES_DSN` (or `..._QUERY_...`, `..._GATEWAY_...`) comes before the one for everything.
        """
        if self.existing.postgres_dsn:
            return os.environ.get(f"{role.upper()}_POSTGRES_DSN", self.existing.postgres_dsn)
        return self.stack.postgres.dsn(role=role)

    def start(self) -> None:
        """Start what is ours, or adopt it; idempotent, so it also brings back what died."""
        self.stack.start_servers(self.local_servers)

    def stop(self) -> None:
        """Stop what is ours."""
        self.stack.stop()

    def admit_services(self) -> None:
        """Give the services' roles their passwords, after the migrations."""
        if not self.existing.postgres_dsn:
            self.stack.postgres.set_service_passwords()
