"""A worker process: settings → parts → run until SIGTERM. `python -m stream_workers`."""

import asyncio
import gc
import os
import signal
import sys
import uuid
from contextlib import suppress
from typing import Any, Final

import uvicorn
from aiokafka.errors import KafkaError
from fastapi import FastAPI

from servicekit import loop_errors
from servicekit.health import health_router, metrics_router
from servicekit.logs import Log, configure, error_class
from servicekit.start import read_settings
from stream_workers.app import assigned, create_app
from stream_workers.asking import Question
from stream_workers.batch import Topic
from stream_workers.brake import PoisonBrake
from stream_workers.decode import Reader
from stream_workers.ending import EXIT_UNEXPECTED
from stream_workers.ingest import Ingest
from stream_workers.lease import Leases
from stream_workers.ledger import Ledger
from stream_workers.metrics import Metrics
from stream_workers.postgres import PostgresStore
from stream_workers.settings import WorkerSettings
from stream_workers.stuck import StuckDetector
from stream_workers.topic import find_topic
from stream_workers.topic_log import open_log
from stream_workers.topic_retention import Retention, RetentionGuard, find_retention
from stream_workers.watch import Watch
from stream_workers.write import Writer

_TOPIC_PAUSE_S: Final = 0.5
_log = Log("worker")


class Worker:
    """The parts of one process and how they hang together."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.app: Any = None
        self.owner = settings.instance or uuid.uuid4().hex[:12]
        self.retention = RetentionGuard(self._find_retention, self.metrics, alarm_share=settings.retention_alarm_share)
        self.store = PostgresStore(settings.postgres_dsn.get_secret_value(), transaction_timeout_s=settings.transaction_timeout_s)

    async def run(self, stop: asyncio.Event) -> int:
        """Work until `stop`; answers the exit code."""
        topic = await self._topic(stop)
        if topic is None:
            return 0
        ingest, watch = self._assemble(topic)
        pipeline = [asyncio.create_task(part.run()) for part in (ingest, watch, self.retention)]
        await self.app.start()
        _log.info("worker_started", topic=topic.name, topic_id=topic.id, owner=self.owner)
        crashed = asyncio.create_task(self.app.wait_until_stopped())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({crashed, stopping}, return_when=asyncio.FIRST_COMPLETED)
        code = 0 if stop.is_set() else EXIT_UNEXPECTED
        await self._stop(code, [*pipeline, crashed, stopping])
        return code

    async def readiness(self) -> str | None:
        """Ready once Kafka has given this process its place in the group."""
        if self.app is None:
            return "topic_not_found"
        if not self.app.started or self.app.rebalancing:
            return "joining_group"
        return None if assigned(self.app) or self.app.unassigned else "joining_group"

    def _assemble(self, topic: Topic) -> tuple[Ingest, Watch]:
        settings = self.settings
        brake = PoisonBrake(max_share=settings.dead_letter_max_share, max_in_a_row=settings.dead_letter_max_in_a_row)
        leases = Leases(self.store, topic, self.metrics, owner=self.owner)
        ledger = Ledger(self.store, topic, leases, first_record=self._first_record)
        writer = Writer(self.store, topic, self.metrics, retry_max_s=settings.retry_max_s, brake=brake, leases=leases)
        key = settings.dead_letter_key
        ingest = Ingest(
            writer,
            Reader(key.get_secret_value().encode() if key else None),
            ledger,
            self.metrics,
            batch_max_rows=settings.batch_max_rows,
            batch_max_wait_s=settings.batch_max_wait_s,
            buffer_max_chunks=settings.buffer_max_chunks,
        )
        self.app = create_app(settings, ingest, ledger)
        question = Question(settings.postgres_dsn.get_secret_value(), topic)
        stuck = StuckDetector(question.ask, after_s=settings.stuck_after_s, progress=lambda: writer.progress)
        watch = Watch(
            self.app,
            self.metrics,
            stuck=stuck,
            leases=leases,
            retention=self.retention,
            fenced_max_s=settings.stuck_after_s,
        )
        return ingest, watch

    async def _find_retention(self) -> Retention:
        security = self.settings.kafka_security.aiokafka_arguments()
        return await find_retention(self.settings.kafka_bootstrap, self.settings.topic, **security)

    async def _first_record(self, partition: int, start: int, end: int) -> int:
        async with open_log(self.settings.kafka_bootstrap, self.settings.topic, self.settings.kafka_security) as log:
            return await log.first_record(partition, start, end)

    async def _topic(self, stop: asyncio.Event) -> Topic | None:
        """The topic, waited for as long as it takes; None when told to stop meanwhile."""
        while not stop.is_set():
            try:
                security = self.settings.kafka_security.aiokafka_arguments()
                topic = await find_topic(self.settings.kafka_bootstrap, self.settings.topic, **security)
            except (KafkaError, OSError) as error:
                _log.warning("kafka_away", error_class=error_class(error))
            else:
                if topic is not None:
                    return topic
                _log.warning("topic_not_found", topic=self.settings.topic)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stop.wait(), _TOPIC_PAUSE_S)
        return None

    async def _stop(self, code: int, tasks: list[asyncio.Task[Any]]) -> None:
        _log.info("worker_stopping", code=code)
        try:
            # Faust waits without limit for what is in flight; with the store away that would be for ever.
            await asyncio.wait_for(self.app.stop(), self.settings.stop_grace_s)
        except TimeoutError:
            _log.warning("stop_grace_over", grace_s=self.settings.stop_grace_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.store.close()


def _spare_the_collector() -> None:
    """Rows are tuples by the ten thousand that live for a second: looking for cycles among them all the time finds none."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def serve(settings: WorkerSettings) -> int:
    """Run the worker and its health pages until SIGTERM or SIGINT."""
    worker, stop = Worker(settings), asyncio.Event()
    pages = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    pages.include_router(health_router(readiness=worker.readiness))
    pages.include_router(metrics_router(worker.metrics.registry))
    config = uvicorn.Config(pages, host=settings.host, port=settings.port, access_log=False, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # the signals are the worker's
    serving = asyncio.create_task(server._serve())  # noqa: SLF001 - `serve` would take the signals for itself
    loop_errors.report_to(_log)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    code = await worker.run(stop)
    server.should_exit = True
    await serving
    return code


def main() -> int:
    """Entry point. Answers the exit code: 0 told to stop, 65 poison, 70 unexpected, 71 stuck, 76 fenced off.

    Ends the process with 78 where its settings are unsound.
    """
    settings = read_settings(WorkerSettings)
    configure(settings.log_level)
    _spare_the_collector()
    return asyncio.run(serve(settings))


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # Faust leaves threads behind that would keep a finished process alive
