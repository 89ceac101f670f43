"""The promise that the gateway's 202 rests on: what a record log is, in a Protocol. `kafka_log` and `testing` keep it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Message(NamedTuple):
    """One record, encoded."""

    key: bytes
    value: bytes


class RecordLog(Protocol):
    """A partitioned, durable log that one process appends to."""

    async def start(self) -> None:
        """Begin to connect and return at once, whether the log is there or not. It is sought for until `close`."""

    async def append(self, messages: Sequence[Message], *, timeout_s: float) -> frozenset[int]:
        """Return only when every message is durable, but for those at the returned positions: they can never be.

        Messages of one key go to one partition. Raises LogUnavailableError when any message is not known to be durable after
        `timeout_s`, or sooner when it cannot become so: then any of them may or may not be in the log, once or more often.
        No other exception leaves, and no call outlives its timeout.
        """

    def unready(self) -> str | None:
        """None when an append would be tried with good hope, else a code that says why not. Never waits."""

    async def close(self) -> None:
        """Give what was sent a bounded time to arrive, then let go of everything. Appends fail from here on."""
