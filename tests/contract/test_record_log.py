"""What every record log promises, on the fake and on real Kafka. See `producer_gateway.kafka.record_log.RecordLog`."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from producer_gateway.errors import LogUnavailableError
from producer_gateway.kafka.kafka_record_log import KafkaRecordLog
from producer_gateway.kafka.record_log import Message, RecordLog
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog

pytestmark = pytest.mark.anyio
TIMEOUT_S = 10.0
MESSAGE_MAX_BYTES = 50_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class MemorySubject:
    """The fake, and how to look into it."""

    def __init__(self) -> None:
        self.log = MemoryRecordLog(message_max_bytes=MESSAGE_MAX_BYTES)

    async def read(self, count: int) -> list[Message]:
        """All messages, of which there must be `count`."""
        assert len(self.log.messages) == count
        return self.log.messages

    def away(self) -> RecordLog:
        """A log that is not there."""
        log = MemoryRecordLog()
        log.stopped = True
        return log


class KafkaSubject:
    """The real one on a topic of its own, and how to look into it."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.topic = f"contract-{uuid.uuid4()}"
        self.log = self._log(bootstrap)

    def _log(self, bootstrap: str) -> KafkaRecordLog:
        settings = GatewaySettings(kafka_bootstrap=bootstrap, topic=self.topic, record_max_bytes=MESSAGE_MAX_BYTES)
        return KafkaRecordLog(settings, GatewayMetrics())

    async def create_topic(self) -> None:
        """Three partitions, so that keys are spread."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(self.topic, num_partitions=3, replication_factor=1)])
        finally:
            await admin.close()

    async def read(self, count: int) -> list[Message]:
        """All messages, of which there must be `count`."""
        consumer = AIOKafkaConsumer(self.topic, bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                found = [await consumer.getone() for _ in range(count)]
        finally:
            await consumer.stop()
        return [Message(each.key, each.value) for each in found]

    def away(self) -> RecordLog:
        """A log that is not there."""
        return self._log("127.0.0.1:1")


Subject = MemorySubject | KafkaSubject


@pytest.fixture(params=["memory", "kafka"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    subject: Subject
    if request.param == "memory":
        subject = MemorySubject()
    else:
        subject = KafkaSubject(request.getfixturevalue("kafka_bootstrap"))
        await subject.create_topic()
    await subject.log.start()
    await until(lambda: subject.log.unready() is None)
    yield subject
    await subject.log.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - what other tasks bring about sets no event for us
            await asyncio.sleep(0.01)


def messages(*keys: str) -> list[Message]:
    return [Message(key.encode(), f"{key}-{place}".encode()) for place, key in enumerate(keys)]


async def test_what_was_appended_is_there(subject: Subject) -> None:
    """Once append has returned, every message can be read, in order under each key."""
    sent = messages("a", "b", "a", "c", "b", "a")
    assert await subject.log.append(sent, timeout_s=TIMEOUT_S) == frozenset()
    read = await subject.read(len(sent))
    assert sorted(read) == sorted(sent)
    assert _by_key(read) == _by_key(sent)


def _by_key(found: list[Message]) -> dict[bytes, list[bytes]]:
    by_key = defaultdict(list)
    for message in found:
        by_key[message.key].append(message.value)
    return by_key


async def test_too_large_is_refused_alone(subject: Subject) -> None:
    """A message that can never be durable is named by its position; the others are durable."""
    good = messages("a", "b")
    large = Message(b"c", b"x" * (MESSAGE_MAX_BYTES + 1))
    assert await subject.log.append([good[0], large, good[1]], timeout_s=TIMEOUT_S) == frozenset({1})
    assert sorted(await subject.read(2)) == sorted(good)
    assert subject.log.unready() is None


async def test_the_largest_allowed(subject: Subject) -> None:
    """A message of the largest size, that no compression helps, is durable."""
    message = Message(b"a", uuid.uuid4().bytes * (MESSAGE_MAX_BYTES // 16))
    assert await subject.log.append([message], timeout_s=TIMEOUT_S) == frozenset()
    assert await subject.read(1) == [message]


async def test_many_at_once(subject: Subject) -> None:
    """Appends of many callers at once are all durable."""
    sent = [messages(f"k{caller % 7}", f"k{caller % 5}") for caller in range(200)]
    answers = await asyncio.gather(*(subject.log.append(each, timeout_s=TIMEOUT_S) for each in sent))
    assert set(answers) == {frozenset()}
    assert sorted(await subject.read(400)) == sorted(message for each in sent for message in each)


async def test_nothing_to_append(subject: Subject) -> None:
    """No messages are durable at once."""
    assert await subject.log.append([], timeout_s=TIMEOUT_S) == frozenset()


async def test_closed(subject: Subject) -> None:
    """A closed log is not ready and takes nothing."""
    await subject.log.close()
    assert subject.log.unready() == "closed"
    with pytest.raises(LogUnavailableError):
        await subject.log.append(messages("a"), timeout_s=TIMEOUT_S)


async def test_away(subject: Subject) -> None:
    """A log that is not there starts all the same, says that it is not ready, takes nothing, and closes."""
    log = subject.away()
    await log.start()
    assert log.unready() == "kafka_unreachable"
    with pytest.raises(LogUnavailableError):
        await log.append(messages("a"), timeout_s=TIMEOUT_S)
    await log.close()
