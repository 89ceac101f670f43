"""The Faust app around the pipeline: a factory, no global app. The agent is thin: chunk in, `Ingest.put`, nothing else."""

import asyncio
from typing import Any, Final

import faust
from faust.types.tuples import TP

from stream_workers.credentials import credentials
from stream_workers.delivery import ChunkConsumer, ChunkScheduler, ChunkTransport
from stream_workers.ending import end_process
from stream_workers.ingest import Ingest
from stream_workers.ledger import Ledger
from stream_workers.settings import WorkerSettings

_NEVER_S: Final = 1e8
"""For Faust's max poll interval: past it the client leaves its group and never comes back (robinhood/faust#517)."""
_FETCH_BYTES: Final = 512 << 10
"""Of one partition in one fetch, as they lie in the log. zstd makes ten times as many of them, a hundred times of hostile ones,
and what was fetched of all partitions may be unpacked at once: 4 MiB made a worker of 12 partitions take 425 MiB."""
_POLL_RECORDS: Final = 4_000
"""Unpacked at once. Some chunks of 500, so that handing them out costs nothing; large records are bounded by the fetch."""


class _App(faust.App):  # type: ignore[misc]  # Faust is untyped to us
    """Faust's app without its folders: there are no tables to keep in them, and a worker may have nowhere to write."""

    def _create_directories(self) -> None:
        """Nothing."""


def create_app(settings: WorkerSettings, ingest: Ingest, ledger: Ledger) -> Any:  # noqa: ANN401 - faust.App, untyped to us
    """An app that hands chunks of the topic to `ingest`. Start and stop it like any mode service."""
    app = _App(
        settings.group,
        broker=[f"kafka://{server.strip()}" for server in settings.kafka_bootstrap.split(",")],
        broker_credentials=credentials(settings.kafka_security),
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        ConsumerScheduler=ChunkScheduler,
        broker_max_poll_records=_POLL_RECORDS,
        consumer_max_fetch_size=_FETCH_BYTES,
        consumer_group_instance_id=settings.instance,
        stream_buffer_maxsize=settings.buffer_max_chunks,
        stream_wait_empty=True,
        broker_commit_interval=0.5,
        broker_max_poll_interval=_NEVER_S,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 5,
        broker_request_timeout=30.0,
        broker_rebalance_timeout=60.0,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        web_enabled=False,
        worker_redirect_stdouts=False,
        processing_guarantee="at_least_once",
    )
    app.transport = _transport(app, ledger, ingest)
    topic = app.topic(settings.topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    async def ingest_chunks(stream: Any) -> None:  # noqa: ANN401 - Faust's stream
        try:
            async for event in stream.noack().events():
                await ingest.put(event.message)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - Faust would restart the agent and go on without what it held
            end_process(error)

    app.agent(topic, name="ingest")(ingest_chunks)
    return app


def _transport(app: Any, ledger: Ledger, ingest: Ingest) -> Any:  # noqa: ANN401 - Faust's transport
    class Transport(ChunkTransport):
        def create_consumer(self, callback: Any, **kwargs: Any) -> ChunkConsumer:  # noqa: ANN401 - Faust's signature
            consumer: ChunkConsumer = super().create_consumer(callback, **kwargs)
            consumer.positions = ledger
            ledger.earliest = consumer.earliest_offsets
            ingest.delivery = consumer
            return consumer

    return Transport(app.conf.broker_consumer, app)


def assigned(app: Any) -> list[TP]:  # noqa: ANN401 - faust.App
    """The partitions that this worker reads now."""
    return sorted(app.consumer.assignment()) if app.started and app.consumer.started else []
