"""How much may be in flight: a budget of requests and bytes that is never exceeded. What comes on top is shed at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from producer_gateway.errors import OverloadedError
from producer_gateway.metrics import Metrics


class Admission:
    """The budget of one process. Not safe across threads: one event loop owns it."""

    def __init__(self, *, max_bytes: int, max_requests: int, metrics: Metrics) -> None:
        self._max_bytes = max_bytes
        self._max_requests = max_requests
        self._metrics = metrics
        self._bytes = 0
        self._requests = 0

    @contextmanager
    def admit(self) -> Iterator["Ticket"]:
        """A ticket whose bytes and place are given back when the block ends, however it ends."""
        ticket = Ticket(self)
        try:
            yield ticket
        finally:
            self._count(requests=-ticket.places, held=-ticket.held)

    def take_place(self) -> None:
        """Reserve a place for one request. Raises OverloadedError when all are taken."""
        if self._requests >= self._max_requests:
            raise OverloadedError
        self._count(requests=1)

    def take_bytes(self, size: int) -> None:
        """Reserve `size` bytes. Raises OverloadedError when they do not fit."""
        if self._bytes + size > self._max_bytes:
            raise OverloadedError
        self._count(held=size)

    def _count(self, *, requests: int = 0, held: int = 0) -> None:
        self._requests += requests
        self._bytes += held
        self._metrics.in_flight_requests.set(self._requests)
        self._metrics.in_flight_bytes.set(self._bytes)


class Ticket:
    """What one request holds: bytes while they arrive, and a place once they are all there.

    Slow senders hold no place, or a few hundred of them would keep everybody else out.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.held = 0
        self.places = 0

    def hold(self, size: int) -> None:
        """Reserve `size` more bytes. Raises OverloadedError."""
        self._admission.take_bytes(size)
        self.held += size

    def enter(self) -> None:
        """Take the request's place. Raises OverloadedError."""
        self._admission.take_place()
        self.places += 1
