"""How far a partition is finished: the end of the longest finished prefix of the delivered chunks. Pure; one per partition.

Faust's own bookkeeping commits past an unfinished record when the hole is one wide (upstream #606), so it is not used.
"""

from collections import deque
from typing import NamedTuple


class OldestChunk(NamedTuple):
    """The first chunk that is not finished: the offset and the time of its first record."""

    first_offset: int
    at_s: float


class Watermark:
    """Chunks in the order of delivery, each finished or not, and the offset up to which all are finished."""

    def __init__(self) -> None:
        self._open: deque[_Chunk] = deque()
        self._position: int | None = None
        self._finished_s: float | None = None

    def delivered(self, first_offset: int, last_offset: int, timestamp_s: float) -> None:
        """A chunk with these offsets was handed over. Its first record has this time. Offsets grow until `forget`."""
        self._open.append(_Chunk(first_offset, last_offset, timestamp_s))

    def finished(self, last_offset: int) -> None:
        """The chunk is stored. Unknown chunks, as of before a `forget`, are ignored."""
        for chunk in self._open:
            if chunk.last_offset == last_offset:
                chunk.finished = True
                break
        while self._open and self._open[0].finished:
            chunk = self._open.popleft()
            self._position, self._finished_s = chunk.last_offset + 1, chunk.timestamp_s

    def forget(self) -> None:
        """The partition was revoked, or is read again from another offset: chunks in flight no longer count."""
        self._open.clear()
        self._position = self._finished_s = None

    @property
    def position(self) -> int | None:
        """The next offset to read after a restart, or None while nothing is finished."""
        return self._position

    @property
    def oldest_s(self) -> float | None:
        """The time of the oldest record handed over and not finished."""
        return self._open[0].timestamp_s if self._open else None

    @property
    def oldest(self) -> OldestChunk | None:
        """The same with its offset."""
        return OldestChunk(self._open[0].first_offset, self._open[0].timestamp_s) if self._open else None

    @property
    def reached_s(self) -> float | None:
        """The time of the oldest record that is not finished; the last finished chunk's for a record not handed over yet."""
        return self._finished_s if self.oldest_s is None else self.oldest_s

    @property
    def in_flight(self) -> int:
        """Chunks handed over and not finished as a prefix."""
        return len(self._open)


class _Chunk:
    __slots__ = ("finished", "first_offset", "last_offset", "timestamp_s")

    def __init__(self, first_offset: int, last_offset: int, timestamp_s: float) -> None:
        self.first_offset = first_offset
        self.last_offset = last_offset
        self.timestamp_s = timestamp_s
        self.finished = False
