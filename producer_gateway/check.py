"""Bytes to events: what of a posted batch is accepted, refused item by item, left out, unknown. No I/O, no clock.

A flawless batch, which is nearly every one, is taken as the fast codec built it. Anything else goes to the reference reader
event by event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agenttracer.wire import reader
from agenttracer.wire.envelope import Producer
from agenttracer.wire.errors import ContractError, VersionError
from agenttracer.wire.events import Event
from producer_gateway.errors import NotJsonError, UnknownVersionError, UnprocessableError
from servicekit import codec


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """One item that is not accepted: its place in the request, and the field and rule that it breaks."""

    index: int
    field: str
    code: str

    def members(self) -> dict[str, object]:
        """As it stands in answers."""
        return {"index": self.index, "field": self.field, "code": self.code}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A request's events, rebuilt from the contract. `indices` says where each stood in the request."""

    producer: Producer
    events: Sequence[Event]
    indices: Sequence[int]
    rejected: Sequence[Rejection] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    unknown: int = 0


def check(body: bytes, *, events_max: int) -> Checked:
    """Raises NotJsonError, UnknownVersionError, UnprocessableError where the batch as a whole cannot be read."""
    batch = codec.read_batch(body)
    if batch is None:
        return _check_each(body, events_max=events_max)
    if len(batch.events) > events_max:
        raise UnprocessableError(field="events", code="range")
    return Checked(producer=batch.producer, events=batch.events, indices=range(len(batch.events)))


def _check_each(body: bytes, *, events_max: int) -> Checked:
    unfit = reader.Lenient()
    producer, items = _read_head(body, unfit)
    if len(items) > events_max:
        raise UnprocessableError(field="events", code="range")
    events: list[Event] = []
    indices: list[int] = []
    rejected: list[Rejection] = []
    for index, item in enumerate(items):
        try:
            events.append(reader.read_event(item, unfit))
        except ContractError as error:
            rejected.append(Rejection(index=index, field=error.field, code=error.rule))
        else:
            indices.append(index)
    notes = unfit.notes
    return Checked(
        producer=producer, events=events, indices=indices, rejected=rejected, dropped=dict(notes.dropped), unknown=notes.unknown
    )


def _read_head(body: bytes, unfit: reader.Unfit) -> tuple[Producer, Sequence[object]]:
    try:
        raw = codec.parse(body)
    except ContractError:
        raise NotJsonError from None
    try:
        _, producer, items = reader.read_batch_head(raw, unfit)
    except VersionError as error:
        raise UnknownVersionError(field=error.field) from None
    except ContractError as error:
        raise UnprocessableError(field=error.field or None, code=error.rule) from None
    return producer, items
