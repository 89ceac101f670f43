"""Bytes to events: what of a posted batch is accepted, refused item by item, left out, unknown. No I/O, no clock.

A flawless batch, which is nearly every one, is taken as the fast codec built it. Anything else goes to the reference reader
event by event.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agenttracer.rules.names import fit as names
from agenttracer.wire import reader
from agenttracer.wire.envelope import Producer
from agenttracer.wire.errors import ContractError, VersionError
from agenttracer.wire.events import Event
from agenttracer.wire.vocabulary import INVALID_NAME
from producer_gateway.errors import NotJsonError, TooManyMisfitsError, UnknownVersionError, UnprocessableError
from producer_gateway.events.misfit import Misfit
from servicekit import codec

MISFITS_MAX: Final = 1_000
"""Events and values of one batch that may break a rule. The SDK sends none; a careless client has one an event."""
_TURN_EVENTS: Final = 50
"""Of the slow way, a millisecond."""


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
class ValidBatch:
    """A request's events, rebuilt from the contract. `indices` says where each stood in the request."""

    producer: Producer
    events: Sequence[Event]
    indices: Sequence[int]
    rejected: Sequence[Rejection] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    unknown: int = 0
    clean: bool = False
    """Whether its names were looked at already (`name_lock`)."""


class FittingNames(reader.Lenient):
    """The lenient reader, which gives a required name that does not fit the form that it can have."""

    def name(self, value: str, error: ContractError) -> str:
        """See `names.fit`; counted once, by its rule. One that has no form waits for the lock, which knows its project."""
        fitting = names.fit(value)
        self.notes.dropped[fitting.rule or error.rule] += 1
        return Misfit(value) if fitting.name == INVALID_NAME else fitting.name


def checking(body: bytes, *, events_max: int) -> Generator[None, None, ValidBatch]:
    """Returns the batch, and yields where others may have a turn.

    Raises NotJsonError, UnknownVersionError, UnprocessableError, TooManyMisfitsError where nothing of the batch is taken.
    """
    batch = yield from codec.reading_batch(body)
    if batch is None:
        return (yield from _check_each(body, events_max=events_max))
    if len(batch.events) > events_max:
        raise UnprocessableError(field="events", code="range")
    return ValidBatch(producer=batch.producer, events=batch.events, indices=range(len(batch.events)), clean=True)


def _check_each(body: bytes, *, events_max: int) -> Generator[None, None, ValidBatch]:
    unfit = _Bounded()
    producer, items = _read_head(body, unfit)
    if len(items) > events_max:
        raise UnprocessableError(field="events", code="range")
    unfit.items = len(items)
    events: list[Event] = []
    indices: list[int] = []
    rejected: list[Rejection] = []
    for index, item in enumerate(items):
        if index and index % _TURN_EVENTS == 0:
            yield
        try:
            events.append(reader.read_event(item, unfit))
        except ContractError as error:
            unfit.count(1)
            rejected.append(Rejection(index=index, field=error.field, code=error.rule))
        else:
            indices.append(index)
    notes = unfit.notes
    return ValidBatch(
        producer=producer, events=events, indices=indices, rejected=rejected, dropped=dict(notes.dropped), unknown=notes.unknown
    )


class _Bounded(FittingNames):
    """Leaves out what does not fit, up to a limit: a sender of thousands is broken, and each one takes the slow way."""

    def __init__(self) -> None:
        super().__init__()
        self._misfits = 0
        self.items = 0
        """Of the batch: all of them were parsed."""

    def optional(self, error: ContractError) -> None:
        """See Lenient. Raises TooManyMisfitsError."""
        super().optional(error)
        self.count(1)

    def name(self, value: str, error: ContractError) -> str:
        """See Lenient. Raises TooManyMisfitsError."""
        self.count(1)
        return super().name(value, error)

    def count(self, misfits: int) -> None:
        """Count values or events that do not fit. Raises TooManyMisfitsError."""
        self._misfits += misfits
        if self._misfits > MISFITS_MAX:
            raise TooManyMisfitsError(examined=max(self._misfits, self.items))


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
