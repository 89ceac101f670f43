"""The record log on Kafka: one active producer, watched, and replaced when it no longer makes progress.

`append` uses the active producer and fails at once while there is none in good state, so that nothing piles up while Kafka is
down. The supervisor is one task: connect, watch, replace, for ever. Replaced producers are closed in the background; requests
that still wait on one keep their own deadline.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from producer_gateway.errors import LogUnavailableError
from producer_gateway.kafka.producer import BoundedProducer
from producer_gateway.kafka.record_log import Message
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.settings import GatewaySettings
from servicekit.logs import Log, error_class

_RETRY_MIN_S: Final = 0.2
_RETRY_MAX_S: Final = 2.0
_LOG: Final = Log("gateway")

Connect = Callable[[GatewaySettings, GatewayMetrics], Awaitable[BoundedProducer]]


class KafkaRecordLog:
    """A RecordLog of one topic. Tests give a `connect` of their own."""

    def __init__(self, settings: GatewaySettings, metrics: GatewayMetrics, *, connect: Connect = BoundedProducer.connect) -> None:
        self._settings = settings
        self._metrics = metrics
        self._connect = connect
        # Probes as far apart as each may last: two fit in before silence counts as absence.
        self._probe_after_s = settings.unready_after_s / 3
        self._tick_s = settings.unready_after_s / 6
        self._producer: BoundedProducer | None = None
        self._reason: str | None = "kafka_unreachable"
        self._contact_at = 0.0
        self._supervisor: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """See RecordLog."""
        self._supervisor = asyncio.create_task(self._supervise(), name="producer-supervisor")

    async def append(self, messages: Sequence[Message], *, timeout_s: float) -> frozenset[int]:
        """See RecordLog."""
        reason, producer = self.unready(), self._producer
        if reason is not None or producer is None:
            raise LogUnavailableError(code=reason)
        return await producer.append(messages, timeout_s=timeout_s)

    def unready(self) -> str | None:
        """See RecordLog."""
        if self._producer is None or self._reason is not None:
            return self._reason or "producer_restarting"
        now, silence_max_s = _now(), self._settings.unready_after_s
        if now - self._seen_at(self._producer) > silence_max_s:
            return "kafka_unreachable"
        return "no_acks" if self._producer.watchdog.silence(now=now) > silence_max_s else None

    async def close(self) -> None:
        """See RecordLog."""
        self._reason = "closed"
        if self._supervisor is not None:
            self._supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervisor
        self._retire()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _supervise(self) -> None:
        delay_s = _RETRY_MIN_S
        while True:
            began = _now()
            self._reason = await self._one_producer()
            self._retire()
            if _now() - began > self._settings.replace_after_s:
                delay_s = _RETRY_MIN_S
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries, guards nothing
            delay_s = min(2 * delay_s, _RETRY_MAX_S)

    async def _one_producer(self) -> str:
        """Run one producer until it has to be replaced. The result is the reason that readiness gives meanwhile."""
        try:
            self._producer = await self._connect(self._settings, self._metrics)
            reason = await self._watch(self._producer)
        except Exception as error:  # noqa: BLE001 - whatever it is, a gateway without a supervisor would never heal
            _LOG.warning("kafka_connect_failed", error_class=error_class(error))
            return "kafka_unreachable"
        _LOG.warning("producer_replaced", reason=reason)
        self._metrics.producers_replaced.labels(reason).inc()
        return reason if reason == "kafka_unreachable" else "producer_restarting"

    async def _watch(self, producer: BoundedProducer) -> str:
        """Watch `producer`, and return the reason once it must be replaced."""
        self._contact_at = _now()
        self._reason = await self._probe(producer)
        _LOG.info("producer_connected", reason=self._reason)
        while (reason := self._hopeless(producer)) is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._tick_s):
                    await producer.broken.wait()
            if _now() - self._seen_at(producer) >= self._probe_after_s or self._reason is not None:
                self._reason = await self._probe(producer)
        return reason

    def _hopeless(self, producer: BoundedProducer) -> str | None:
        now = _now()
        if producer.broken.is_set():
            return "produce_error"
        if now - self._seen_at(producer) > self._settings.unready_after_s:
            return "kafka_unreachable"
        stuck_s = max(producer.watchdog.age(now=now), producer.watchdog.silence(now=now))
        return "no_acks" if stuck_s > self._settings.replace_after_s else None

    async def _probe(self, producer: BoundedProducer) -> str | None:
        reason = await producer.probe(timeout_s=self._settings.unready_after_s / 3)
        if reason == "kafka_unreachable":
            return self._reason  # one lost answer is no outage: `unready_after_s` without any contact is
        self._contact_at = _now()
        return reason

    def _retire(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            task = asyncio.create_task(producer.close(timeout_s=self._settings.flush_timeout_s))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _seen_at(self, producer: BoundedProducer) -> float:
        return max(self._contact_at, producer.watchdog.acked_at())


def _now() -> float:
    """As the producers take the time."""
    return asyncio.get_running_loop().time()
