"""All connections of one process: a deadline for heads, bodies and answers, an end for idle ones, a bound on how many there are.

uvicorn has none of these.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from producer_gateway.connection import Connection
from producer_gateway.errors import GatewayError, SlowBodyError, SlowHeadError
from producer_gateway.metrics import Metrics
from producer_gateway.settings import GatewaySettings
from producer_gateway.waiting import Waiting

_SWEEPS: Final = 8  # looks for overdue connections during the shortest timeout
_LINGER_TIMEOUT_S: Final = 2.0
"""For a client that has its answer to stop sending: 3 MiB at 1.5 MiB/s, or several round trips."""
_ANSWERED: Final[Mapping[str, type[GatewayError]]] = {"head_timeout": SlowHeadError, "body_timeout": SlowBodyError}


class Door:
    """What all connections of one process share. Calling it makes a connection, as uvicorn asks of a protocol class."""

    def __init__(self, settings: GatewaySettings, metrics: Metrics, *, connections_max: int | None = None) -> None:
        self.head_max_bytes: Final = settings.head_max_bytes
        self.retry_after_s: Final = settings.retry_after_s
        self._connections_max = connections_max or settings.connections_max
        self._metrics = metrics
        self.waiting: Final = Waiting[Connection](
            head_timeout_s=settings.head_timeout_s,
            body_timeout_s=settings.receive_timeout_s,
            idle_timeout_s=settings.idle_timeout_s,
            answer_timeout_s=settings.answer_timeout_s,
            linger_timeout_s=_LINGER_TIMEOUT_S,
        )
        self._every_s = self.waiting.shortest_s / _SWEEPS
        self._open = 0
        self._sweeping = False

    def __call__(self, **of_uvicorn: Any) -> Connection:  # noqa: ANN401 - passed through
        """A connection that comes through this door."""
        return Connection(self, **of_uvicorn)

    def enter(self, connection: Connection) -> bool:
        """Whether there is room, if need be by closing the one that can best be spared."""
        self._open += 1
        self._metrics.connections.set(self._open)
        self.waiting.await_head(connection, now=connection.loop.time())
        self._sweep_later(connection.loop)
        if self._open <= self._connections_max:
            return True
        spared = self.waiting.oldest(but=connection)
        if spared is not None:
            self.close(spared, reason="evicted")
        return spared is not None

    def leave(self, connection: Connection) -> None:
        """The connection is gone."""
        self._open -= 1
        self._metrics.connections.set(self._open)
        self.waiting.forget(connection)

    def close(self, connection: Connection, *, reason: str) -> None:
        """End a connection that waits."""
        self._metrics.connections_closed.labels(reason).inc()
        self.waiting.forget(connection)
        error = _ANSWERED.get(reason) if connection.has_begun else None
        connection.end(error() if error else None)

    def refused(self, error: GatewayError) -> None:
        """Count an answer that no route gave."""
        self._metrics.requests_refused.labels(error.error_code).inc()

    def _sweep_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(self._every_s, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweeping = False
        for connection, reason in self.waiting.overdue(now=loop.time()):
            if reason == "answer_timeout" and not connection.unread_bytes():
                connection.rest()
            else:
                self.close(connection, reason=reason)
        if self._open:
            self._sweep_later(loop)
