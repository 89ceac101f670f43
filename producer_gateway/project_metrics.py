"""What each project sends and what becomes of it. The first so many projects have a label of their own, the rest share one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from agenttracer.wire.vocabulary import OTHER_NAME
from producer_gateway.errors import GatewayError

_BUCKETS_S: Final = (0.005, 0.02, 0.1, 0.5, 2.0, 5.0)
_PREFIX: Final = "agenttracer_gateway_project"


class ProjectMetrics:
    """In the registry of the gateway's other metrics."""

    def __init__(self, *, projects_max: int, registry: CollectorRegistry) -> None:
        self._projects_max = projects_max
        self._shown: set[str] = set()
        label = ["project"]
        self._accepted = Counter(f"{_PREFIX}_events_accepted_total", "Events acknowledged by the log.", label, registry=registry)
        self._bytes = Counter(f"{_PREFIX}_body_bytes_total", "Bodies, inflated.", label, registry=registry)
        self._refused = Counter(
            f"{_PREFIX}_requests_refused_total", "Requests not accepted.", [*label, "code"], registry=registry
        )
        self._in_flight = Gauge(f"{_PREFIX}_in_flight_requests", "Requests begun and not yet decided.", label, registry=registry)
        self._seconds = Histogram(
            f"{_PREFIX}_ack_seconds", "From a request's head to the last ack.", label, buckets=_BUCKETS_S, registry=registry
        )

    @contextmanager
    def request(self, project: str) -> Iterator[None]:
        """Count a request that lasts as long as the block: its time when it is accepted, else the reason."""
        shown, began = self._label(project), time.perf_counter()
        with self._in_flight.labels(shown).track_inprogress():
            try:
                yield
            except GatewayError as error:
                self._refused.labels(shown, error.error_code).inc()
                raise
        self._seconds.labels(shown).observe(time.perf_counter() - began)

    def received(self, project: str, size: int) -> None:
        """A body is there, of so many bytes."""
        self._bytes.labels(self._label(project)).inc(size)

    def accepted(self, project: str, events: int) -> None:
        """So many events are durable."""
        self._accepted.labels(self._label(project)).inc(events)

    def _label(self, project: str) -> str:
        if project not in self._shown:
            if len(self._shown) >= self._projects_max:
                return OTHER_NAME
            self._shown.add(project)
        return project
