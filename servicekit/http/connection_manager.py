"""Carries out the policy for all connections of one process: deadlines for heads, bodies and answers, a limit on how many.

uvicorn has none of these.
"""

import asyncio
from typing import Final, Generic, Protocol, TypeVar

from servicekit.http.connection_policy import ANSWER_TIMEOUT, ConnectionPolicy
from servicekit.http.connection_timeouts import ConnectionTimeouts
from servicekit.http.errors import HttpError

_SWEEPS: Final = 8
"""Looks for overdue connections during the shortest timeout."""


class ManagedConnection(Protocol):
    """The part of a connection that the manager uses."""

    loop: asyncio.AbstractEventLoop
    has_begun: bool
    """Whether bytes of a request have arrived since the last answer."""

    def end(self, error: HttpError | None) -> None:
        """Close, with an answer where one is due."""

    def takes_answer(self) -> bool:
        """Whether the client has read enough of its answer since the last call, and waits again if some of it is left."""


C = TypeVar("C", bound=ManagedConnection)


class ConnectionManager(Generic[C]):
    """The state that all connections of one process share."""

    def __init__(self, policy: ConnectionPolicy) -> None:
        self.policy: Final = policy
        self.timeouts: Final = ConnectionTimeouts[C](policy)
        self._every_s = self.timeouts.shortest_s / _SWEEPS
        self._open = 0
        self._sweeping = False

    def enter(self, connection: C) -> bool:
        """Whether there is room for a new connection. If need be the one that can best be spared is closed."""
        self._open += 1
        self.policy.observer.open_now(self._open)
        self.timeouts.await_head(connection, now=connection.loop.time())
        self._sweep_later(connection.loop)
        if self._open <= self.policy.connections_max:
            return True
        spared = self.timeouts.oldest(but=connection)
        if spared is not None:
            self.close(spared, reason="evicted")
        return spared is not None

    def leave(self, connection: C) -> None:
        """The connection is gone."""
        self._open -= 1
        self.policy.observer.open_now(self._open)
        self.timeouts.forget(connection)

    def close(self, connection: C, *, reason: str) -> None:
        """End a connection that waits."""
        self.policy.observer.closed(reason)
        self.timeouts.forget(connection)
        error = self.policy.on_timeout.get(reason) if connection.has_begun else None
        connection.end(self.policy.error(error) if error else None)

    def _sweep_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(self._every_s, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweeping = False
        for connection, reason in self.timeouts.overdue(now=loop.time()):
            if reason != ANSWER_TIMEOUT or not connection.takes_answer():
                self.close(connection, reason=reason)
        if self._open:
            self._sweep_later(loop)
