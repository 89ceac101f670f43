"""The spool: this process's events on disk, written and read back in order. No network, no threads."""

import json
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from agenttracer import _warn
from agenttracer._events.encode import BODY_MAX_BYTES, EncodedEvent
from agenttracer._spool.directory import SpoolDirectory
from agenttracer._spool.segment import RECORD_MAX_BYTES, Segment, frame_record

SEGMENT_MAX_BYTES: Final = 1024 * 1024


class Spool:
    """Opt-in and bounded. Each segment begins with the producer, so that another process can deliver it."""

    def __init__(self, directory: SpoolDirectory, *, producer: Callable[[], bytes]) -> None:
        self.directory = directory
        self._segment_max_bytes = min(SEGMENT_MAX_BYTES, directory.max_bytes // 4)
        self._producer = producer
        self._segments: deque[Segment] = deque()
        self._reading: tuple[Segment, int, int] | None = None
        self.events = 0
        """Events of this process on disk that are not settled."""
        self._unreadable = 0

    @property
    def _head(self) -> bytes:
        return frame_record(self._producer())

    def hold(self, by: float | None) -> bool:
        """Keep other threads out until `release`. False when another one is still in at `by`."""
        return self.directory.hold(by)

    def release(self) -> None:
        """End a `hold`."""
        self.directory.release()

    def append(self, events: Sequence[EncodedEvent]) -> list[EncodedEvent]:
        """Write the events, as far as there is room. Returns the others, to be sent from memory."""
        with self.directory.lock:
            at = 0
            try:
                while at < len(events) and self._may_write():
                    at += self._append_some(events[at:])
            except OSError:
                self.directory.disable()
            return list(events[at:])

    @property
    def has_room(self) -> bool:
        """Whether more events can be written."""
        with self.directory.lock:
            try:
                return self._may_write()
            except OSError:
                self.directory.disable()
                return False

    def _append_some(self, events: Sequence[EncodedEvent]) -> int:
        segment = self._segments[-1]
        frames: list[bytes] = []
        size = segment.size
        for event in events:
            frame = frame_record(event.payload)
            if frames and size + len(frame) > self._segment_max_bytes:
                break
            frames.append(frame)
            size += len(frame)
        segment.append(b"".join(frames))
        segment.undelivered += len(frames)
        self.events += len(frames)
        return len(frames)

    def _may_write(self) -> bool:
        directory = self.directory
        if not directory.writable or directory.closed:
            return False
        if self._segments and self._segments[-1].size + RECORD_MAX_BYTES // 8 <= self._segment_max_bytes:
            return True
        directory.prepare()
        if directory.size() + self._segment_max_bytes > directory.max_bytes:
            _warn.once("spool_full", "the spool is full; events wait in memory until the gateway takes some")
            return False
        segment = directory.create_segment()
        segment.append(self._head)
        segment.position = segment.size
        self._segments.append(segment)
        return True

    def next_batch(self, *, max_events: int) -> list[EncodedEvent] | None:
        """The oldest events of this process on disk; None when there are none. `done` must follow."""
        with self.directory.lock:
            while self._segments and not self.directory.closed:
                segment = self._segments[0]
                if segment.undelivered == 0:
                    self._clear(segment)
                    if not self._segments or segment is self._segments[-1]:
                        return None
                    continue
                records, end = self._read(segment, max_events=max_events)
                if records:
                    self._reading = (segment, end, len(records))
                    return [EncodedEvent(json.loads(record)["run_id"], record, None, counted=True) for record in records]
                self._give_up(segment)
            return None

    def _read(self, segment: Segment, *, max_events: int) -> tuple[Sequence[bytes], int]:
        try:
            found = segment.read(segment.position, max_records=max_events, max_bytes=BODY_MAX_BYTES // 2)
        except OSError:
            return (), segment.size
        return found.records, found.end

    def _give_up(self, segment: Segment) -> None:
        self._unreadable += segment.undelivered
        self.events -= segment.undelivered
        segment.undelivered = 0

    def take_unreadable(self) -> int:
        """How many events of this process could not be read back since the last call. The caller counts them as dropped."""
        with self.directory.lock:
            count, self._unreadable = self._unreadable, 0
            return count

    def done(self) -> None:
        """The events of `next_batch` are settled. Does nothing without a preceding `next_batch`."""
        with self.directory.lock:
            if self._reading is None or self.directory.closed:
                return
            segment, end, count = self._reading
            self._reading = None
            segment.position = end
            segment.undelivered -= count
            self.events -= count
            if segment.position >= segment.size:
                self._give_up(segment)  # nothing is left, unless records in between were damaged
            if segment.undelivered == 0:
                self._clear(segment)

    def _clear(self, segment: Segment) -> None:
        """Everything in a segment is settled: empty the one that is being written, remove an older one."""
        try:
            if segment is self._segments[-1]:
                segment.truncate(keep=len(self._head))
            else:
                self._segments.remove(segment)
                segment.remove()
        except OSError:
            self.directory.disable()

    def close(self) -> int:
        """Leave unsettled segments to a later process. Returns the number of their events. The caller holds the lock."""
        for segment in self._segments:
            try:
                segment.close() if segment.undelivered else segment.remove()
            except OSError:
                self.directory.failures += 1
        return self.events

    def disown(self) -> None:
        """In a forked child: close the parent's segments, and leave them to the parent. Takes no lock."""
        for segment in self._segments:
            segment.close()
        self.directory.closed = True
