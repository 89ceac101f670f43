"""The gateway as it is, but for SIGUSR1: `python -m tests.support.wedging_gateway`.

At the signal the producer in charge loses some sequence numbers of partition 0, as it does by a batch that it gave up. From then
on Kafka refuses whatever that producer sends there, for ever.
"""

import signal
import sys
from functools import partial
from typing import Final

from aiokafka.structs import TopicPartition

from producer_gateway import __main__ as gateway
from producer_gateway.kafka.kafka_record_log import KafkaRecordLog
from producer_gateway.kafka.producer import BoundedProducer
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.process import server
from producer_gateway.settings import GatewaySettings

PARTITION: Final = 0
_HOLE: Final = 5
_connected: list[BoundedProducer] = []


async def _connect(settings: GatewaySettings, metrics: GatewayMetrics) -> BoundedProducer:
    producer = await BoundedProducer.connect(settings, metrics)
    _connected.append(producer)
    return producer


def wedge(producer: BoundedProducer, partition: int) -> None:
    """Make a hole in its sequence."""
    producer._producer._txn_manager.increment_sequence_number(TopicPartition(producer._topic, partition), _HOLE)


if __name__ == "__main__":
    server.KafkaRecordLog = partial(KafkaRecordLog, connect=_connect)  # type: ignore[misc, assignment]  # the same, and seen
    signal.signal(signal.SIGUSR1, lambda _number, _frame: wedge(_connected[-1], PARTITION))
    sys.exit(gateway.main())
