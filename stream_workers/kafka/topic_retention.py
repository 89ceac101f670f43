"""How long the topic keeps records, and how long until it deletes one that is not stored yet: the margin, and the alarm on it.

Kafka deletes a segment when its newest record is older than `retention.ms`, so a record is there at least until its own age
reaches it. Only deletion by time is guarded: a consumer cannot know how many bytes lie behind an offset.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from servicekit.logs import Log, error_class
from stream_workers.metrics import WorkerMetrics

ASK_EVERY_S: Final = 300.0
_ASK_AGAIN_S: Final = 30.0  # after an answer that did not come
_UNLIMITED: Final = "-1"
_log = Log("worker.retention")


class Retention(NamedTuple):
    """How long a record is kept at least (s, infinite where time deletes none), and whether size deletes some, too."""

    time_s: float
    by_size: bool

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> "Retention":
        """From the topic's settings in force."""
        if "delete" not in settings["cleanup.policy"]:
            return cls(math.inf, by_size=False)
        time_s = math.inf if settings["retention.ms"] == _UNLIMITED else int(settings["retention.ms"]) / 1000
        return cls(time_s, by_size=settings["retention.bytes"] != _UNLIMITED)


async def find_retention(bootstrap: str, topic: str, **security: object) -> Retention:
    """Ask Kafka, which needs the right DescribeConfigs on the topic. Raises KafkaError."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="agenttracer-worker-retention", **security)
    try:
        await client.start()
        answers = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    finally:
        await client.close()
    code, _, _, _, entries = answers[0].resources[0]
    if code:
        raise for_code(code)
    return Retention.of({entry[0]: entry[1] for entry in entries})


class RetentionGuard:
    """Shows how near the topic's retention is to records that are not stored. `alarm_share` is of the retention."""

    def __init__(
        self,
        find: Callable[[], Awaitable[Retention]],
        metrics: WorkerMetrics,
        *,
        alarm_share: float,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._find = find
        self._metrics = metrics
        self._alarm_share = alarm_share
        self._clock_s = clock_s
        self._retention: Retention | None = None
        self._alarmed: set[int] = set()

    async def run(self) -> None:
        """Ask for the retention, now and every few minutes. While Kafka does not answer, its last answer counts."""
        while True:  # noqa: ASYNC110 - Kafka sends no event when a topic's settings change
            await asyncio.sleep(ASK_EVERY_S if await self.ask() else _ASK_AGAIN_S)

    async def ask(self) -> bool:
        """Ask once; False, with a line in the log, if there was no answer."""
        try:
            found = await self._find()
        except (KafkaError, OSError, LookupError) as error:
            _log.warning("retention_unknown", error_class=error_class(error))
            return False
        if found.by_size and found != self._retention:
            _log.warning("retention_by_size_not_guarded")
        self._retention = found
        self._metrics.topic_retention_seconds.set(found.time_s)
        return True

    def look(self, waiting_since: Mapping[int, float | None]) -> None:
        """Judge each partition by the time (s, Unix) of its oldest record that is not stored; None where nothing waits."""
        self._metrics.retention_margin_seconds.clear()
        self._metrics.retention_alarm.clear()
        self._alarmed &= waiting_since.keys()
        if self._retention is None or math.isinf(self._retention.time_s):
            self._alarmed.clear()
            return
        for partition, since_s in waiting_since.items():
            age_s = 0.0 if since_s is None else max(0.0, self._clock_s() - since_s)
            self._judge(partition, margin_s=self._retention.time_s - age_s, retention_s=self._retention.time_s)

    def _judge(self, partition: int, *, margin_s: float, retention_s: float) -> None:
        near = margin_s < self._alarm_share * retention_s
        self._metrics.retention_margin_seconds.labels(partition).set(margin_s)
        self._metrics.retention_alarm.labels(partition).set(near)
        if near and partition not in self._alarmed:
            _log.error("retention_near", partition=partition, margin_s=round(margin_s), retention_s=round(retention_s))
            self._alarmed.add(partition)
        elif not near and partition in self._alarmed:
            _log.info("retention_far", partition=partition, margin_s=round(margin_s))
            self._alarmed.discard(partition)
