"""Events to records: one record per run and request, in order, split where one would grow too large. No I/O, no clock."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from agenttracer.wire.envelope import VERSION, Producer, Record
from agenttracer.wire.events import Event
from agenttracer.wire.topics import record_key
from producer_gateway.record_log import Message
from servicekit import codec


class Group(NamedTuple):
    """A message and which events of the request it carries, by position. `message` is None where one event is too large."""

    positions: Sequence[int]
    message: Message | None


class Envelope(NamedTuple):
    """What all records of a request share. `received_at` is in microseconds."""

    project: str
    producer: Producer
    received_at: int


def group(events: Sequence[Event], *, envelope: Envelope, record_max_bytes: int) -> list[Group]:
    """The records of one request, runs in order of appearance."""
    runs: dict[str, list[int]] = {}
    for position, event in enumerate(events):
        runs.setdefault(event.run_id, []).append(position)
    grouped: list[Group] = []
    for run_id, positions in runs.items():
        key = record_key(envelope.project, run_id)
        grouped.extend(_encode(events, positions, key=key, envelope=envelope, record_max_bytes=record_max_bytes))
    return grouped


def _encode(
    events: Sequence[Event], positions: Sequence[int], *, key: bytes, envelope: Envelope, record_max_bytes: int
) -> Iterator[Group]:
    record = Record(
        v=VERSION,
        project=envelope.project,
        producer=envelope.producer,
        received_at=envelope.received_at,
        events=[events[position] for position in positions],
    )
    value = codec.encode_record(record)
    if len(value) <= record_max_bytes:
        yield Group(positions, Message(key, value))
        return
    if len(positions) == 1:
        yield Group(positions, None)
        return
    middle = len(positions) // 2
    for half in (positions[:middle], positions[middle:]):
        yield from _encode(events, half, key=key, envelope=envelope, record_max_bytes=record_max_bytes)
