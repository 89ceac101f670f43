"""The spool: events on disk, from when the sender's thread takes them over until the gateway has them. Opt-in and bounded.

Own segments are written and drained in order; those of processes that died are adopted, one at a time. Trouble with the disk
switches writing off, once and for all: events then go from memory, as without a spool. Neither network nor threads are here.
"""

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from agenttracer import _warn
from agenttracer._adoption import Adopted, parcels_of
from agenttracer._batch import BODY_MAX_BYTES, Parcel
from agenttracer._patience import now
from agenttracer._segment import LOCKS, RECORD_MAX_BYTES, SUFFIX, Segment, framed

DIRECTORY: Final = "agenttracer-spool"
"""Our own inside the user's, so that its rights are ours to set."""
SEGMENT_MAX_BYTES: Final = 1024 * 1024
_LOOK_EVERY_S: Final = 10.0
"""How often to look for segments of processes that died meanwhile."""


class Spool:
    """Its lock is its own: the disk may be slow, and the agent's threads wait for nothing but the queue's lock."""

    def __init__(self, parent: str, *, max_bytes: int, producer: bytes, name: str) -> None:
        self._directory = Path(parent) / DIRECTORY
        self._max_bytes = max_bytes
        self._segment_max_bytes = min(SEGMENT_MAX_BYTES, max_bytes // 4)
        self._head = framed(producer)
        self._name = name
        self.recipient: Callable[[], str] = str
        """Who gets what is spooled. Others' segments are left alone."""
        self._mark = ""
        self._strangers = False
        self._lock = threading.RLock()
        self._own: deque[Segment] = deque()
        self._created = 0
        self._reading: tuple[Segment, int, int] | None = None
        self._adopted: Segment | None = None
        self._look_at = 0.0
        self._ready = False
        self._closed = False
        self.writable = True
        self.events = 0
        """Events of this process on disk that are not settled."""
        self.unreadable = 0
        """Of those, how many could not be read back. The queue's account takes them over by `take_unreadable`."""
        self.failures = 0
        self.damaged = 0

    def append(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        """Take over what fits; the answer is what does not, to be sent from memory."""
        with self._lock:
            at = 0
            try:
                while at < len(parcels) and self._may_write():
                    at += self._append_some(parcels[at:])
            except OSError:
                self._off()
            return list(parcels[at:])

    @property
    def has_room(self) -> bool:
        """Whether it is worth taking events from the queue for it."""
        with self._lock:
            try:
                return self._may_write()
            except OSError:
                self._off()
                return False

    def _append_some(self, parcels: Sequence[Parcel]) -> int:
        segment = self._own[-1]
        frames: list[bytes] = []
        size = segment.size
        for parcel in parcels:
            frame = framed(parcel.payload)
            if frames and size + len(frame) > self._segment_max_bytes:
                break
            frames.append(frame)
            size += len(frame)
        segment.append(b"".join(frames))
        segment.undelivered += len(frames)
        self.events += len(frames)
        return len(frames)

    def _may_write(self) -> bool:
        if not self.writable or self._closed:
            return False
        if self._own and self._own[-1].size + RECORD_MAX_BYTES // 8 <= self._segment_max_bytes:
            return True
        self._prepare()
        if sum(_size(path) for path in self._segments()) + self._segment_max_bytes > self._max_bytes:
            _warn.once("spool_full", "the spool is full; events wait in memory until the gateway takes some")
            return False
        self._created += 1
        segment = Segment.create(
            self._directory, f"{time.time_ns() // 1_000_000:015d}{self._mark}{self._name}-{self._created:06d}"
        )
        segment.append(self._head)
        segment.position = segment.size
        self._own.append(segment)
        return True

    def _prepare(self) -> None:
        if self._ready:
            return
        if not LOCKS:
            raise OSError
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self._directory.lstat()
        if not self._directory.is_dir() or self._directory.is_symlink() or found.st_uid != os.geteuid():
            raise OSError
        self._directory.chmod(0o700)
        try:
            self._mark = f"-{self.recipient()}-"
        except Exception as error:
            raise OSError from error  # what nobody is known to get is not written
        self._ready = True

    def _segments(self) -> list[Path]:
        return sorted(self._directory.glob(f"*{SUFFIX}"))

    def _off(self) -> None:
        self.writable = False
        self.failures += 1
        _warn.once("spool_off", "the spool cannot be written; it is off, and events wait in memory only")

    def next_lot(self, *, max_events: int) -> list[Parcel] | None:
        """The oldest events of this process on disk, to be followed by `done`; None when there are none."""
        with self._lock:
            while self._own and not self._closed:
                segment = self._own[0]
                if segment.undelivered == 0:
                    self._clear(segment)
                    if segment is self._own[-1] if self._own else True:
                        return None
                    continue
                records, end = self._read(segment, max_events=max_events)
                if records:
                    self._reading = (segment, end, len(records))
                    return [Parcel(json.loads(record)["run_id"], record, None, counted=True) for record in records]
                self._lose(segment)
            return None

    def _read(self, segment: Segment, *, max_events: int) -> tuple[Sequence[bytes], int]:
        try:
            reading = segment.read(segment.position, max_records=max_events, max_bytes=BODY_MAX_BYTES // 2)
        except OSError:
            return (), segment.size
        return reading.records, reading.end

    def _lose(self, segment: Segment) -> None:
        self.unreadable += segment.undelivered
        self.events -= segment.undelivered
        segment.undelivered = 0

    def take_unreadable(self) -> int:
        """How many events of this process could not be read back since the last call."""
        with self._lock:
            count, self.unreadable = self.unreadable, 0
            return count

    def done(self) -> None:
        """What `next_lot` gave is settled. Does nothing when nothing is being read."""
        with self._lock:
            if self._reading is None or self._closed:
                return
            segment, end, count = self._reading
            self._reading = None
            segment.position = end
            segment.undelivered -= count
            self.events -= count
            if segment.position >= segment.size:
                self._lose(segment)  # of which nothing is left, unless records in between were damaged
            if segment.undelivered == 0:
                self._clear(segment)

    def _clear(self, segment: Segment) -> None:
        """Everything in a segment is settled: the one being written begins again, an older one goes."""
        try:
            if segment is self._own[-1]:
                segment.empty(keep=len(self._head))
            else:
                self._own.remove(segment)
                segment.remove()
        except OSError:
            self._off()

    def adopt(self, *, max_events: int) -> Adopted | None:
        """Events that a process left behind, oldest first, to be followed by `adopted_done`; None when there are none now."""
        with self._lock:
            if self._closed or (self._adopted is None and not self._find()) or self._adopted is None:
                return None
            segment = self._adopted
            try:
                adopted = parcels_of(segment, max_events=max_events)
            except OSError:
                adopted = Adopted(b"", [], segment.size, damaged=1)
            self.damaged += adopted.damaged
            if adopted.damaged:
                rest = ", the others are sent" if adopted.producer else ""
                lost = f"{adopted.damaged} record(s) of it are lost{rest}"
                subject = f"spool_damaged:{segment.path.name}:{segment.position}"
                _warn.once(subject, f"a segment of an earlier process is torn or damaged: {lost}")
            return adopted

    def _find(self) -> bool:
        if now() < self._look_at or not (self.writable or self._ready):
            return False
        own = {segment.path for segment in self._own}
        try:
            self._prepare()
            for path in self._segments():
                ours = self._mark in path.name
                segment = None if path in own or (self._strangers and not ours) else Segment.adopt(path)
                if segment is not None and ours:
                    self._adopted = segment
                    return True
                if segment is not None:
                    self._strangers = segment.size > 0 or self._strangers
                    segment.close()
        except OSError:
            self._off()
        self._look_at = now() + _LOOK_EVERY_S
        if self._strangers:
            _warn.once("spool_strangers", "the spool has events for another gateway or API key; they wait for its next process")
        return False

    def adopted_done(self, adopted: Adopted) -> None:
        """What `adopt` gave is settled."""
        with self._lock:
            segment = self._adopted
            if segment is None or self._closed:
                return
            segment.position = adopted.end
            if adopted.end < segment.size:
                return
            self._adopted = None
            try:
                segment.remove()
            except OSError:
                self._off()

    def hold(self, by: float | None) -> bool:
        """Keep other threads out until `let_go`. False when one is still in at `by`."""
        return self._lock.acquire(timeout=-1 if by is None else max(0.0, by - now()))

    def let_go(self) -> None:
        """End a `hold`."""
        self._lock.release()

    def close(self, by: float | None = None) -> int:
        """Leave what is not settled to the next process. The answer is how many events of this one that is."""
        self._closed = True
        if not self.hold(by):
            return self.events  # the disk is slow; the system unlocks them
        try:
            for segment in self._own:
                try:
                    segment.close() if segment.undelivered else segment.remove()
                except OSError:
                    self.failures += 1
            if self._adopted is not None:
                self._adopted.close()
            return self.events
        finally:
            self.let_go()

    def disown(self) -> None:
        """In a forked child: everything here is the parent's. Takes no lock, which a thread of the parent may have held."""
        for segment in (*self._own, *([self._adopted] if self._adopted else [])):
            segment.close()
        self._closed = True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # drained meanwhile
