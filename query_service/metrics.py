"""Every metric of the query service, and the layer that counts requests.

Labels come from closed sets of our own, never from input: a route is its template, a status its class, and all that fits no
route has one label together.
"""

from enum import StrEnum
from time import perf_counter
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_UNTIMED: Final = "/v1/tail"
"""It lasts as long as its reader wants."""
_NO_ROUTE: Final = "unmatched"


class QueryMetric(StrEnum):
    """Names as Prometheus shows them."""

    REQUESTS = "agenttracer_query_requests_total"
    REQUEST_SECONDS = "agenttracer_query_request_seconds"
    KEYS_AGE_SECONDS = "agenttracer_query_keys_age_seconds"
    KEYS_REFUSED = "agenttracer_query_keys_refused_total"
    IN_FLIGHT_REQUESTS = "agenttracer_query_in_flight_requests"
    TAIL_READERS = "agenttracer_query_tail_readers"
    TAIL_DROPPED = "agenttracer_query_tail_dropped_total"


class QueryMetrics:
    """The metrics in a registry of their own, so that two services in one process do not meet."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            QueryMetric.REQUESTS, "Requests by route template and class of status.", ["route", "status_class"], registry=registry
        )
        self.request_seconds = Histogram(
            QueryMetric.REQUEST_SECONDS,
            "From request to the end of its answer.",
            ["route", "status_class"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.keys_age_seconds = Gauge(QueryMetric.KEYS_AGE_SECONDS, "Since API keys were last read.", registry=registry)
        self.keys_refused = Counter(
            QueryMetric.KEYS_REFUSED, "Requests refused for their API key.", ["reason"], registry=registry
        )
        self.tail_readers = Gauge(QueryMetric.TAIL_READERS, "Open tails.", registry=registry)
        self.tail_dropped = Counter(QueryMetric.TAIL_DROPPED, "Runs that readers of tails were too slow for.", registry=registry)
        self.in_flight_requests = Gauge(QueryMetric.IN_FLIGHT_REQUESTS, "Requests being answered.", registry=registry)


class CountRequests:
    """ASGI layer that counts and times what passes through it."""

    def __init__(self, app: ASGIApp, metrics: QueryMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on. One that raises, or never starts its answer, counts as 5xx."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status_class, began = "5xx", perf_counter()

        async def noting_status(message: Message) -> None:
            nonlocal status_class
            if message["type"] == "http.response.start":
                status_class = f"{message['status'] // 100}xx"
            await send(message)

        with self._metrics.in_flight_requests.track_inprogress():
            try:
                await self._app(scope, receive, noting_status)
            finally:
                route = getattr(scope.get("route"), "path", _NO_ROUTE)
                self._metrics.requests.labels(route, status_class).inc()
                if route != _UNTIMED:
                    self._metrics.request_seconds.labels(route, status_class).observe(perf_counter() - began)
