"""The whole pipeline on this machine: infrastructure, topic, schema, services, started in that order and stopped in reverse.

`supervisor` keeps it alive afterwards.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agenttracer.wire.topics import EVENTS_TOPIC
from agenttracer_cli.admin.api_keys import ApiKeys
from agenttracer_cli.admin.migrate import migrate
from agenttracer_cli.admin.topics import ensure_topic
from agenttracer_cli.errors import DeployError, SettingsError
from agenttracer_cli.local import services
from agenttracer_cli.local.endpoints import PipelineEndpoints, remove_endpoints, write_endpoints
from agenttracer_cli.local.infrastructure import ExistingServers, Infrastructure
from agenttracer_cli.local.local_key import (
    ensure_local_key,
    key_pepper,
    name_key_text,
    pepper_file,
    pepper_text,
    publish_local_key,
    remove_local_key,
)
from agenttracer_cli.local.running_services import stop_services
from agenttracer_cli.local.services import Service

Report = Callable[[str], None]


@dataclass(frozen=True)
class LocalPipelineSettings:
    """Number of processes, servers and the state directory of a pipeline."""

    state_dir: Path
    existing: ExistingServers
    workers: int
    gateway_processes: int = 1
    private: bool = False
    """Whether reading needs a key also on this machine."""


class LocalPipeline:
    """Everything, in one state directory.

    The constructor starts nothing. It raises SettingsError for settings that would otherwise fail after everything had started.
    """

    def __init__(self, settings: LocalPipelineSettings, *, report: Report) -> None:
        check_environment(settings)
        self._settings = settings
        self._report = report
        self.infrastructure = Infrastructure(settings.state_dir, existing=settings.existing, report=report)
        self.infrastructure.check()
        self.services: list[Service] = []
        self._local_key = ""
        self._failed = False

    def start(self) -> PipelineEndpoints:
        """Start everything, wait until it is ready, publish where it is. Raises DeployError."""
        try:
            return self._start()
        except DeployError:
            self._failed = True
            raise

    def stop(self) -> None:
        """Stop everything in order: no new events first, then the rest, the servers last.

        After a failed start, servers that were running before are left running: another command may need them.
        """
        remove_endpoints(self._settings.state_dir)
        remove_local_key(self._settings.state_dir.resolve())
        stop_services(self._settings.state_dir, report=self._report)
        if self._failed:
            self.infrastructure.stop_started()
        else:
            self.infrastructure.stop()

    def publish(self) -> PipelineEndpoints:
        """Write where everything is; again after a restart, since a port can have changed."""
        gateway, query, *workers = self.services
        endpoints = PipelineEndpoints(
            gateway_url=gateway.url,
            query_url=query.url,
            worker_urls=tuple(worker.url for worker in workers),
            kafka_bootstrap=self.infrastructure.kafka_bootstrap,
            topic=EVENTS_TOPIC,
            postgres_address=self.infrastructure.postgres_address,
            local_kafka=not self._settings.existing.kafka_bootstrap,
            local_postgres=not self._settings.existing.postgres_dsn,
            gateway_processes=self._settings.gateway_processes,
            grpc_port=gateway.grpc_port,
        )
        publish_local_key(self._local_key, port=gateway.port)
        remove_local_key(self._settings.state_dir.resolve(), except_port=gateway.port)
        write_endpoints(self._settings.state_dir, endpoints)
        return endpoints

    def _start(self) -> PipelineEndpoints:
        remove_endpoints(self._settings.state_dir)  # a killed command's
        self.infrastructure.start()
        report = asyncio.run(ensure_topic(self.infrastructure.kafka_bootstrap, security=self.infrastructure.kafka_security))
        self._report(f"topic {report.name}: {report.partitions} partitions, {'made' if report.created else 'checked'}")
        migrate(self.infrastructure.owner_dsn, report=self._report)
        self.infrastructure.set_service_passwords()
        self.infrastructure.take_on_roles()
        self._local_key = self._ensure_local_key()
        self.services = self._services()
        self._start_services()
        return self.publish()

    def _services(self) -> list[Service]:
        state_dir, infrastructure = self._settings.state_dir, self.infrastructure
        kafka = infrastructure.kafka_bootstrap
        dsn = infrastructure.service_dsn("agenttracer_worker")
        pepper = pepper_text(state_dir.resolve())
        # An existing Kafka's security is each service's own setting, which it reads from the same environment.
        security = None if self._settings.existing.kafka_bootstrap else infrastructure.kafka_security
        gateway = services.gateway(
            state_dir=state_dir,
            kafka_bootstrap=kafka,
            topic=EVENTS_TOPIC,
            postgres_dsn=infrastructure.service_dsn("agenttracer_gateway"),
            key_pepper=pepper,
            name_key=name_key_text(state_dir.resolve()),
            processes=self._settings.gateway_processes,
            grpc=True,
            extra=services.kafka_variables("GATEWAY", security),
        )
        return [
            gateway,
            services.query(
                state_dir=state_dir,
                postgres_dsn=infrastructure.service_dsn("agenttracer_query"),
                key_pepper=pepper,
                private=self._settings.private,
                gateway=gateway,
            ),
            *(
                services.worker(
                    number=number,
                    state_dir=state_dir,
                    kafka_bootstrap=kafka,
                    postgres_dsn=dsn,
                    topic=EVENTS_TOPIC,
                    extra=services.kafka_variables("WORKER", security),
                )
                for number in range(1, self._settings.workers + 1)
            ),
        ]

    def _ensure_local_key(self) -> str:
        state_dir = self._settings.state_dir.resolve()
        return ensure_local_key(state_dir, keys=ApiKeys(self.infrastructure.owner_dsn), pepper=key_pepper(state_dir))

    def _start_services(self) -> None:
        # Services left by a killed command: their settings may be old.
        stop_services(self._settings.state_dir, report=self._report)
        for service in self.services:
            service.start()
        for service in self.services:
            service.wait_ready()
            self._report(f"{service.name} ready on port {service.port}")


def check_environment(settings: LocalPipelineSettings) -> None:
    """Raises SettingsError for variables with which no service could start."""
    services.refuse_unsound_ports(workers=settings.workers)
    try:
        key_pepper(settings.state_dir.resolve())
    except ValueError as error:
        raise SettingsError(f"AGENTTRACER_KEY_PEPPER, or {pepper_file(settings.state_dir)}: {error}") from None
