"""One producer whose aiokafka part is the test's: what each outcome of a record means, and that no await is unbounded."""

import asyncio
from collections.abc import Callable

import pytest
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotEnoughReplicasError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
)

from producer_gateway.errors import LogUnavailableError
from producer_gateway.kafka.producer import BoundedProducer
from producer_gateway.kafka.record_log import Message
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.settings import GatewaySettings

MakeProducer = Callable[["FakeKafka"], BoundedProducer]
pytestmark = pytest.mark.anyio
A, B = Message(b"a", b"1"), Message(b"b", b"2")


async def never(*_args: object) -> None:
    await asyncio.Event().wait()


class Client:
    """Its parts end never."""

    close = fetch_all_metadata = staticmethod(never)

    class cluster:  # noqa: N801 - an attribute
        """Nothing is known yet."""

        @staticmethod
        def partitions_for_topic(_topic: str) -> None: ...


class FakeBatch:
    """As aiokafka's builder: takes so many records, none once it is closed."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.records: list[bytes] = []
        self.closed = False

    def append(self, *, timestamp: None, key: bytes, value: bytes) -> object:
        if self.closed or len(self.records) == self.room:
            return None
        self.records.append(value)
        return object()

    def close(self) -> None:
        self.closed = True


class FakeKafka:
    """As aiokafka's producer: `outcomes` are given to batches as they are sent, None leaves one without."""

    def __init__(self, *outcomes: object, room: int = 100) -> None:
        self.outcomes = list(outcomes)
        self.futures = []
        self.room = room
        self.sent: list[tuple[int, list[bytes]]] = []
        self.client = self._sender = Client()
        self.flush = never

    async def partitions_for(self, _topic: str) -> set[int]:
        """Three; A and B go to different ones."""
        return {0, 1, 2}

    def create_batch(self) -> FakeBatch:
        return FakeBatch(self.room)

    async def send_batch(self, batch: FakeBatch, _topic: str, *, partition: int) -> "asyncio.Future[object]":
        """As aiokafka's."""
        assert batch.closed, "else records would join it after it was counted"
        outcome = self.outcomes.pop(0)
        if outcome is never:
            await never()
        if isinstance(outcome, type):
            raise outcome
        self.sent.append((partition, batch.records))
        future = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        elif outcome is not None:
            future.set_result(outcome)
        return future


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what other tasks bring about sets no event for us
            await asyncio.sleep(0)


@pytest.fixture
def producer(metrics: GatewayMetrics) -> MakeProducer:
    return lambda kafka: BoundedProducer(kafka, GatewaySettings(linger_ms=1), metrics)


async def test_all_acknowledged(producer: MakeProducer) -> None:
    """When every record is acknowledged nothing is refused and nothing waits."""
    bounded = producer(FakeKafka("ok", "ok"))
    assert await bounded.append([A, B], timeout_s=1) == frozenset()
    assert bounded.watchdog.age(now=1e9) == 0
    assert not bounded.broken.is_set()


async def test_no_outcome(producer: MakeProducer) -> None:
    """A record without outcome at the deadline is LogUnavailable; it is watched until it has one."""
    kafka = FakeKafka("ok", None)
    bounded = producer(kafka)
    with pytest.raises(LogUnavailableError):
        await bounded.append([A, B], timeout_s=0.1)
    assert bounded.watchdog.age(now=1e9) > 0
    assert not kafka.futures[1].cancelled()
    kafka.futures[1].set_result("late")
    await until(lambda: bounded.watchdog.age(now=1e9) == 0)
    assert bounded.watchdog.silence(now=1e9) == 0


async def test_send_hangs(producer: MakeProducer) -> None:
    """A client that waits for metadata or for room does not hold the caller beyond its timeout."""
    bounded = producer(FakeKafka(never))
    with pytest.raises(LogUnavailableError):
        await bounded.append([A], timeout_s=0.1)
    assert bounded.watchdog.silence(now=1e9) > 0


@pytest.mark.parametrize("error", [OutOfOrderSequenceNumber(), ProducerFenced(), NotEnoughReplicasError()])
async def test_failed_record(producer: MakeProducer, error: KafkaError, metrics: GatewayMetrics) -> None:
    """Whatever the client gives up on is LogUnavailable, and breaks the producer: it has cost sequence numbers."""
    bounded = producer(FakeKafka("ok", error))
    with pytest.raises(LogUnavailableError):
        await bounded.append([A, B], timeout_s=1)
    assert bounded.broken.is_set()
    labels = {"error_class": type(error).__name__}
    assert metrics.registry.get_sample_value("agenttracer_gateway_produce_errors_total", labels) == 1


