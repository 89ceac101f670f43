"""Metrics by project: what it sends, and what is kept. The first projects have labels of their own, the rest share one."""

import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter

from agenttracer.wire.vocabulary import OTHER_NAME
from producer_gateway.counters import CounterFamily, HistogramFamily, PlainCounter, PlainHistogram
from producer_gateway.events.validate import Rejection
from servicekit.http.errors import HttpError

_BUCKETS_S: Final = (0.005, 0.02, 0.1, 0.5, 2.0, 5.0)
_PREFIX: Final = "agenttracer_gateway_project"


class _OfProject(NamedTuple):
    """One project's own: to look them up by label takes longer than to count."""

    label: str
    accepted: PlainCounter
    body_bytes: PlainCounter
    in_flight: PlainCounter
    seconds: PlainHistogram


class ProjectMetrics:
    """In the registry of the gateway's other metrics."""

    def __init__(self, *, projects_max: int, registry: CollectorRegistry) -> None:
        self._projects_max = projects_max
        self._of: dict[str, _OfProject] = {}
        label = ["project"]
        self._accepted = CounterFamily(
            f"{_PREFIX}_events_accepted_total", "Events acknowledged by the log.", label, registry=registry
        )
        self._bytes = CounterFamily(f"{_PREFIX}_body_bytes_total", "Bodies, inflated.", label, registry=registry)
        self._refused = Counter(
            f"{_PREFIX}_requests_refused_total", "Requests not accepted.", [*label, "code"], registry=registry
        )
        self._items_refused = Counter(
            f"{_PREFIX}_events_refused_total", "Events and spans refused in answers.", [*label, "reason"], registry=registry
        )
        self._values_dropped = Counter(
            f"{_PREFIX}_values_dropped_total", "Values left out of events, or replaced.", [*label, "rule"], registry=registry
        )
        self._in_flight = CounterFamily(
            f"{_PREFIX}_in_flight_requests", "Requests begun and not yet decided.", label, registry=registry
        )
        self._seconds = HistogramFamily(
            f"{_PREFIX}_ack_seconds", "From a request's head to the last ack.", label, bounds=_BUCKETS_S, registry=registry
        )

    def request(self, project: str) -> "_Request":
        """Count a request that lasts as long as the block: its time when it is accepted, else the reason."""
        return _Request(self._shown(project), self._refused)

    def received(self, project: str, size: int) -> None:
        """A body of so many bytes has arrived."""
        self._shown(project).body_bytes.inc(size)

    def accepted(self, project: str, events: int) -> None:
        """So many events are durable."""
        self._shown(project).accepted.inc(events)

    def lost(self, project: str, rejected: Iterable[Rejection], dropped: Mapping[str, int]) -> None:
        """Count items and values that are not kept, by the rules that they broke."""
        for rejection in rejected:
            self._items_refused.labels(self._shown(project).label, rejection.code).inc()
        for rule, count in dropped.items():
            self._values_dropped.labels(self._shown(project).label, rule).inc(count)

    def _shown(self, project: str) -> _OfProject:
        known = self._of.get(project)
        if known is None:
            full = len(self._of) >= self._projects_max
            if full and OTHER_NAME in self._of:
                return self._of[OTHER_NAME]
            label = OTHER_NAME if full else project
            known = self._of[label] = self._children(label)
        return known

    def _children(self, label: str) -> _OfProject:
        return _OfProject(
            label=label,
            accepted=self._accepted.of(label),
            body_bytes=self._bytes.of(label),
            in_flight=self._in_flight.of(label),
            seconds=self._seconds.of(label),
        )


class _Request:
    """One request while it lasts. Not a generator: that would cost more than all that is counted."""

    __slots__ = ("_began", "_of", "_refused")

    def __init__(self, of: _OfProject, refused: Counter) -> None:
        self._of = of
        self._refused = refused

    def __enter__(self) -> None:
        self._began = time.perf_counter()
        self._of.in_flight.inc()

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        self._of.in_flight.inc(-1)
        if error is None:
            self._of.seconds.observe(time.perf_counter() - self._began)
        elif isinstance(error, HttpError):
            self._refused.labels(self._of.label, error.error_code).inc()
