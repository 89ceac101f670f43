"""One aiokafka producer with every await bounded. The only module that touches aiokafka, and the only one to know its traps.

Found by reading aiokafka 0.14.0 (tests/contract/test_record_log_internals.py pins what is relied on):

- With idempotence a sent batch never expires, `send_batch` waits for metadata and for the partition's earlier batch, `flush` and
  `stop` wait for all of it: each may last for ever, so each runs under a timeout of ours.
- A batch that fails has used up its sequence numbers: the partition then answers OUT_OF_ORDER_SEQUENCE to all that follow. So
  any error that is not retried inside the client ends this producer (`broken`), and the record log makes another.
- `stop` waits for a task that cancelling it does not end, so its steps are taken one by one here.
- Cancelling never reaches records that were queued; they may arrive later. That is allowed: outcome unknown, ids dedupe.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    UnknownTopicOrPartitionError,
)

from producer_gateway.errors import LogUnavailableError
from producer_gateway.kafka.ack_watchdog import AckWatchdog
from producer_gateway.kafka.partition_batcher import BatchAck, Linger, PartitionBatcher, settle
from producer_gateway.kafka.partitioner import partition_of
from producer_gateway.kafka.record_log import Message
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.settings import GatewaySettings
from servicekit.logs import error_class

_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)
_NEVER_QUEUED: Final = (KafkaTimeoutError, UnknownTopicOrPartitionError)
_LET_GO_S: Final = 1.0


class BoundedProducer:
    """A started producer of one topic. Once `broken` is set it should be replaced; it is never repaired."""

    def __init__(self, producer: Any, settings: GatewaySettings, metrics: GatewayMetrics) -> None:  # noqa: ANN401 - aiokafka is untyped
        self._producer = producer
        self._topic = settings.topic
        self._record_max_bytes = settings.record_max_bytes
        self._batchers: dict[int, PartitionBatcher] = {}
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._linger = Linger(settings.linger_ms / 1_000)
        self.watchdog = AckWatchdog(now=self._loop.time())
        self.broken = asyncio.Event()

    @classmethod
    async def connect(cls, settings: GatewaySettings, metrics: GatewayMetrics) -> Self:
        """A producer that has found its cluster and its producer id. Raises KafkaError, OSError, TimeoutError."""
        # Slightly less than a request may take, so that a hung connection is dropped before its second request hangs on it.
        timeout_s = 0.8 * settings.request_deadline_s
        producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka_bootstrap,
            client_id="agenttracer-gateway",
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            max_batch_size=settings.batch_max_bytes,
            request_timeout_ms=int(1_000 * timeout_s),
            **settings.kafka_security.aiokafka_arguments(),
        )
        bounded = cls(producer, settings, metrics)
        try:
            async with asyncio.timeout(2 * timeout_s):
                await producer.start()
        except BaseException:
            await bounded.close(timeout_s=_LET_GO_S)
            raise
        return bounded

    async def append(self, messages: Sequence[Message], *, timeout_s: float) -> frozenset[int]:
        """As RecordLog.append."""
        since = self._loop.time()
        deadline = since + timeout_s
        refused = {at for at, each in enumerate(messages) if len(each.value) > self._record_max_bytes}
        outcomes: dict[BatchAck, list[int]] = {}
        token = object()
        self.watchdog.begin(token, since=since)
        try:
            await self._put(messages, refused, outcomes, deadline=deadline)
            if outcomes:
                await settle(outcomes, timeout_s=deadline - self._loop.time())
        except TimeoutError:
            self.watchdog.failed(since=since)
            raise LogUnavailableError from None
        except Exception as error:  # noqa: BLE001 - the client fails with its own asserts too; the promise names one error
            self._note(error)
            raise LogUnavailableError from None
        finally:
            self.watchdog.end(token)
        return frozenset(refused | self._refused(outcomes))

    async def _put(
        self, messages: Sequence[Message], refused: set[int], outcomes: dict[BatchAck, list[int]], *, deadline: float
    ) -> None:
        partitions = await self._partitions(deadline=deadline)
        for at, message in enumerate(messages):
            if at in refused:
                continue
            batcher = self._batcher(partition_of(message.key, partitions))
            while (outcome := batcher.put(message)) is None:
                await batcher.room(deadline=deadline)
            outcomes.setdefault(outcome, []).append(at)

    async def _partitions(self, *, deadline: float) -> int:
        known = self._producer.client.cluster.partitions_for_topic(self._topic)
        if known is None:
            async with asyncio.timeout_at(deadline):
                known = await self._producer.partitions_for(self._topic)
        return len(known)

    def _batcher(self, partition: int) -> PartitionBatcher:
        batcher = self._batchers.get(partition)
        if batcher is None:
            batcher = PartitionBatcher(
                self._producer, topic=self._topic, partition=partition, linger=self._linger, watch=self._watch
            )
            self._batchers[partition] = batcher
        return batcher

    def _watch(self, outcome: BatchAck) -> None:
        """Watch a batch, whether or not a request still waits for it."""
        self.watchdog.begin(outcome, since=self._loop.time())
        outcome.add_done_callback(self._came)

    def _came(self, outcome: BatchAck) -> None:
        self.watchdog.end(outcome)
        error = outcome.exception()
        if error is None:
            self.watchdog.acked(now=self._loop.time())
        else:
            self._note(error)

    def _refused(self, outcomes: dict[BatchAck, list[int]]) -> set[int]:
        """Positions that can never be appended. Raises LogUnavailableError when anything else failed."""
        errors = [(positions, error) for outcome, positions in outcomes.items() if (error := outcome.exception()) is not None]
        if any(not isinstance(error, _TOO_LARGE) for _, error in errors):
            raise LogUnavailableError
        return {at for positions, _ in errors for at in positions}

    def _note(self, error: BaseException) -> None:
        self._metrics.produce_errors.labels(error_class(error)).inc()
        # The client retries what it can, for ever. An error that leaves it has cost sequence numbers, or cannot be mended.
        if not isinstance(error, _NEVER_QUEUED):
            self.broken.set()

    async def probe(self, *, timeout_s: float) -> str | None:
        """None when Kafka answers and has the topic, else what is wrong, as a code."""
        try:
            async with asyncio.timeout(timeout_s):
                cluster = await self._producer.client.fetch_all_metadata()
        except (KafkaError, OSError, TimeoutError):
            return "kafka_unreachable"
        if cluster.partitions_for_topic(self._topic) is None:
            return "topic_missing"
        return None if cluster.available_partitions_for_topic(self._topic) else "topic_without_leader"

    async def close(self, *, timeout_s: float) -> None:
        """Let what was sent arrive for `timeout_s`, then let go of it. Never raises, ends within `timeout_s` and 2 s."""
        await _bounded(self._flush(), timeout_s)
        for batcher in self._batchers.values():
            batcher.close()
        await _bounded(self._producer._sender.close(), _LET_GO_S)  # noqa: SLF001 - what `stop` does, without its waits
        await _bounded(self._producer.client.close(), _LET_GO_S)
        self._producer._closed = True  # noqa: SLF001 - as `stop` marks it; else it complains when it is collected

    async def _flush(self) -> None:
        await asyncio.gather(*(batcher.empty() for batcher in self._batchers.values()))


async def _bounded(ending: Awaitable[None], timeout_s: float) -> None:
    # A broken client may fail with anything while it ends, and all of it means the same here: it is given up.
    with suppress(Exception):
        async with asyncio.timeout(timeout_s):
            await ending
