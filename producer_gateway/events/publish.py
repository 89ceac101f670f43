"""Publishes validated events: encodes them as records, appends these to the log, and reports which events are durable."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from producer_gateway.events.record_builder import Envelope, RecordGroup, build_records
from producer_gateway.events.validate import Rejection, ValidBatch
from producer_gateway.kafka.record_log import RecordLog
from producer_gateway.metrics import GatewayMetrics

TOO_LARGE: Final = "record_too_large"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishResult:
    """The events of one batch: `accepted` are durable, `rejected` never will be."""

    accepted: int
    rejected: Sequence[Rejection]


class Publisher:
    """Appends to the record log in the name of a project."""

    def __init__(
        self, record_log: RecordLog, *, record_max_bytes: int, clock_us: Callable[[], int], metrics: GatewayMetrics
    ) -> None:
        self._log = record_log
        self._record_max_bytes = record_max_bytes
        self._clock_us = clock_us
        self._metrics = metrics

    async def publish(self, batches: Sequence[ValidBatch], *, project: str, timeout_s: float) -> list[PublishResult]:
        """Return when every accepted event of a request is durable: either all are known to be, or none is.

        Raises LogUnavailableError when that is not known within `timeout_s`.
        """
        now = self._clock_us()
        grouped = [
            build_records(each.events, envelope=Envelope(project, each.producer, now), record_max_bytes=self._record_max_bytes)
            for each in batches
        ]
        sendable = [(at, each) for at, groups in enumerate(grouped) for each in groups if each.message is not None]
        refused = await self._append(sendable, timeout_s=timeout_s)
        refused += [(at, each) for at, groups in enumerate(grouped) for each in groups if each.message is None]
        return [self._result(each, [of for number, of in refused if number == at]) for at, each in enumerate(batches)]

    def _result(self, checked: ValidBatch, refused: Sequence[RecordGroup]) -> PublishResult:
        rejected = [*checked.rejected, *_rejections(checked, refused)]
        accepted = len(checked.events) - sum(len(each.positions) for each in refused)
        self._count(checked, accepted=accepted, rejected=rejected)
        return PublishResult(accepted=accepted, rejected=sorted(rejected, key=lambda each: each.index))

    async def _append(self, sendable: Sequence[tuple[int, RecordGroup]], *, timeout_s: float) -> list[tuple[int, RecordGroup]]:
        messages = [each.message for _, each in sendable if each.message is not None]
        if not messages:
            return []
        began = time.perf_counter()
        refused = await self._log.append(messages, timeout_s=timeout_s)
        self._metrics.ack_seconds.observe(time.perf_counter() - began)
        self._metrics.records.inc(len(messages) - len(refused))
        self._metrics.record_bytes.inc(sum(len(each.value) for at, each in enumerate(messages) if at not in refused))
        return [sendable[at] for at in refused]

    def _count(self, checked: ValidBatch, *, accepted: int, rejected: Sequence[Rejection]) -> None:
        self._metrics.events_accepted.inc(accepted)
        self._metrics.unknown_members.inc(checked.unknown)
        for rule, count in checked.dropped.items():
            self._metrics.values_dropped.labels(rule).inc(count)
        for rejection in rejected:
            self._metrics.events_refused.labels(rejection.code).inc()


def _rejections(checked: ValidBatch, refused: Sequence[RecordGroup]) -> list[Rejection]:
    return [
        Rejection(index=checked.indices[position], field="", code=TOO_LARGE) for each in refused for position in each.positions
    ]
