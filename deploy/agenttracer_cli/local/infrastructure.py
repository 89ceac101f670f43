"""The Kafka and the PostgreSQL that the services use: the local stack's, or existing servers that the user names.

No other module distinguishes the two.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agenttracer_cli.admin.roles import take_on_roles
from agenttracer_cli.installation import require_extra
from agenttracer_cli.local.addresses import as_role, postgres_url, shown
from agenttracer_cli.local.kafka_access import read_kafka_security
from agenttracer_cli.local_stack import LocalStack
from agenttracer_cli.local_stack.server import LocalServer
from agenttracer_cli.local_stack.start_deadline import start_limit_s
from ddl.roles import SERVICE_ROLES
from servicekit.kafka import KafkaSecurity


@dataclass(frozen=True)
class ExistingServers:
    """Servers that the command does not start or stop; None for the local stack's own."""

    kafka_bootstrap: str | None = None
    postgres_dsn: str | None = None


class Infrastructure:
    """Kafka and PostgreSQL, wherever they are."""

    def __init__(self, state_dir: Path, *, existing: ExistingServers, report: Callable[[str], None]) -> None:
        self.existing = existing
        self.stack = LocalStack(state_dir, report, protected=True)
        self._started: Sequence[LocalServer] = ()

    @property
    def local_servers(self) -> list[LocalServer]:
        """The servers that we run ourselves."""
        chosen: list[tuple[str | None, LocalServer]] = [
            (self.existing.kafka_bootstrap, self.stack.kafka),
            (self.existing.postgres_dsn, self.stack.postgres),
        ]
        return [server for elsewhere, server in chosen if not elsewhere]

    @property
    def kafka_bootstrap(self) -> str:
        """The address for Kafka's clients."""
        return self.existing.kafka_bootstrap or self.stack.kafka.bootstrap

    @property
    def kafka_security(self) -> KafkaSecurity:
        """How this command connects to Kafka. Raises SettingsError."""
        return read_kafka_security() if self.existing.kafka_bootstrap else self.stack.kafka.security

    @property
    def owner_dsn(self) -> str:
        """The connection URL that migrations use."""
        return self.existing.postgres_dsn or self.stack.postgres.dsn()

    @property
    def postgres_address(self) -> str:
        """Where PostgreSQL is, without user and password."""
        return shown(self.owner_dsn, usual_port=self.stack.postgres.preferred_port)

    def service_dsn(self, role: str) -> str:
        """Give a service's connection URL, in which it has its own role, and no more rights than that.

        On an existing server that is `AGENTTRACER_WORKER_POSTGRES_DSN` (or `..._QUERY_...`, `..._GATEWAY_...`); without it the
        owner's, whose sessions take on the role. Raises SettingsError where that is no address.
        """
        if self.existing.postgres_dsn:
            variable = _variable(role)
            said = os.environ.get(variable)
            return postgres_url(said, name=variable) if said else as_role(self.existing.postgres_dsn, role)
        return self.stack.postgres.dsn(role=role)

    def check(self) -> None:
        """Raise SettingsError for an unusable setting, ProvisionError if the local stack is not installed. Contacts no server."""
        require_extra(*(package for server in self.local_servers for package in server.packages))
        start_limit_s()
        if self.existing.kafka_bootstrap:
            read_kafka_security()
        for role in SERVICE_ROLES if self.existing.postgres_dsn else ():
            self.service_dsn(role)

    def take_on_roles(self) -> None:
        """See to it, after the migrations, that the owner of an existing store may take on the roles of the services.

        Only of those that have no address of their own. Raises SettingsError where it may not.
        """
        lacking = [role for role in SERVICE_ROLES if not os.environ.get(_variable(role))] if self.existing.postgres_dsn else []
        if lacking:
            take_on_roles(self.owner_dsn, lacking, variables=[_variable(role) for role in lacking])

    def start(self) -> None:
        """Start our servers, or adopt running ones; idempotent, so it also restarts one that ended."""
        self._started = self.stack.start_servers(self.local_servers)

    def stop(self) -> None:
        """Stop our servers."""
        self.stack.stop()

    def stop_started(self) -> None:
        """Stop the servers that `start` started, and leave those that ran before."""
        self.stack.stop_servers(self._started)

    def set_service_passwords(self) -> None:
        """Give the services' roles their passwords, after the migrations."""
        if not self.existing.postgres_dsn:
            self.stack.postgres.set_service_passwords()


def _variable(role: str) -> str:
    return f"{role.upper()}_POSTGRES_DSN"
