"""Checked events to an outcome: encodes them as records, appends these to the log, and tells which events are durable."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from producer_gateway.check import Checked, Rejection
from producer_gateway.group import Envelope, Group, group
from producer_gateway.metrics import Metrics
from producer_gateway.record_log import RecordLog

TOO_LARGE: Final = "record_too_large"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a request's events: `accepted` are durable, `rejected` never will be."""

    accepted: int
    rejected: Sequence[Rejection]


class Publisher:
    """Appends to the record log in the name of a project."""

    def __init__(self, record_log: RecordLog, *, record_max_bytes: int, clock_us: Callable[[], int], metrics: Metrics) -> None:
        self._log = record_log
        self._record_max_bytes = record_max_bytes
        self._clock_us = clock_us
        self._metrics = metrics

    async def publish(self, checked: Checked, *, project: str, timeout_s: float) -> Outcome:
        """Return when every accepted event is durable. Raises LogUnavailableError when that is not known within `timeout_s`."""
        (outcome,) = await self.publish_each([checked], project=project, timeout_s=timeout_s)
        return outcome

    async def publish_each(self, batches: Sequence[Checked], *, project: str, timeout_s: float) -> list[Outcome]:
        """As `publish`, for the batches of several producers in one request: either all are known to be durable or none."""
        now = self._clock_us()
        grouped = [
            group(each.events, envelope=Envelope(project, each.producer, now), record_max_bytes=self._record_max_bytes)
            for each in batches
        ]
        sendable = [(at, each) for at, groups in enumerate(grouped) for each in groups if each.message is not None]
        refused = await self._append(sendable, timeout_s=timeout_s)
        refused += [(at, each) for at, groups in enumerate(grouped) for each in groups if each.message is None]
        return [self._outcome(each, [of for number, of in refused if number == at]) for at, each in enumerate(batches)]

    def _outcome(self, checked: Checked, refused: Sequence[Group]) -> Outcome:
        rejected = [*checked.rejected, *_rejections(checked, refused)]
        accepted = len(checked.events) - sum(len(each.positions) for each in refused)
        self._count(checked, accepted=accepted, rejected=rejected)
        return Outcome(accepted=accepted, rejected=sorted(rejected, key=lambda each: each.index))

    async def _append(self, sendable: Sequence[tuple[int, Group]], *, timeout_s: float) -> list[tuple[int, Group]]:
        messages = [each.message for _, each in sendable if each.message is not None]
        if not messages:
            return []
        began = time.perf_counter()
        refused = await self._log.append(messages, timeout_s=timeout_s)
        self._metrics.ack_seconds.observe(time.perf_counter() - began)
        self._metrics.records.inc(len(messages) - len(refused))
        self._metrics.record_bytes.inc(sum(len(each.value) for at, each in enumerate(messages) if at not in refused))
        return [sendable[at] for at in refused]

    def _count(self, checked: Checked, *, accepted: int, rejected: Sequence[Rejection]) -> None:
        self._metrics.events_accepted.inc(accepted)
        self._metrics.unknown_members.inc(checked.unknown)
        for rule, count in checked.dropped.items():
            self._metrics.values_dropped.labels(rule).inc(count)
        for rejection in rejected:
            self._metrics.events_refused.labels(rejection.code).inc()


def _rejections(checked: Checked, refused: Sequence[Group]) -> list[Rejection]:
    return [
        Rejection(index=checked.indices[position], field="", code=TOO_LARGE) for each in refused for position in each.positions
    ]
