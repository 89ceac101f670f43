"""Events to records: one record per run and request, in order, split where one would grow too large. No I/O, no clock."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from agenttracer.wire.envelope import BATCH_MAX_EVENTS, VERSION, Producer
from agenttracer.wire.events import Event
from agenttracer.wire.topics import record_key
from producer_gateway.kafka.record_log import Message
from servicekit import codec


class RecordGroup(NamedTuple):
    """A message and the positions of its events in the request. `message` is None where a single event is too large."""

    positions: Sequence[int]
    message: Message | None


class Envelope(NamedTuple):
    """The members that all records of a request share. `received_at` is in microseconds."""

    project: str
    producer: Producer
    received_at: int


def build_records(events: Sequence[Event], *, envelope: Envelope, record_max_bytes: int) -> list[RecordGroup]:
    """The records of one request, runs in order of appearance."""
    encode = codec.record_encoder(
        v=VERSION, project=envelope.project, producer=envelope.producer, received_at=envelope.received_at
    )
    grouped: list[RecordGroup] = []
    for run_id, (positions, members) in _by_run(events).items():
        key = record_key(envelope.project, run_id)
        grouped.extend(_encode(members, positions, key=key, encode=encode, record_max_bytes=record_max_bytes))
    return grouped


def _by_run(events: Sequence[Event]) -> dict[str, tuple[list[int], list[Event]]]:
    """Positions and events of each run. Events of a run mostly come one after another."""
    runs: dict[str, tuple[list[int], list[Event]]] = {}
    last = None
    for position, event in enumerate(events):
        run_id = event.run_id
        if run_id != last:
            last = run_id
            positions, members = runs.setdefault(run_id, ([], []))
        positions.append(position)
        members.append(event)
    return runs


def _encode(
    events: Sequence[Event],
    positions: Sequence[int],
    *,
    key: bytes,
    encode: Callable[[Sequence[Event]], bytes],
    record_max_bytes: int,
) -> Iterator[RecordGroup]:
    # A span may become three events, so a request that is small enough may hold more than a record is allowed to.
    value = encode(events) if len(events) <= BATCH_MAX_EVENTS else None
    if value is not None and len(value) <= record_max_bytes:
        yield RecordGroup(positions, Message(key, value))
        return
    if len(positions) == 1:
        yield RecordGroup(positions, None)
        return
    middle = len(positions) // 2
    for half in (slice(middle), slice(middle, None)):
        yield from _encode(events[half], positions[half], key=key, encode=encode, record_max_bytes=record_max_bytes)