async def test_failed_late(producer: MakeProducer) -> None:
    """A failure that comes after the deadline breaks the producer too."""
    kafka = FakeKafka(None)
    bounded = producer(kafka)
    with pytest.raises(LogUnavailableError):
        await bounded.append([A], timeout_s=0.1)
    kafka.futures[0].set_exception(OutOfOrderSequenceNumber())
    await until(bounded.broken.is_set)


async def test_no_room(producer: MakeProducer) -> None:
    """A record that was never queued, for want of room, leaves the producer as it was."""
    bounded = producer(FakeKafka(KafkaTimeoutError))
    with pytest.raises(LogUnavailableError):
        await bounded.append([A], timeout_s=1)
    assert not bounded.broken.is_set()


async def test_broker_says_too_large(producer: MakeProducer) -> None:
    """What the broker refuses for its size is refused by position; the producer is replaced, for the sequence has a hole."""
    bounded = producer(FakeKafka("ok", MessageSizeTooLargeError()))
    assert await bounded.append([A, B], timeout_s=1) == frozenset({1})
    assert bounded.broken.is_set()


async def test_too_large_for_us(producer: MakeProducer) -> None:
    """What is larger than our own limit is not sent."""
    bounded = producer(FakeKafka("ok"))
    assert await bounded.append([Message(b"a", b"x" * 900_001), B], timeout_s=1) == frozenset({0})
    assert not bounded.broken.is_set()


async def test_probe_hangs(producer: MakeProducer) -> None:
    """A broker that does not answer counts as unreachable."""
    assert await producer(FakeKafka()).probe(timeout_s=0.01) == "kafka_unreachable"


async def test_close_hangs(producer: MakeProducer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing ends although nothing in the client does, and marks it as closed."""
    monkeypatch.setattr("producer_gateway.kafka.producer._LET_GO_S", 0.01)
    kafka = FakeKafka()
    await producer(kafka).close(timeout_s=0.1)
    assert kafka._closed


async def test_failed_beside_no_outcome(producer: MakeProducer) -> None:
    """A failure breaks the producer also when the deadline passes over another record without outcome."""
    bounded = producer(FakeKafka(OutOfOrderSequenceNumber(), None))
    with pytest.raises(LogUnavailableError):
        await bounded.append([A, B], timeout_s=0.1)
    assert bounded.broken.is_set()


async def test_client_fails_with_anything(producer: MakeProducer) -> None:
    """An assertion of the client's own is LogUnavailable like everything else, and breaks the producer."""
    bounded = producer(FakeKafka(AssertionError))
    with pytest.raises(LogUnavailableError):
        await bounded.append([A], timeout_s=1)
    assert bounded.broken.is_set()


async def test_records_of_many_share_a_batch(producer: MakeProducer) -> None:
    """Records of several callers for one partition leave together, in the order in which they came."""
    kafka = FakeKafka("ok")
    bounded = producer(kafka)
    many = [Message(b"a", str(at).encode()) for at in range(6)]
    await asyncio.gather(*(bounded.append(many[at : at + 2], timeout_s=1) for at in (0, 2, 4)))
    ((_, records),) = kafka.sent
    assert records == [each.value for each in many]


async def test_full_batches(producer: MakeProducer) -> None:
    """A batch that is full leaves at once; what comes after it waits its turn, and all of it keeps its order."""
    kafka = FakeKafka(*["ok"] * 5, room=2)
    await producer(kafka).append([Message(b"a", str(at).encode()) for at in range(9)], timeout_s=1)
    assert [records for _, records in kafka.sent] == [[b"0", b"1"], [b"2", b"3"], [b"4", b"5"], [b"6", b"7"], [b"8"]]


async def test_no_room_in_the_client(producer: MakeProducer) -> None:
    """While the client takes no batch, one more gathers, and whoever comes then waits no longer than asked."""
    kafka = FakeKafka(never, room=1)
    bounded = producer(kafka)
    with pytest.raises(LogUnavailableError):
        await bounded.append([Message(b"a", b"1")] * 3, timeout_s=0.1)
    assert len(kafka.sent) == 0


async def test_close_gives_up_what_has_not_left(producer: MakeProducer) -> None:
    """Who waits for a record that will not leave any more hears of it when the producer closes, not at the deadline."""
    bounded = producer(FakeKafka(never))
    waiting = asyncio.create_task(bounded.append([A], timeout_s=60))
    await asyncio.sleep(0)
    await bounded.close(timeout_s=0.01)
    with pytest.raises(LogUnavailableError):
        await asyncio.wait_for(waiting, 10)
