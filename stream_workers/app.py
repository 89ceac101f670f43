"""The Faust app around the pipeline: a factory, no global app. The agent is thin: it hands chunks to `IngestPipeline.put`."""

import asyncio
from typing import Any, Final

import faust

from servicekit.kafka import KafkaSecurity
from stream_workers.abort import end_process
from stream_workers.kafka.chunks import ChunkScheduler
from stream_workers.kafka.faust_consumer import AssignmentHandler, ChunkTransport
from stream_workers.pipeline.pipeline import IngestPipeline
from stream_workers.settings import WorkerSettings

_NEVER_S: Final = 1e8
"""For Faust's max poll interval: past it the client leaves its group and never comes back (robinhood/faust#517)."""
_FETCH_BYTES: Final = 512 << 10
"""Of one partition in one fetch, as they lie in the log. How much of it is unpacked at once is bounded by `faust_consumer`."""
_POLL_RECORDS: Final = 4_000
"""Handed out at once. Some chunks of 500, so that it costs nothing; large records are bounded by their bytes."""


class _App(faust.App):  # type: ignore[misc]  # Faust is untyped to us
    """Faust's app without its folders: there are no tables to keep in them, and a worker may have no writable disk."""

    def _create_directories(self) -> None:
        """Nothing."""


def create_app(settings: WorkerSettings) -> Any:  # noqa: ANN401 - faust.App, untyped to us
    """An app that reads nothing yet; `read_topic` gives it its agent. Start and stop it like any mode service."""
    return _App(
        settings.group,
        broker=[f"kafka://{server.strip()}" for server in settings.kafka_bootstrap.split(",")],
        broker_credentials=_credentials(settings.kafka_security),
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


def read_topic(app: Any, topic: str, *, pipeline: IngestPipeline, assignments: AssignmentHandler) -> None:  # noqa: ANN401 - faust.App
    """Make the app hand the chunks of the topic to `pipeline`, read from where `assignments` says. Call it before the start."""
    app.transport = ChunkTransport(app.conf.broker_consumer, app, assignments=assignments)
    found = app.topic(topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    async def ingest_chunks(stream: Any) -> None:  # noqa: ANN401 - Faust's stream
        try:
            async for event in stream.noack().events():
                await pipeline.put(event.message)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - Faust would restart the agent and go on without what it held
            end_process(error)

    app.agent(found, name="ingest")(ingest_chunks)


def _credentials(security: KafkaSecurity) -> Any:  # noqa: ANN401 - faust.Credentials, untyped to us
    """Faust's credentials; None for plaintext. Reads the certificate files: raises OSError, ssl.SSLError."""
    arguments = security.aiokafka_arguments()
    context = arguments.get("ssl_context")
    if "sasl_mechanism" in arguments:
        return faust.SASLCredentials(
            username=arguments["sasl_plain_username"],
            password=arguments["sasl_plain_password"],
            mechanism=arguments["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)
