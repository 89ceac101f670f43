"""Bounds what is in flight: a budget of requests and bytes that is never exceeded. Requests beyond it are shed at once."""

from typing import Final, Self

from producer_gateway.errors import OverloadedError
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.settings import GatewaySettings

_NEARLY_FULL: Final = 0.8
"""Share of the budget from which on the project that holds most of it is shed, so that others have room."""


class Admission:
    """The budget of one process. Not safe across threads: one event loop owns it."""

    def __init__(self, *, max_bytes: int, max_requests: int, metrics: GatewayMetrics) -> None:
        self._max_bytes = max_bytes
        self._max_requests = max_requests
        self._bytes = 0
        self._requests = 0
        self._by_project: dict[str, int] = {}
        # Read when Prometheus looks, rather than set several times a request.
        metrics.in_flight_requests.set_function(lambda: self._requests)
        metrics.in_flight_bytes.set_function(lambda: self._bytes)

    @classmethod
    def of(cls, settings: GatewaySettings, metrics: GatewayMetrics) -> Self:
        """As the settings say."""
        return cls(max_bytes=settings.in_flight_max_bytes, max_requests=settings.in_flight_max_requests, metrics=metrics)

    def unready(self) -> str | None:
        """Why the next request of any project would be shed; None when it would not."""
        full = self._requests >= self._max_requests or self._bytes >= self._max_bytes
        return OverloadedError.code if full else None

    def admit(self, project: str) -> "Ticket":
        """A ticket, for a `with` block."""
        return Ticket(self, project)

    def release(self, *, places: int, held: int, project: str) -> None:
        """Release what a request held."""
        self._count(requests=-places, held=-held, project=project)

    def take_place(self) -> None:
        """Reserve a place for one request. Raises OverloadedError when all are taken."""
        if self._requests >= self._max_requests:
            raise OverloadedError
        self._count(requests=1)

    def take_bytes(self, size: int, *, project: str) -> None:
        """Reserve `size` bytes. Raises OverloadedError when they do not fit, or nearly not and the project holds most of all."""
        held = self._bytes + size
        if held > self._max_bytes:
            raise OverloadedError
        if held > _NEARLY_FULL * self._max_bytes and self._is_heaviest(project, size):
            raise OverloadedError(code="project_overloaded")
        self._count(held=size, project=project)

    def _is_heaviest(self, project: str, size: int) -> bool:
        """Whether other projects are there too, and none of them would hold as much."""
        others = [held for name, held in self._by_project.items() if name != project]
        return bool(others) and self._by_project.get(project, 0) + size > max(others)

    def _count(self, *, requests: int = 0, held: int = 0, project: str = "") -> None:
        if held:
            self._by_project[project] = self._by_project.get(project, 0) + held
            if not self._by_project[project]:
                del self._by_project[project]
        self._requests += requests
        self._bytes += held


class Ticket:
    """The reservation of one request: bytes while they arrive, and a place once they are all there.

    The end of the block releases it. Slow senders hold no place, or a few hundred of them would keep everybody else out.
    """

    def __init__(self, admission: Admission, project: str) -> None:
        self._admission = admission
        self.project = project
        self.held = 0
        self.received = 0
        """Bytes on the wire."""
        self.inflated = 0
        """Bytes that these became; for a bomb, those that it was refused at."""
        self.work_s = 0.0
        """Time of the processor that making events of the body took."""
        self.places = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._admission.release(places=self.places, held=self.held, project=self.project)

    def hold(self, size: int) -> None:
        """Reserve `size` more bytes. Raises OverloadedError."""
        self._admission.take_bytes(size, project=self.project)
        self.held += size

    def give_back(self, size: int) -> None:
        """Release some of the bytes before the end."""
        self._admission.release(places=0, held=size, project=self.project)
        self.held -= size

    def enter(self) -> None:
        """Take the request's place. Raises OverloadedError."""
        self._admission.take_place()
        self.places += 1
