"""The supervisor: which producer is in charge, when it is replaced, what readiness says meanwhile. With producers of the test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NoReturn

import pytest

from producer_gateway.errors import LogUnavailableError
from producer_gateway.kafka.ack_watchdog import AckWatchdog
from producer_gateway.kafka.kafka_record_log import KafkaRecordLog
from producer_gateway.kafka.record_log import Message
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.settings import GatewaySettings

pytestmark = pytest.mark.anyio
MESSAGE = Message(b"k", b"v")
FAST = {
    "receive_timeout_s": 0.1,
    "request_deadline_s": 0.3,
    "unready_after_s": 0.2,
    "replace_after_s": 0.4,
    "flush_timeout_s": 0.1,
}


class FakeProducer:
    """Stands in for BoundedProducer."""

    def __init__(self) -> None:
        self.watchdog = AckWatchdog(now=asyncio.get_running_loop().time())
        self.broken = asyncio.Event()
        self.answer: str | None = None
        self.appended: list[Message] = []
        self.closed = False

    async def append(self, messages: Sequence[Message], *, timeout_s: float) -> frozenset[int]:
        """Everything is durable."""
        self.appended.extend(messages)
        return frozenset()

    async def probe(self, *, timeout_s: float) -> str | None:
        """Whatever the test says."""
        return self.answer

    async def close(self, *, timeout_s: float) -> None:
        """At once."""
        self.closed = True


class Cluster:
    """Hands out producers, or fails to."""

    def __init__(self) -> None:
        self.producers: list[FakeProducer] = []
        self.up = True
        self.attempts = 0

    async def connect(self, _settings: GatewaySettings, _metrics: GatewayMetrics) -> "FakeProducer":
        """As BoundedProducer.connect."""
        self.attempts += 1
        if not self.up:
            raise OSError
        self.producers.append(FakeProducer())
        return self.producers[-1]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def log(cluster: Cluster, metrics: GatewayMetrics) -> AsyncIterator[KafkaRecordLog]:
    log = KafkaRecordLog(GatewaySettings(**FAST), metrics, connect=cluster.connect)
    await log.start()
    yield log
    await log.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what other tasks bring about sets no event for us
            await asyncio.sleep(0.005)


async def test_connected(log: KafkaRecordLog, cluster: Cluster) -> None:
    """Once connected the log is ready, and appends go to the producer in charge."""
    await until(lambda: log.unready() is None)
    await log.append([MESSAGE], timeout_s=1)
    assert cluster.producers[0].appended == [MESSAGE]


@pytest.fixture
def away(cluster: Cluster) -> None:
    cluster.up = False


async def test_kafka_away_at_start(away: None, log: KafkaRecordLog, cluster: Cluster) -> None:
    """Without Kafka appends fail at once; the supervisor keeps trying and heals by itself."""
    await until(lambda: cluster.attempts >= 2)
    assert log.unready() == "kafka_unreachable"
    with pytest.raises(LogUnavailableError):
        await log.append([MESSAGE], timeout_s=1)
    cluster.up = True
    await until(lambda: log.unready() is None)


async def test_broken_producer_is_replaced(log: KafkaRecordLog, cluster: Cluster, metrics: GatewayMetrics) -> None:
    """A producer that broke is replaced and closed; readiness is red in between."""
    await until(lambda: log.unready() is None)
    cluster.up = False
    cluster.producers[0].broken.set()
    await until(lambda: log.unready() is not None)
    await until(lambda: cluster.producers[0].closed)
    cluster.up = True
    await until(lambda: log.unready() is None)
    await log.append([MESSAGE], timeout_s=1)
    assert (cluster.producers[0].appended, cluster.producers[-1].appended) == ([], [MESSAGE])
    count = metrics.registry.get_sample_value
    assert count("agenttracer_gateway_producers_replaced_total", {"reason": "produce_error"}) == 1


async def test_lost_contact(log: KafkaRecordLog, cluster: Cluster, metrics: GatewayMetrics) -> None:
    """A cluster that no longer answers makes the log unready, and a new producer is sought by the bootstrap addresses."""
    await until(lambda: log.unready() is None)
    cluster.producers[0].answer = "kafka_unreachable"
    await until(lambda: log.unready() == "kafka_unreachable")
    await until(lambda: len(cluster.producers) > 1 and log.unready() is None)
    count = metrics.registry.get_sample_value
    assert count("agenttracer_gateway_producers_replaced_total", {"reason": "kafka_unreachable"}) == 1


async def test_no_acks(log: KafkaRecordLog, cluster: Cluster, metrics: GatewayMetrics) -> None:
    """A record that gets no acknowledgement turns readiness red, then costs the producer its place."""
    await until(lambda: log.unready() is None)
    cluster.producers[0].watchdog.begin("record", since=asyncio.get_running_loop().time())
    await until(lambda: log.unready() == "no_acks")
    await until(lambda: len(cluster.producers) > 1 and log.unready() is None)
    count = metrics.registry.get_sample_value
    assert count("agenttracer_gateway_producers_replaced_total", {"reason": "no_acks"}) == 1


async def test_one_wedged_partition(log: KafkaRecordLog, cluster: Cluster) -> None:
    """A record without outcome costs the producer its place even while others are acknowledged."""
    await until(lambda: log.unready() is None)
    first, now = cluster.producers[0], asyncio.get_running_loop().time
    first.watchdog.begin("record", since=now())

    def ack_others() -> bool:
        first.watchdog.acked(now=now())
        return len(cluster.producers) > 1

    await until(ack_others)


async def test_topic_missing(log: KafkaRecordLog, cluster: Cluster) -> None:
    """Without the topic the log is not ready, keeps its producer, and is ready when the topic is there."""
    await until(lambda: log.unready() is None)
    cluster.producers[0].answer = "topic_missing"
    await until(lambda: log.unready() == "topic_missing")
    cluster.producers[0].answer = None
    await until(lambda: log.unready() is None)
    assert len(cluster.producers) == 1


async def test_close(log: KafkaRecordLog, cluster: Cluster) -> None:
    """Closing closes the producer in charge and ends the supervisor."""
    await until(lambda: log.unready() is None)
    await log.close()
    assert (cluster.producers[-1].closed, log.unready()) == (True, "closed")


async def test_supervisor_outlives_anything(log: KafkaRecordLog, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody thought of costs a producer its place, not the supervisor its life."""
    await until(lambda: log.unready() is None)

    async def probe(*, timeout_s: float) -> NoReturn:
        raise AssertionError

    monkeypatch.setattr(cluster.producers[0], "probe", probe)
    await until(lambda: len(cluster.producers) > 1 and log.unready() is None)
    assert cluster.producers[0].closed
