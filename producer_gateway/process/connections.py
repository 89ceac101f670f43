"""The gateway's policy for connections: its settings, its metrics, and errors in the form that the asked route answers in."""

from functools import partial
from types import MappingProxyType
from typing import Final

from starlette.types import Scope

from producer_gateway.api.error_handlers import with_jitter
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.otlp import responses
from producer_gateway.settings import GatewaySettings
from servicekit.http.connection_policy import ConnectionPolicy, last_answer
from servicekit.http.errors import HeadTooLargeError, Http2Error, HttpError, TooManyConnectionsError, UnavailableError

_OTLP: Final = "/v1/traces"
_MESSAGES: Final = MappingProxyType(
    {
        HeadTooLargeError: "The address and headers of the request are larger than this gateway takes.",
        Http2Error: (
            "HTTP/2, and with it gRPC, is not spoken on this port: send to that of gRPC, or set OTEL_EXPORTER_OTLP_PROTOCOL "
            "to http/protobuf."
        ),
        TooManyConnectionsError: (
            "Too many connections are open: send the same events, with the same ids, after Retry-After seconds."
        ),
    }
)


class ConnectionMetrics:
    """A ConnectionObserver that counts into the gateway's metrics."""

    def __init__(self, metrics: GatewayMetrics) -> None:
        self._metrics = metrics

    def open_now(self, connections: int) -> None:
        """See ConnectionObserver."""
        self._metrics.connections.set(connections)

    def closed(self, reason: str) -> None:
        """See ConnectionObserver."""
        self._metrics.connections_closed.labels(reason).inc()

    def refused(self, error: HttpError) -> None:
        """See ConnectionObserver."""
        self._metrics.requests_refused.labels(error.error_code).inc()


def connection_policy(
    settings: GatewaySettings, metrics: GatewayMetrics, *, connections_max: int | None = None
) -> ConnectionPolicy:
    """As the settings say. `connections_max` is what the system allows, where that is less."""
    return ConnectionPolicy(
        head_max_bytes=settings.head_max_bytes,
        connections_max=connections_max or settings.connections_max,
        head_timeout_s=settings.head_timeout_s,
        body_timeout_s=settings.receive_timeout_s,
        idle_timeout_s=settings.idle_timeout_s,
        answer_timeout_s=settings.answer_timeout_s,
        answer_least_bytes=None,
        messages=_MESSAGES,
        answer=partial(_answer, least_s=settings.retry_after_s),
        observer=ConnectionMetrics(metrics),
    )


def _answer(error: HttpError, scope: Scope | None, *, least_s: int) -> bytes:
    headers = {"retry-after": with_jitter(least_s)} if isinstance(error, UnavailableError) else {}
    if scope is None or scope["path"] != _OTLP:
        return last_answer(error.status, error.members(), headers=headers)
    encoding = responses.encoding_of(dict(scope["headers"]).get(b"content-type", b"").decode("latin-1"))
    body = responses.status_body(encoding, status=error.status, message=f"{error.error_code}: {error.message}")
    return last_answer(error.status, body, media_type=encoding, headers=headers)
