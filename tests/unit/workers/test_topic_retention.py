"""How near the topic's retention is to what is not stored, and when that is alarming."""

import asyncio
import math

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError

from stream_workers.kafka.topic_retention import Retention, RetentionGuard
from stream_workers.metrics import WorkerMetrics

NOW_S = 1_000_000.0
HOUR_S = 3_600.0


class _Topic:
    """Answers its retention, or the error."""

    def __init__(self, answer: Retention | KafkaError) -> None:
        self.answer = answer

    async def __call__(self) -> Retention:
        if isinstance(self.answer, KafkaError):
            raise self.answer
        return self.answer


def _guard(topic: _Topic) -> tuple[RetentionGuard, WorkerMetrics]:
    metrics = WorkerMetrics()
    return RetentionGuard(topic, metrics, alarm_share=0.25, clock_s=lambda: NOW_S), metrics


def _shown(metrics: WorkerMetrics, name: str) -> dict[str, float]:
    return {
        sample.labels.get("partition", ""): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == f"agenttracer_worker_{name}"
    }


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"cleanup.policy": "delete", "retention.ms": "604800000", "retention.bytes": "-1"}, Retention(604_800.0, by_size=False)),
        ({"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "1000"}, Retention(math.inf, by_size=True)),
        ({"cleanup.policy": "compact,delete", "retention.ms": "1500", "retention.bytes": "-1"}, Retention(1.5, by_size=False)),
        ({"cleanup.policy": "compact", "retention.ms": "1500", "retention.bytes": "1"}, Retention(math.inf, by_size=False)),
    ],
)
def test_what_the_topic_says_is_understood(settings: dict[str, str], expected: Retention) -> None:
    """-1 is without limit, and without the policy `delete` neither limit counts."""
    assert Retention.of(settings) == expected


def test_the_alarm_is_on_while_less_than_the_share_is_left() -> None:
    """Four hours of retention: at 2 h 59 min it is off, at 3 h 1 min it is on, and off again when nothing waits."""
    guard, metrics = _guard(_Topic(Retention(4 * HOUR_S, by_size=False)))
    assert asyncio.run(guard.ask())
    guard.look({0: NOW_S - 3 * HOUR_S + 60, 1: None})
    assert _shown(metrics, "retention_margin_seconds") == {"0": HOUR_S + 60, "1": 4 * HOUR_S}
    assert _shown(metrics, "retention_alarm") == {"0": 0, "1": 0}
    guard.look({0: NOW_S - 3 * HOUR_S - 60, 1: None})
    assert _shown(metrics, "retention_alarm") == {"0": 1, "1": 0}
    guard.look({0: NOW_S - 5 * HOUR_S})
    assert _shown(metrics, "retention_margin_seconds") == {"0": -HOUR_S}
    guard.look({0: None})
    assert _shown(metrics, "retention_alarm") == {"0": 0}
    guard.look({})
    assert _shown(metrics, "retention_alarm") == {}


def test_each_alarm_is_logged_once_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    """However often it is looked at; one that comes again is logged again, also after the partition was away."""
    caplog.set_level("INFO")
    guard, _ = _guard(_Topic(Retention(HOUR_S, by_size=False)))
    asyncio.run(guard.ask())
    late = {0: NOW_S - HOUR_S}
    for waiting in (late, late, {0: None}, {0: None}, late, {}, late):
        guard.look(waiting)
    assert [record.message for record in caplog.records] == [
        "retention_near",
        "retention_far",
        "retention_near",
        "retention_near",
    ]


def test_without_a_limit_there_is_no_margin() -> None:
    """Records are kept for ever: nothing is shown but that."""
    guard, metrics = _guard(_Topic(Retention(math.inf, by_size=False)))
    asyncio.run(guard.ask())
    guard.look({0: 0.0})
    assert _shown(metrics, "retention_margin_seconds") == {}
    assert _shown(metrics, "topic_retention_seconds") == {"": math.inf}


def test_while_kafka_does_not_say_its_last_word_counts() -> None:
    """Unknown at first, and shown as that; an answer that does not come later changes nothing."""
    topic = _Topic(KafkaConnectionError())
    guard, metrics = _guard(topic)
    assert not asyncio.run(guard.ask())
    guard.look({0: NOW_S})
    assert math.isnan(_shown(metrics, "topic_retention_seconds")[""])
    topic.answer = Retention(HOUR_S, by_size=True)
    assert asyncio.run(guard.ask())
    topic.answer = KafkaConnectionError()
    assert not asyncio.run(guard.ask())
    guard.look({0: NOW_S})
    assert _shown(metrics, "retention_margin_seconds") == {"0": HOUR_S}
