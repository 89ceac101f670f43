"""Batches: drafts become JSON one by one, and JSON becomes request bodies of bounded size. No queue, no network."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from agenttracer.wire.envelope import VERSION
from agenttracer.wire.events import Event, EventsDropped, RunHeartbeat
from agenttracer.wire.writer import to_json

BODY_MAX_BYTES: Final = 512 * 1024
"""Before compression; half of what a gateway takes compressed, so that even incompressible bodies pass."""
_FRAME_BYTES: Final = 512
"""More than version, producer and brackets can take."""


@dataclass(slots=True, frozen=True)
class Parcel:
    """One event, ready to send, and what is needed to account for it."""

    run_id: str
    payload: bytes
    report: EventsDropped | None
    """Set for a drop report, which is told again when it does not arrive."""
    counted: bool
    """Whether it is a sequenced event, which is accounted for one by one."""


def parcel_of(event: Event) -> Parcel:
    """Encode an event."""
    report = event if isinstance(event, EventsDropped) else None
    counted = not isinstance(event, EventsDropped | RunHeartbeat)
    return Parcel(event.run_id, to_json(event), report, counted)


def packed(parcels: Iterable[Parcel], *, max_events: int) -> Iterator[list[Parcel]]:
    """The parcels in their order, in lots that each fit one request."""
    lot: list[Parcel] = []
    size = _FRAME_BYTES
    for parcel in parcels:
        if lot and (len(lot) >= max_events or size + len(parcel.payload) + 1 > BODY_MAX_BYTES):
            yield lot
            lot, size = [], _FRAME_BYTES
        lot.append(parcel)
        size += len(parcel.payload) + 1
    if lot:
        yield lot


def body_of(parcels: Sequence[Parcel], *, producer: bytes) -> bytes:
    """The body of `POST /v1/events`: `envelope.Batch` as JSON, put together from what is encoded already."""
    events = b",".join(parcel.payload for parcel in parcels)
    return b'{"v":"%s","producer":%s,"events":[%s]}' % (VERSION.encode(), producer, events)
