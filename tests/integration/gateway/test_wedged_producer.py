"""Real Kafka refuses the idempotent producer's sequence numbers for ever; the log heals by a new producer, without a restart."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from producer_gateway.errors import LogUnavailableError
from producer_gateway.kafka_log import KafkaLog
from producer_gateway.metrics import Metrics
from producer_gateway.record_log import Message
from producer_gateway.settings import GatewaySettings

pytestmark = pytest.mark.anyio
TIMEOUT_S = 20.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def log(kafka_bootstrap: str, metrics: Metrics) -> AsyncIterator[KafkaLog]:
    topic = f"wedge-{uuid.uuid4()}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        # Small enough for the broker to refuse what the gateway takes for small enough.
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"max.message.bytes": "20000"})])
    finally:
        await admin.close()
    log = KafkaLog(GatewaySettings(kafka_bootstrap=kafka_bootstrap, topic=topic), metrics)
    await log.start()
    await until(lambda: log.unready() is None)
    yield log
    await log.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - what other tasks bring about sets no event for us
            await asyncio.sleep(0.01)


async def append_until_acknowledged(log: KafkaLog, message: Message) -> None:
    """As a client does: the same again after every 503."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            try:
                await log.append([message], timeout_s=5)
            except LogUnavailableError:
                await asyncio.sleep(0.05)
            else:
                return


def replaced(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("agenttracer_gateway_producers_replaced_total", {"reason": "produce_error"})


async def test_sequence_with_a_hole(log: KafkaLog, metrics: Metrics) -> None:
    """A producer whose sequence has a hole is refused by the broker; the caller hears LogUnavailable, and soon all is well."""
    message = Message(b"k", b"v")
    await log.append([message], timeout_s=5)
    assert log._producer is not None
    transactions = log._producer._producer._txn_manager
    transactions.increment_sequence_number(TopicPartition(log._settings.topic, 0), 5)
    with pytest.raises(LogUnavailableError):
        await log.append([message], timeout_s=5)
    await append_until_acknowledged(log, message)
    assert replaced(metrics) == 1


async def test_broker_refuses_a_size(log: KafkaLog, metrics: Metrics) -> None:
    """A record too large for the broker is refused by position, and what comes after it is accepted."""
    large = Message(b"k", uuid.uuid4().bytes + b"".join(uuid.uuid4().bytes for _ in range(2_500)))
    assert await log.append([large], timeout_s=5) == frozenset({0})
    await append_until_acknowledged(log, Message(b"k", b"v"))
    assert replaced(metrics) == 1
