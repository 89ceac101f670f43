"""The whole pipeline on this machine: infrastructure, topic, schema, services, started in that order and stopped in reverse.

Keeping it alive afterwards is in `supervisor`; words and tables for people are in `command`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agenttracer.wire.topics import EVENTS_TOPIC
from deploy import services
from deploy.api_keys import ApiKeys
from deploy.endpoints import PipelineEndpoints, forget_endpoints, write_endpoints
from deploy.errors import DeployError, SettingsError
from deploy.infrastructure import Existing, Infrastructure
from deploy.local_key import ensure_local_key, forget_local_key, key_pepper, pepper_file, pepper_text, publish_local_key
from deploy.roster import stop_services
from deploy.schema import migrate
from deploy.services import Service
from deploy.topics import ensure_topic

Report = Callable[[str], None]


@dataclass(frozen=True)
class PipelineSettings:
    """What to run, and where."""

    state_dir: Path
    existing: Existing
    workers: int
    gateway_processes: int = 1


class Pipeline:
    """Everything, in one state directory.

    Made, it has started nothing; raises SettingsError for what would be refused only after everything had started.
    """

    def __init__(self, settings: PipelineSettings, *, report: Report) -> None:
        refuse_unsound(settings)
        self._settings = settings
        self._report = report
        self.infrastructure = Infrastructure(settings.state_dir, existing=settings.existing, report=report)
        self.infrastructure.refuse_unsound()
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

        After a start that failed, servers that were found running go on: whoever started them may need them.
        """
        forget_endpoints(self._settings.state_dir)
        forget_local_key(self._settings.state_dir.resolve())
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
        )
        publish_local_key(self._local_key, port=gateway.port)
        forget_local_key(self._settings.state_dir.resolve(), but_for_port=gateway.port)
        write_endpoints(self._settings.state_dir, endpoints)
        return endpoints

    def _start(self) -> PipelineEndpoints:
        forget_endpoints(self._settings.state_dir)  # a killed command's
        self.infrastructure.start()
        report = asyncio.run(ensure_topic(self.infrastructure.kafka_bootstrap, security=self.infrastructure.kafka_security))
        self._report(f"topic {report.name}: {report.partitions} partitions, {'made' if report.created else 'checked'}")
        migrate(self.infrastructure.owner_dsn, report=self._report)
        self.infrastructure.admit_services()
        self._local_key = self._ensure_local_key()
        self.services = self._services()
        self._start_services()
        return self.publish()

    def _services(self) -> list[Service]:
        state_dir, infrastructure = self._settings.state_dir, self.infrastructure
        kafka = infrastructure.kafka_bootstrap
        dsn = infrastructure.service_dsn("agenttracer_worker")
        pepper = pepper_text(state_dir.resolve())
        return [
            services.gateway(
                state_dir=state_dir,
                kafka_bootstrap=kafka,
                topic=EVENTS_TOPIC,
                postgres_dsn=infrastructure.service_dsn("agenttracer_gateway"),
                key_pepper=pepper,
                processes=self._settings.gateway_processes,
            ),
            services.query(state_dir=state_dir, postgres_dsn=infrastructure.service_dsn("agenttracer_query"), key_pepper=pepper),
            *(
                services.worker(number=number, state_dir=state_dir, kafka_bootstrap=kafka, postgres_dsn=dsn, topic=EVENTS_TOPIC)
                for number in range(1, self._settings.workers + 1)
            ),
        ]

    def _ensure_local_key(self) -> str:
        state_dir = self._settings.state_dir.resolve()
        return ensure_local_key(state_dir, keys=ApiKeys(self.infrastructure.owner_dsn), pepper=key_pepper(state_dir))

    def _start_services(self) -> None:
        # Left over from a command that was killed: their settings may be old.
        stop_services(self._settings.state_dir, report=self._report)
        for service in self.services:
            service.start()
        for service in self.services:
            service.wait_ready()
            self._report(f"{service.name} ready on port {service.port}")


def refuse_unsound(settings: PipelineSettings) -> None:
    """Raises SettingsError for what the environment says and no service could start with."""
    services.refuse_unsound_ports(workers=settings.workers)
    try:
        key_pepper(settings.state_dir.resolve())
    except ValueError as error:
        raise SettingsError(f"AGENTTRACER_KEY_PEPPER, or {pepper_file(settings.state_dir)}: {error}") from None
