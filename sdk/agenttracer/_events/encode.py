"""Encoding: each event becomes JSON by itself, and encoded events become request bodies of bounded size. No queue, no network."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from agenttracer.wire.envelope import VERSION
from agenttracer.wire.events import Event, EventsDropped, RunHeartbeat
from agenttracer.wire.writer import to_json

BODY_MAX_BYTES: Final = 512 * 1024
"""Before compression; half of the compressed size that a gateway takes, so that even incompressible bodies pass."""
_FRAME_BYTES: Final = 512
"""More than version, producer and brackets can take."""


@dataclass(slots=True, frozen=True)
class EncodedEvent:
    """One event as JSON, with the facts needed to count it as accepted or dropped."""

    run_id: str
    payload: bytes
    report: EventsDropped | None
    """Set for a drop report, which is sent again when it does not arrive."""
    counted: bool
    """Whether it is a sequenced event, which is accounted for one by one."""


def encode_event(event: Event) -> EncodedEvent:
    """Encode an event."""
    report = event if isinstance(event, EventsDropped) else None
    counted = not isinstance(event, EventsDropped | RunHeartbeat)
    return EncodedEvent(event.run_id, to_json(event), report, counted)


def split_into_bodies(events: Iterable[EncodedEvent], *, max_events: int) -> Iterator[list[EncodedEvent]]:
    """The events in their order, in lists that each fit one request."""
    body: list[EncodedEvent] = []
    size = _FRAME_BYTES
    for event in events:
        if body and (len(body) >= max_events or size + len(event.payload) + 1 > BODY_MAX_BYTES):
            yield body
            body, size = [], _FRAME_BYTES
        body.append(event)
        size += len(event.payload) + 1
    if body:
        yield body


def batch_body(events: Sequence[EncodedEvent], *, producer: bytes) -> bytes:
    """The body of `POST /v1/events`: `envelope.Batch` as JSON, joined from events that are encoded already."""
    payloads = b",".join(event.payload for event in events)
    return b'{"v":"%s","producer":%s,"events":[%s]}' % (VERSION.encode(), producer, payloads)
