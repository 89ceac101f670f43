"""Connections that wait without a request in work: for a head or body, idle, for the client to read, or lingering. Pure.

Each kind is kept oldest first. The overdue ones stand in front, so that finding them costs nothing for the others.
"""

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from servicekit.http.connection_policy import (
    ANSWER_TIMEOUT,
    BODY_TIMEOUT,
    HEAD_TIMEOUT,
    IDLE_TIMEOUT,
    LINGER_TIMEOUT,
    ConnectionPolicy,
)

C = TypeVar("C")


class ConnectionTimeouts(Generic[C]):
    """Which connection waits for what, and since when. Times are monotonic seconds and never go back."""

    def __init__(self, policy: ConnectionPolicy) -> None:
        self._heads: dict[C, float] = {}
        self._bodies: dict[C, float] = {}
        self._idle: dict[C, float] = {}
        self._unread: dict[C, float] = {}
        self._lingering: dict[C, float] = {}
        self._timeouts = (
            (HEAD_TIMEOUT, self._heads, policy.head_timeout_s),
            (BODY_TIMEOUT, self._bodies, policy.body_timeout_s),
            (IDLE_TIMEOUT, self._idle, policy.idle_timeout_s),
            (ANSWER_TIMEOUT, self._unread, policy.answer_timeout_s),
            (LINGER_TIMEOUT, self._lingering, policy.linger_timeout_s),
        )
        self.shortest_s: Final = min(timeout_s for _, _, timeout_s in self._timeouts)

    def await_head(self, connection: C, *, now: float) -> None:
        """It was opened, or has begun a further request."""
        if connection not in self._unread:
            self.work(connection)  # first removed, or it would keep its position among older ones
            self._heads[connection] = now

    def await_body(self, connection: C, *, now: float) -> None:
        """Its head is there, and of its body not enough to work on."""
        if connection not in self._unread:
            self.work(connection)
            self._bodies[connection] = now

    def work(self, connection: C) -> None:
        """It has a request in work. A connection that has not taken an earlier answer still has to."""
        self._heads.pop(connection, None)
        self._bodies.pop(connection, None)
        self._idle.pop(connection, None)

    def rest(self, connection: C, *, now: float) -> None:
        """It has its answer and may send the next request, or none."""
        self.forget(connection)
        self._idle[connection] = now

    def unread(self, connection: C, *, now: float) -> None:
        """Part of its answer is written, and the client has not taken all of that."""
        self.work(connection)
        self._unread.setdefault(connection, now)

    def linger(self, connection: C, *, now: float) -> None:
        """It has its last answer. The client is still sending, so it may not have read that yet."""
        self.forget(connection)
        self._lingering[connection] = now

    def forget(self, connection: C) -> None:
        """It waits for nothing, or is gone."""
        self.work(connection)
        self._unread.pop(connection, None)
        self._lingering.pop(connection, None)

    def overdue(self, *, now: float) -> list[tuple[C, str]]:
        """The connections whose time is over, with the reason. They stay until they are forgotten."""
        return [
            (connection, reason)
            for reason, waiting, timeout_s in self._timeouts
            for connection in _before(waiting, now - timeout_s)
        ]

    def oldest(self, *, but: C) -> C | None:
        """The connection that is closed first when there are too many.

        First those that have their last answer. Then the one whose head or body is awaited for longest: a good client sends
        them at once. Then those that do not read. Last the one that is idle for longest: it has shown that it can send
        requests.
        """
        for kinds in ((self._lingering,), (self._heads, self._bodies), (self._unread,), (self._idle,)):
            first = [found for found in (_first(waiting, but=but) for waiting in kinds) if found is not None]
            if first:
                return min(first, key=lambda found: found[0])[1]
        return None


def _first(waiting: dict[C, float], *, but: C) -> tuple[float, C] | None:
    return next(((since, connection) for connection, since in waiting.items() if connection is not but), None)


def _before(waiting: dict[C, float], moment: float) -> Iterator[C]:
    for connection, since in waiting.items():
        if since > moment:
            return
        yield connection
