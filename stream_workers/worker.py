"""The parts of one worker process, made in the order in which they need each other, and their life from start to stop."""

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.errors import KafkaError

from servicekit.logs import Log, error_class
from stream_workers.abort import EXIT_CONFIG, EXIT_UNEXPECTED
from stream_workers.app import create_app, read_topic
from stream_workers.errors import StoreAccessError, TransientStoreError
from stream_workers.health.monitor import Monitor
from stream_workers.health.receipts import Receipts
from stream_workers.health.stall_detector import StallDetector
from stream_workers.health.store_probe import StoreProbe
from stream_workers.kafka.app_consumer import AppConsumer
from stream_workers.kafka.topic_identity import find_topic
from stream_workers.kafka.topic_log import TopicLog, open_log
from stream_workers.kafka.topic_retention import Retention, RetentionGuard, find_retention
from stream_workers.metrics import WorkerMetrics
from stream_workers.pipeline.dead_letter_limit import DeadLetterLimit
from stream_workers.pipeline.decode import RecordDecoder
from stream_workers.pipeline.pipeline import IngestPipeline
from stream_workers.pipeline.start_offsets import StartOffsets
from stream_workers.pipeline.writer import Writer
from stream_workers.rollups.compactor import Compactor
from stream_workers.settings import WorkerSettings
from stream_workers.store.batch import Topic
from stream_workers.store.lease import Leases
from stream_workers.store.postgres import PostgresStore

_TOPIC_PAUSE_S: Final = 0.5
_log = Log("worker")


@dataclass(frozen=True)
class _Parts:
    """The parts that need a topic. The app starts last and stops first."""

    app: Any
    consumer: AppConsumer
    pipeline: IngestPipeline
    monitor: Monitor
    receipts: Receipts


