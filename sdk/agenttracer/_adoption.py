"""Reading what another process spooled: nothing but contract objects, rebuilt one by one, comes out of its files."""

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from agenttracer._batch import BODY_MAX_BYTES, Parcel, parcel_of
from agenttracer._loading import LOADING
from agenttracer._segment import RECORD_MAX_BYTES, Segment
from agenttracer.wire.errors import ContractError
from agenttracer.wire.writer import to_json

_FIRST: Final = 1


class Adopted(NamedTuple):
    """Events of another producer: its JSON, the events, where in the segment they end, and how many records were no events."""

    producer: bytes
    parcels: Sequence[Parcel]
    end: int
    damaged: int


def parcels_of(segment: Segment, *, max_events: int) -> Adopted:
    """The next events of a segment, after the first record, which is the producer. Raises OSError."""
    with LOADING:
        from agenttracer.wire.reader import Lenient, read_producer  # noqa: PLC0415 - needed only where a process died

    first = segment.read(0, max_records=_FIRST, max_bytes=RECORD_MAX_BYTES)
    if segment.size == 0:
        return Adopted(b"", [], 0, damaged=0)
    try:
        producer = to_json(read_producer(json.loads(first.records[0]), Lenient()))
    except (ContractError, ValueError, RecursionError, IndexError):
        return Adopted(b"", [], segment.size, damaged=max(1, _left(segment)))  # nobody knows any more whose they are
    start = max(segment.position, first.end)
    reading = segment.read(start, max_records=max_events, max_bytes=BODY_MAX_BYTES // 2)
    parcels = [parcel for record in reading.records if (parcel := _rebuilt(record)) is not None]
    damaged = reading.damaged + len(reading.records) - len(parcels)
    return Adopted(producer, parcels, reading.end, damaged)


def _left(segment: Segment) -> int:
    """How many events a segment still has, the damaged ones included."""
    at, count = segment.position, 0 if segment.position else -_FIRST
    while at < segment.size:
        reading = segment.read(at, max_records=segment.size, max_bytes=BODY_MAX_BYTES)
        at, count = reading.end, count + len(reading.records) + reading.damaged
    return count


def _rebuilt(record: bytes) -> Parcel | None:
    from agenttracer.wire.reader import Lenient, read_event  # noqa: PLC0415 - needed only where a process died

    try:
        return parcel_of(read_event(json.loads(record), Lenient()))
    except (ContractError, ValueError, RecursionError):
        return None
