"""Connections that wait without a request in work: for a head or body, idly, or to be taken leave of. No sockets, no clock.

All are kept oldest first, so that the overdue stand in front and finding them costs nothing for the others.
"""

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

C = TypeVar("C")


class Waiting(Generic[C]):
    """Who waits, for what, and since when. Times are monotonic seconds and never go back."""

    def __init__(
        self,
        *,
        head_timeout_s: float,
        body_timeout_s: float,
        idle_timeout_s: float,
        answer_timeout_s: float,
        linger_timeout_s: float,
    ) -> None:
        self._heads: dict[C, float] = {}
        self._bodies: dict[C, float] = {}
        self._idle: dict[C, float] = {}
        self._unread: dict[C, float] = {}
        self._lingering: dict[C, float] = {}
        self._timeouts = (
            ("head_timeout", self._heads, head_timeout_s),
            ("body_timeout", self._bodies, body_timeout_s),
            ("idle_timeout", self._idle, idle_timeout_s),
            ("answer_timeout", self._unread, answer_timeout_s),
            ("linger_timeout", self._lingering, linger_timeout_s),
        )
        self.shortest_s: Final = min(timeout_s for _, _, timeout_s in self._timeouts)

    def await_head(self, connection: C, *, now: float) -> None:
        """It was opened, or has begun a further request."""
        if connection not in self._unread:
            self.work(connection)  # anew, or it would keep its place among older ones
            self._heads[connection] = now

    def await_body(self, connection: C, *, now: float) -> None:
        """Its head is there, and of its body not enough to work on."""
        if connection not in self._unread:
            self.work(connection)
            self._bodies[connection] = now

    def work(self, connection: C) -> None:
        """It has a request in work. One that has not taken an earlier answer still has to."""
        self._heads.pop(connection, None)
        self._bodies.pop(connection, None)
        self._idle.pop(connection, None)

    def rest(self, connection: C, *, now: float) -> None:
        """It has its answer and may send the next request, or none."""
        self.forget(connection)
        self._idle[connection] = now

    def unread(self, connection: C, *, now: float) -> None:
        """Its answer is written, and it has not taken all of it."""
        self.work(connection)
        self._unread.setdefault(connection, now)

    def linger(self, connection: C, *, now: float) -> None:
        """It has its last answer, which it may not have read since it is still sending."""
        self.forget(connection)
        self._lingering[connection] = now

    def forget(self, connection: C) -> None:
        """It waits for nothing, or is gone."""
        self.work(connection)
        self._unread.pop(connection, None)
        self._lingering.pop(connection, None)

    def overdue(self, *, now: float) -> list[tuple[C, str]]:
        """Whose time is over, with the reason: `head_timeout`, … They stay until they are forgotten."""
        return [
            (connection, reason)
            for reason, waiting, timeout_s in self._timeouts
            for connection in _before(waiting, now - timeout_s)
        ]

    def oldest(self, *, but: C) -> C | None:
        """Who may go first when there are too many.

        Who was answered for the last time. Of those whose head or body is awaited the one that waits longest: a client that
        means it sends them at once. Then who does not read, and only then the one that is idle for longest: it has shown that
        it can send requests.
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