class Worker:
    """One worker. `run` it once."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._dsn = settings.postgres_dsn.get_secret_value()
        self._owner = settings.instance or uuid.uuid4().hex[:12]
        self.metrics = WorkerMetrics()
        self._retention = RetentionGuard(self._find_retention, self.metrics, alarm_share=settings.retention_alarm_share)
        self._store = PostgresStore(self._dsn, transaction_timeout_s=settings.transaction_timeout_s)
        self._parts: _Parts | None = None
        """None until the topic is found: until then the worker is not ready."""

    async def run(self, stop: asyncio.Event) -> int:
        """Work until `stop`; returns the exit code."""
        topic = await self._topic(stop)
        if topic is None:
            return 0
        if not await self._may_use_store(topic):
            return EXIT_CONFIG
        parts = self._parts = self._assemble(topic)
        lives = [parts.pipeline.run(), parts.monitor.run(), self._retention.run(), parts.receipts.run()]
        lives += [one.run() for one in self._spare_time()]
        tasks = [asyncio.create_task(life) for life in lives]
        await parts.app.start()
        _log.info("worker_started", topic=topic.name, topic_id=topic.id, owner=self._owner)
        crashed = asyncio.create_task(parts.app.wait_until_stopped())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({crashed, stopping}, return_when=asyncio.FIRST_COMPLETED)
        code = 0 if stop.is_set() else EXIT_UNEXPECTED
        await self._stop(code, parts.app, [*tasks, crashed, stopping])
        return code

    async def readiness(self) -> str | None:
        """None once Kafka has given this process its place in the group, else why not, as a code."""
        if self._parts is None:
            return "topic_not_found"
        if self._parts.pipeline.parked is not None:
            return f"parked_{self._parts.pipeline.parked}"
        app = self._parts.app
        if not app.started or app.rebalancing:
            return "joining_group"
        return None if self._parts.consumer.assigned() or app.unassigned else "joining_group"

    def _assemble(self, topic: Topic) -> _Parts:
        settings = self._settings
        app = create_app(settings)
        consumer = AppConsumer(app)
        leases = Leases(self._store, topic, self.metrics, owner=self._owner)
        start_offsets = StartOffsets(
            self._store, topic, leases, first_record=self._first_record, earliest=consumer.earliest_offset
        )
        writer = self._writer(topic, leases)
        key = settings.dead_letter_key
        pipeline = IngestPipeline(
            writer,
            RecordDecoder(key.get_secret_value().encode() if key else None),
            consumer,
            start_offsets,
            self.metrics,
            batch_max_rows=settings.batch_max_rows,
            batch_max_wait_s=settings.batch_max_wait_s,
            buffer_max_chunks=settings.buffer_max_chunks,
            buffer_max_bytes=settings.buffer_max_bytes,
            exit_on_dead_letters=settings.dead_letter_exit,
        )
        read_topic(app, settings.topic, pipeline=pipeline, assignments=start_offsets)
        receipts = Receipts(self._dsn, topic, consumer, self._log_of_topic, margin_s=settings.complete_margin_s)
        return _Parts(app, consumer, pipeline, self._monitor(topic, consumer, writer, leases, pipeline), receipts)

    def _spare_time(self) -> Sequence[Compactor]:
        every_s = self._settings.compact_every_s
        return [Compactor(self._dsn, self.metrics, every_s=every_s)] if every_s else []

    def _writer(self, topic: Topic, leases: Leases) -> Writer:
        settings = self._settings
        limit = DeadLetterLimit(
            max_share=settings.dead_letter_max_share,
            max_in_a_row=settings.dead_letter_max_in_a_row,
            max_projects=settings.dead_letter_max_projects,
            park_s=settings.dead_letter_park_s,
        )
        return Writer(self._store, topic, self.metrics, retry_max_s=settings.retry_max_s, limit=limit, leases=leases)

    def _monitor(self, topic: Topic, consumer: AppConsumer, writer: Writer, leases: Leases, pipeline: IngestPipeline) -> Monitor:
        after_s = self._settings.stuck_after_s
        probe = StoreProbe(self._dsn, topic)
        return Monitor(
            consumer,
            self.metrics,
            stalls=StallDetector(probe.ask, after_s=after_s, progress=lambda: writer.progress),
            leases=leases,
            retention=self._retention,
            fenced_max_s=after_s,
            is_parked=lambda: pipeline.parked is not None,
        )

    async def _may_use_store(self, topic: Topic) -> bool:
        """False, with a line in the log, where the store refuses this worker. One that is away is waited for later."""
        try:
            await StoreProbe(self._dsn, topic).ask()
        except TransientStoreError as error:
            _log.warning("store_away", reason=error.reason)
        except StoreAccessError as error:
            _log.error("store_access_refused", reason=error.fault, sqlstate=error.code)
            return False
        return True

    async def _find_retention(self) -> Retention:
        security = self._settings.kafka_security.aiokafka_arguments()
        return await find_retention(self._settings.kafka_bootstrap, self._settings.topic, **security)

    async def _first_record(self, partition: int, start: int, end: int) -> int:
        async with self._log_of_topic() as log:
            return await log.first_record(partition, start, end)

    def _log_of_topic(self) -> AbstractAsyncContextManager[TopicLog]:
        return open_log(self._settings.kafka_bootstrap, self._settings.topic, self._settings.kafka_security)

    async def _topic(self, stop: asyncio.Event) -> Topic | None:
        """The topic, for which this waits as long as it takes; None when `stop` comes first."""
        while not stop.is_set():
            try:
                security = self._settings.kafka_security.aiokafka_arguments()
                topic = await find_topic(self._settings.kafka_bootstrap, self._settings.topic, **security)
            except (KafkaError, OSError) as error:
                _log.warning("kafka_away", error_class=error_class(error))
            else:
                if topic is not None:
                    return topic
                _log.warning("topic_not_found", topic=self._settings.topic)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stop.wait(), _TOPIC_PAUSE_S)
        return None

    async def _stop(self, code: int, app: Any, tasks: list[asyncio.Task[Any]]) -> None:  # noqa: ANN401 - faust.App
        _log.info("worker_stopping", code=code)
        try:
            # Faust waits without limit for what is in flight; with the store away that would be for ever.
            await asyncio.wait_for(app.stop(), self._settings.stop_grace_s)
        except TimeoutError:
            _log.warning("stop_grace_over", grace_s=self._settings.stop_grace_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._store.close()
