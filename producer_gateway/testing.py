"""A record log and a registry of names in memory, for tests of the gateway and of its clients. They keep the promises."""

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from producer_gateway.errors import LogUnavailableError
from producer_gateway.kafka.record_log import Message


class MemoryRecordLog:
    """Durable as long as the object lives. Fault switches: `stopped` (as a broker that is down), `stalled` (never acks)."""

    def __init__(self, *, message_max_bytes: int = 1_000_000) -> None:
        self.messages: list[Message] = []
        self.stopped = False
        self.stalled = False
        self._message_max_bytes = message_max_bytes
        self._started = False

    async def start(self) -> None:
        """Ready at once."""
        self._started = True

    async def append(self, messages: Sequence[Message], *, timeout_s: float) -> frozenset[int]:
        """See RecordLog."""
        if self.unready() is not None:
            raise LogUnavailableError
        if self.stalled:
            await asyncio.sleep(timeout_s)
            raise LogUnavailableError
        refused = frozenset(at for at, each in enumerate(messages) if len(each.value) > self._message_max_bytes)
        self.messages.extend(each for at, each in enumerate(messages) if at not in refused)
        return refused

    def unready(self) -> str | None:
        """See RecordLog."""
        if not self._started:
            return "closed"
        return "kafka_unreachable" if self.stopped else None

    async def close(self) -> None:
        """See RecordLog."""
        self._started = False


class MemoryNames:
    """An `AllowedNames`: every project is open but those in `closed`, which allow what is said there."""

    def __init__(self, **closed: AbstractSet[str]) -> None:
        self.closed = dict(closed)
        self.away = False

    async def start(self) -> None:
        """See AllowedNames."""

    async def close(self) -> None:
        """See AllowedNames."""

    def allowed(self, project: str) -> AbstractSet[str] | None:
        """See AllowedNames."""
        return self.closed.get(project)

    def unready(self) -> str | None:
        """See AllowedNames."""
        return "names_unavailable" if self.away else None
