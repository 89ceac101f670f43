"""Real Kafka refuses the idempotent producer's sequence numbers for ever; the log heals by a new producer, without a restart.

In the end on a real gateway in the midst of its traffic: nobody waits for longer than the deadline, nothing accepted is lost.
"""

import asyncio
import json
import signal
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from producer_gateway.errors import LogUnavailableError
from producer_gateway.kafka.kafka_record_log import KafkaRecordLog
from producer_gateway.kafka.record_log import Message
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.settings import GatewaySettings
from tests.support.gateway_process import create_topic, gateway_process
from tests.support.wedging_gateway import PARTITION, wedge

pytestmark = pytest.mark.anyio
TIMEOUT_S = 90.0
BATCH = {"v": "1.0", "producer": {"id": "p1", "agent": "support-agent", "agent_version": "1"}}
POSTERS = 50
REQUEST_DEADLINE_S = 3.0
SLACK_S = 7.0
"""For two cores that others use too. Without a deadline a request on a wedged partition would wait for ever."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def metrics() -> GatewayMetrics:
    return GatewayMetrics()


@pytest.fixture
async def log(kafka_bootstrap: str, metrics: GatewayMetrics) -> AsyncIterator[KafkaRecordLog]:
    topic = f"wedge-{uuid.uuid4()}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        # Small enough for the broker to refuse what the gateway takes for small enough.
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"max.message.bytes": "20000"})])
    finally:
        await admin.close()
    log = KafkaRecordLog(GatewaySettings(kafka_bootstrap=kafka_bootstrap, topic=topic), metrics)
    await log.start()
    await until(lambda: log.unready() is None)
    yield log
    await log.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - what other tasks bring about sets no event for us
            await asyncio.sleep(0.01)


async def append_until_acknowledged(log: KafkaRecordLog, message: Message) -> None:
    """As a client does: the same again after every 503."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            try:
                await log.append([message], timeout_s=5)
            except LogUnavailableError:
                await asyncio.sleep(0.05)
            else:
                return


def replaced(metrics: GatewayMetrics) -> float | None:
    return metrics.registry.get_sample_value("agenttracer_gateway_producers_replaced_total", {"reason": "produce_error"})


async def test_sequence_with_a_hole(log: KafkaRecordLog, metrics: GatewayMetrics) -> None:
    """A producer whose sequence has a hole is refused by the broker; the caller hears LogUnavailable, and soon all is well."""
    message = Message(b"k", b"v")
    await log.append([message], timeout_s=5)
    assert log._producer is not None
    wedge(log._producer, PARTITION)
    with pytest.raises(LogUnavailableError):
        await log.append([message], timeout_s=5)
    await append_until_acknowledged(log, message)
    assert replaced(metrics) == 1


async def test_broker_refuses_a_size(log: KafkaRecordLog, metrics: GatewayMetrics) -> None:
    """A record too large for the broker is refused by position, and what comes after it is accepted."""
    large = Message(b"k", uuid.uuid4().bytes + b"".join(uuid.uuid4().bytes for _ in range(2_500)))
    assert await log.append([large], timeout_s=5) == frozenset({0})
    await append_until_acknowledged(log, Message(b"k", b"v"))
    assert replaced(metrics) == 1


@dataclass
class Traffic:
    """Many clients that each send one event after the other, and the same again until it is accepted."""

    url: str
    accepted: set[tuple[str, int]] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    slowest_s: float = 0.0
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        limits = httpx.Limits(max_connections=POSTERS)
        async with httpx.AsyncClient(base_url=self.url, timeout=REQUEST_DEADLINE_S + 2 * SLACK_S, limits=limits) as client:
            await asyncio.gather(*(self._poster(client) for _ in range(POSTERS)))

    async def _poster(self, client: httpx.AsyncClient) -> None:
        run_id, seq = str(uuid.uuid4()), 0
        while not self.ending.is_set():
            if await self._post(client, run_id, seq) == 202:
                self.accepted.add((run_id, seq))
                seq += 1
            else:
                await asyncio.sleep(0.05)  # as clients do

    async def _post(self, client: httpx.AsyncClient, run_id: str, seq: int) -> int:
        event = {"type": "run_started", "run_id": run_id, "seq": seq, "started_at": 1_768_469_400_000_000}
        began = time.monotonic()
        answer = await client.post("/v1/events", json={**BATCH, "events": [event]})
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        self.answers[answer.status_code] += 1
        return answer.status_code

    async def until_all_go_on(self, events: int) -> None:
        """So many more of each client are accepted, whichever partition is its run's."""
        before = self._accepted_by_run()
        await until(lambda: len(now := self._accepted_by_run() - before) == POSTERS and min(now.values()) >= events)

    def _accepted_by_run(self) -> Counter[str]:
        return Counter(run_id for run_id, _ in self.accepted)


async def stored(bootstrap: str, topic: str) -> set[tuple[str, int]]:
    """Run and sequence number of every event in the topic."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    found: set[tuple[str, int]] = set()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        async with asyncio.timeout(TIMEOUT_S):
            while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found |= {(e["run_id"], e["seq"]) for record in records for e in json.loads(record.value)["events"]}
    finally:
        await consumer.stop()
    return found


def test_wedge_in_traffic(tmp_path: Path, kafka_bootstrap: str) -> None:
    """Fifty clients of one process, whose producer is wedged: all are answered in time, accepted is stored, 202s come again."""
    topic = create_topic(kafka_bootstrap)
    told = {"request_deadline_s": REQUEST_DEADLINE_S, "receive_timeout_s": 2.0}
    module = "tests.support.wedging_gateway"
    with gateway_process(tmp_path, kafka_bootstrap, topic=topic, module=module, **told) as gateway:

        async def drive() -> Traffic:
            traffic = Traffic(f"http://127.0.0.1:{gateway.port}")
            running = asyncio.create_task(traffic.run())
            await traffic.until_all_go_on(3)
            gateway.process.send_signal(signal.SIGUSR1)
            await until(lambda: traffic.answers[503] > 0)
            await traffic.until_all_go_on(3)
            traffic.ending.set()
            await running
            return traffic

        traffic = asyncio.run(drive())
        assert gateway.process.poll() is None
        assert gateway.sample('agenttracer_gateway_producers_replaced_total{reason="produce_error"}') == 1
        assert gateway.sample("agenttracer_gateway_in_flight_requests") == 0
    assert traffic.answers.keys() <= {202, 408, 503}  # 408: where the clients themselves wait for a processor
    assert traffic.slowest_s < REQUEST_DEADLINE_S + SLACK_S
    assert traffic.accepted <= asyncio.run(stored(kafka_bootstrap, topic))
