"""Recovery: the events that dead processes left in the directory, one segment at a time.

Only contract objects, rebuilt one by one, come out of another process's files.
"""

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from agenttracer import _warn
from agenttracer._clock import now
from agenttracer._events.encode import BODY_MAX_BYTES, EncodedEvent, encode_event
from agenttracer._lazy_imports import IMPORT_LOCK
from agenttracer._spool.directory import SpoolDirectory
from agenttracer._spool.segment import RECORD_MAX_BYTES, Segment
from agenttracer.wire.errors import ContractError
from agenttracer.wire.writer import to_json

_LOOK_EVERY_S: Final = 10.0
"""How often to look for segments of processes that died meanwhile."""
_FIRST: Final = 1


class RecoveredBatch(NamedTuple):
    """Events of another producer: its JSON, the events, where in the segment they end, and how many records were no events."""

    producer: bytes
    events: Sequence[EncodedEvent]
    end: int
    damaged: int


class Recovery:
    """Used by the sender's thread."""

    def __init__(self, directory: SpoolDirectory) -> None:
        self._directory = directory
        self._segment: Segment | None = None
        self._look_at = 0.0
        self._found_foreign = False
        """There are segments for another gateway or key."""

    def next_batch(self, *, max_events: int) -> RecoveredBatch | None:
        """Events that a dead process left behind, oldest first; None when there are none now. `done` must follow."""
        with self._directory.lock:
            if self._directory.closed or (self._segment is None and not self._find()) or self._segment is None:
                return None
            segment = self._segment
            try:
                batch = _batch_of(segment, max_events=max_events)
            except OSError:
                batch = RecoveredBatch(b"", [], segment.size, damaged=1)
            if batch.damaged:
                rest = ", the others are sent" if batch.producer else ""
                lost = f"{batch.damaged} record(s) of it are lost{rest}"
                subject = f"spool_damaged:{segment.path.name}:{segment.position}"
                _warn.once(subject, f"a segment of an earlier process is torn or damaged: {lost}")
            return batch

    def _find(self) -> bool:
        directory = self._directory
        if now() < self._look_at or not directory.usable:
            return False
        try:
            directory.prepare()
            for path in directory.segments():
                ours = directory.has_same_recipient(path)
                skipped = directory.is_own(path) or (self._found_foreign and not ours)
                segment = None if skipped else Segment.open_abandoned(path)
                if segment is not None and ours:
                    self._segment = segment
                    return True
                if segment is not None:
                    self._found_foreign = segment.size > 0 or self._found_foreign
                    segment.close()
        except OSError:
            directory.disable()
        self._look_at = now() + _LOOK_EVERY_S
        if self._found_foreign:
            _warn.once("spool_strangers", "the spool has events for another gateway or API key; they wait for its next process")
        return False

    def done(self, batch: RecoveredBatch) -> None:
        """The events of `next_batch` are settled."""
        with self._directory.lock:
            segment = self._segment
            if segment is None or self._directory.closed:
                return
            segment.position = batch.end
            if batch.end < segment.size:
                return
            self._segment = None
            try:
                segment.remove()
            except OSError:
                self._directory.disable()

    def close(self) -> None:
        """Leave the segment to a later process."""
        if self._segment is not None:
            self._segment.close()


def _batch_of(segment: Segment, *, max_events: int) -> RecoveredBatch:
    """The next events of a segment, after the first record, which is the producer. Raises OSError."""
    with IMPORT_LOCK:
        from agenttracer.wire.reader import Lenient, read_producer  # noqa: PLC0415 - needed only after a process died

    first = segment.read(0, max_records=_FIRST, max_bytes=RECORD_MAX_BYTES)
    if segment.size == 0:
        return RecoveredBatch(b"", [], 0, damaged=0)
    try:
        producer = to_json(read_producer(json.loads(first.records[0]), Lenient()))
    except (ContractError, ValueError, RecursionError, IndexError):
        return RecoveredBatch(b"", [], segment.size, damaged=max(1, _count_left(segment)))  # the producer is unknown
    start = max(segment.position, first.end)
    found = segment.read(start, max_records=max_events, max_bytes=BODY_MAX_BYTES // 2)
    events = [event for record in found.records if (event := _rebuilt(record)) is not None]
    damaged = found.damaged + len(found.records) - len(events)
    return RecoveredBatch(producer, events, found.end, damaged)


def _count_left(segment: Segment) -> int:
    """How many events a segment still has, the damaged ones included."""
    at, count = segment.position, 0 if segment.position else -_FIRST
    while at < segment.size:
        found = segment.read(at, max_records=segment.size, max_bytes=BODY_MAX_BYTES)
        at, count = found.end, count + len(found.records) + found.damaged
    return count


def _rebuilt(record: bytes) -> EncodedEvent | None:
    from agenttracer.wire.reader import Lenient, read_event  # noqa: PLC0415 - needed only after a process died

    try:
        return encode_event(read_event(json.loads(record), Lenient()))
    except (ContractError, ValueError, RecursionError):
        return None
