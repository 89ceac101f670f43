"""Who is at work in a soak: gateways, workers and a query service that should be running, kept running, counted and rewound."""

import signal
import time
from collections.abc import Callable
from typing import TypeVar

import asyncpg
from aiokafka.errors import KafkaError

from agenttracer_cli.local.services import Service
from agenttracer_cli.local_stack.owned_process import send_signal
from agenttracer_cli.local_stack.ports import is_free
from agenttracer_cli.local_stack.process_table import ProcessId
from tests.chaos import fleet
from tests.chaos.evidence import ends, rewind_group
from tests.support.pipeline import Pipeline
from tests.support.stacks import until

WORKERS_MAX = 4
REWIND_MAX_S = 60.0
_METRICS = ("records_total", "rows_repeated_total", "zombie_writes_total")
_FRONTIERS = "SELECT partition, (SELECT max(upper(part)) FROM unnest(covered) AS part) AS upto FROM ingest_ledger"
_CUT = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) AS n FROM pg_stat_activity
WHERE application_name IN ('agenttracer-worker', 'agenttracer-compaction')
"""
_T = TypeVar("_T")


class Crew:
    """Used by one thread, the injector's, once it is started."""

    def __init__(self, pipeline: Pipeline, *, workers: int, gateways: int) -> None:
        self._pipeline = pipeline
        self.group = pipeline.name
        self.gateways = [fleet.gateway(pipeline, number) for number in range(1, gateways + 1)]
        self._all = [self._new_worker(number) for number in range(1, WORKERS_MAX + 1)]
        self.workers = self._all[:workers]
        self.query = fleet.query(pipeline, database=pipeline.database)
        self.paused: dict[Service, ProcessId] = {}
        self.deaths: list[str] = []
        self._read: dict[tuple[str, int], dict[str, float]] = {}

    @property
    def services(self) -> list[Service]:
        """All that should be running now."""
        return [*self.gateways, *self.workers, self.query]

    def start(self) -> None:
        for service in self.services:
            service.start()
        for service in self.services:
            service.wait_ready()

    def _new_worker(self, number: int) -> Service:
        return fleet.worker(self._pipeline, number, database=self._pipeline.database, group=self.group)

    # -- what the orchestrator would do -----------------------------------------------------------------------------------

    def revive(self) -> None:
        """Start again who ended by itself."""
        for service in self.services:
            if service.pid is None:
                self.deaths.append(f"{service.name}: {service.log_tail(lines=1)[:200]}")
                service.start()

    def add_worker(self) -> str | None:
        spare = [one for one in self._all if one not in self.workers]
        if not spare:
            return None
        self.workers.append(spare[0])
        spare[0].start()
        return spare[0].name

    def remove_worker(self, service: Service) -> str:
        self.note_metrics()
        self.workers.remove(service)
        service.terminate(grace_s=15)
        return service.name

    # -- pauses -----------------------------------------------------------------------------------------------------------

    def pause(self, service: Service) -> ProcessId:
        process = service._process.find()
        assert process is not None, f"{service.name} does not run"
        send_signal(process, signal.SIGSTOP)
        self.paused[service] = process
        return process

    def resume(self, service: Service) -> None:
        send_signal(self.paused.pop(service), signal.SIGCONT)

    # -- servers ----------------------------------------------------------------------------------------------------------

    def crash(self, name: str) -> str:
        """SIGKILL, and a start as soon as the port is free: threads of a killed server may hold it for a moment."""
        part = getattr(self._pipeline.stack, name)
        port = getattr(part, "port", None)
        part.kill()
        if port is not None:
            until(lambda: is_free(port), timeout_s=60, what=f"the port of {name} is free")
        part.start()
        assert getattr(part, "port", None) == port, f"{name} came back on another port"
        return name

    # -- the store and the group ------------------------------------------------------------------------------------------

    def covered_by_partition(self) -> dict[int, int]:
        """How far each partition is covered; empty while PostgreSQL is away."""
        rows = self._while_up(lambda: self._pipeline.sql(_FRONTIERS))
        return {row["partition"]: row["upto"] or 0 for row in rows or ()}

    def cut_connections(self) -> str | None:
        """End the workers' connections in whatever they do; None if there was none."""
        rows = self._while_up(lambda: self._pipeline.sql(_CUT))
        return f"{rows[0]['n']} connections" if rows and rows[0]["n"] else None

    def rewind(self, share: float) -> str | None:
        """Take the group back to a share of the way: what follows is delivered again, to workers that start anew."""
        if self.paused:
            return None
        self.note_metrics()
        for service in self.workers:
            service.terminate(grace_s=15)
        rewound = self._rewound(share)
        for service in self.workers:
            service.start()
        return f"{share:.0%}" if rewound else None

    def _rewound(self, share: float) -> bool:
        """Tried until Kafka is back and expects no member that was killed, which takes as long as a session."""
        deadline = time.monotonic() + REWIND_MAX_S
        while time.monotonic() < deadline:
            try:
                offsets = {number: max(1, int(end * share)) for number, end in ends(self._pipeline).items()}
                rewind_group(self._pipeline, self.group, offsets)
            except (OSError, KafkaError):
                time.sleep(1)
            else:
                return True
        return False

    def _while_up(self, ask: Callable[[], _T]) -> _T | None:
        try:
            return ask()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return None

    # -- what the workers counted -----------------------------------------------------------------------------------------

    def note_metrics(self) -> None:
        """Remember what the workers say, before some of them are ended and begin at 0."""
        for service in self.workers:
            process = None if service in self.paused else service._process.find()
            if process is not None and (found := fleet.metrics(service, _METRICS)):
                self._read[service.name, process.pid] = found

    def total(self, name: str) -> int:
        """The sum over all processes there were; what they counted after the last note is not in it."""
        return int(sum(found[name] for found in self._read.values()))
