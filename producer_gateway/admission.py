"""How much may be in flight: a budget of requests and bytes that is never exceeded. What comes on top is shed at once."""

from typing import Final, Self

from producer_gateway.errors import OverloadedError
from producer_gateway.metrics import Metrics
from producer_gateway.settings import GatewaySettings

_NEARLY_FULL: Final = 0.8
"""Share of the budget from which on the project that holds most of it has to wait, so that others have room."""


class Admission:
    """The budget of one process. Not safe across threads: one event loop owns it."""

    def __init__(self, *, max_bytes: int, max_requests: int, metrics: Metrics) -> None:
        self._max_bytes = max_bytes
        self._max_requests = max_requests
        self._bytes = 0
        self._requests = 0
        self._by_project: dict[str, int] = {}
        # Asked when somebody looks, rather than told several times a request.
        metrics.in_flight_requests.set_function(lambda: self._requests)
        metrics.in_flight_bytes.set_function(lambda: self._bytes)

    @classmethod
    def of(cls, settings: GatewaySettings, metrics: Metrics) -> Self:
        """As the settings say."""
        return cls(max_bytes=settings.in_flight_max_bytes, max_requests=settings.in_flight_max_requests, metrics=metrics)

    def unready(self) -> str | None:
        """Why the next request would be shed, whoever sends it; None when it would not."""
        full = self._requests >= self._max_requests or self._bytes >= self._max_bytes
        return OverloadedError.code if full else None

    def admit(self, project: str) -> "Ticket":
        """A ticket, for a `with` block."""
        return Ticket(self, project)

    def give_back(self, *, places: int, held: int, project: str) -> None:
        """What a request held."""
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
    """What one request holds: bytes while they arrive, and a place once they are all there. Given back as the block ends.

    Slow senders hold no place, or a few hundred of them would keep everybody else out.
    """

    def __init__(self, admission: Admission, project: str) -> None:
        self._admission = admission
        self._project = project
        self.held = 0
        self.received = 0
        """Bytes on the wire."""
        self.places = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._admission.give_back(places=self.places, held=self.held, project=self._project)

    def hold(self, size: int) -> None:
        """Reserve `size` more bytes. Raises OverloadedError."""
        self._admission.take_bytes(size, project=self._project)
        self.held += size

    def enter(self) -> None:
        """Take the request's place. Raises OverloadedError."""
        self._admission.take_place()
        self.places += 1
