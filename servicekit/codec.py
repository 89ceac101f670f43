"""The fast JSON codec of gateway and workers: msgspec structs generated from the contract's dataclasses.

The structs have the same names, fields, defaults and limits as the dataclasses, so code that takes an `Event` takes either.
msgspec checks types, ranges, enums and lengths while it parses; forms of strings are checked here, once for each distinct
string that an agent keeps repeating. Input that does not pass at once, or has an unknown member, goes to the reference reader in
`agenttracer.wire.reader`, which names the rule, drops and counts. Both accept the same input; a property test says so.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, cast

import msgspec

from agenttracer.wire import events as wire
from agenttracer.wire import form, reader
from agenttracer.wire.envelope import BATCH_MAX_EVENTS, Batch, Producer, Record, supports
from agenttracer.wire.errors import ContractError
from servicekit.codec_checks import BY_FORM, CLEANLY, NAMES_ALONE, Check, compiled, without_none


def read_record(data: bytes | bytearray | memoryview) -> tuple[Record, reader.Notes]:
    """One record as it lies in the topic. Raises ContractError: a record is right or a dead letter."""
    try:
        record = _RECORD_DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return reader.read_record(parse(data))
    return (record, _NO_NOTES) if _record_fits(record) else reader.read_record(parse(data))


def read_batch(data: bytes | bytearray | memoryview) -> Batch | None:
    """`reading_batch` at once."""
    reading = reading_batch(data)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            return cast("Batch | None", end.value)


def reading_batch(data: bytes | bytearray | memoryview) -> Generator[None, None, Batch | None]:
    """One posted batch if it is flawless, else None: then `parse` it and let the reference reader take it event by event.

    Flawless means more than fitting: no detector of `agenttracer.rules.names` hits anything of it. A record was looked at before.
    Yields after some events: strings that were never seen before take detectors a tenth of a millisecond each.
    """
    try:
        batch = _BATCH_DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    for start in range(0, len(batch.events), _TURN_EVENTS):
        if start:
            yield
        if not _fits(batch, _CLEAN_PRODUCER, _CLEAN, batch.events[start : start + _TURN_EVENTS]):
            return None
    return cast("Batch", batch)


_TURN_EVENTS: Final = 50


def parse(data: bytes | bytearray | memoryview) -> object:
    """Plain Python values. Raises ContractError on anything that is not one JSON value in UTF-8 of sane depth."""
    try:
        return _ANY_DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ContractError(field="", rule="json") from None


def encode_record(record: Record) -> bytes:
    """The value of one Kafka message, without absent members. Takes events of either form."""
    encode = record_encoder(v=record.v, project=record.project, producer=record.producer, received_at=record.received_at)
    return encode(record.events)


def record_encoder(*, v: str, project: str, producer: Producer, received_at: int) -> Callable[[Sequence[wire.Event]], bytes]:
    """`encode_record` for many records that have all but their events in common: that part is encoded once."""
    members = {"v": v, "project": project, "producer": _as_struct(producer), "received_at": received_at}
    head = _ENCODER.encode(members)[:-1] + b',"events":'

    def encode(events: Sequence[wire.Event]) -> bytes:
        structs = [event if type(event) in _FITS else _as_struct(event) for event in events]
        return b"".join((head, _ENCODER.encode(structs), b"}"))

    return encode


def replaced(item: Any, **members: Any) -> Any:  # noqa: ANN401 - a contract object in either form
    """A copy of `item` with other members."""
    return msgspec.structs.replace(item, **members) if isinstance(item, msgspec.Struct) else dataclasses.replace(item, **members)


def struct_of(kind: type) -> Any:  # noqa: ANN401 - made at run time
    """The class of this codec's own form of a contract class: what to build where building the dataclass costs too much."""
    return _STRUCTS[kind]


def is_clean(event: Any) -> bool:  # noqa: ANN401 - a contract object in either form
    """Whether a valid event in this codec's own form has nothing that the second lock on names would change; else False."""
    check = _CLEAN_NAMES.get(type(event))
    return check is not None and check(event)


def _as_struct(item: Any) -> Any:  # noqa: ANN401 - a contract object in either form
    if isinstance(item, msgspec.Struct):
        return item
    values = {f.name: getattr(item, f.name) for f in dataclasses.fields(item)}
    nested = {name: _as_struct(value) for name, value in values.items() if type(value) in _NESTED}
    return _STRUCTS[type(item)](**{**values, **nested})


# --- generated once, at import -------------------------------------------------------------------------------------------


def _msgspec_type(hint: Any) -> Any:  # noqa: ANN401 - annotations have no narrower type
    """The annotation that msgspec understands for one of the contract's."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return _msgspec_type(without_none(hint)) | None
    if hint == wire.Metadata:
        return dict[typing.Annotated[str, msgspec.Meta(max_length=64)], _METADATA_VALUE]
    if typing.get_origin(hint) is typing.Annotated:
        base, constraint = typing.get_args(hint)[0], hint.__metadata__[0]
        if isinstance(constraint, wire.Form):
            return typing.Annotated[base, msgspec.Meta(max_length=constraint.max_chars)]
        return typing.Annotated[base, msgspec.Meta(ge=constraint.low, le=constraint.high)]
    return _STRUCTS.get(hint, hint)


_METADATA_VALUE: Final[Any] = (
    bool
    | typing.Annotated[int, msgspec.Meta(ge=wire.INT64_MIN, le=wire.INT64_MAX)]
    | float
    | typing.Annotated[str, msgspec.Meta(max_length=64)]
)


def _struct(target: Any) -> Any:  # noqa: ANN401 - a struct class made at run time
    hints = typing.get_type_hints(target, include_extras=True)
    tag = getattr(target, "type", None)
    return msgspec.defstruct(
        target.__name__,
        [_field(f, _msgspec_type(hints[f.name])) for f in dataclasses.fields(target)],
        tag_field="type" if tag else None,
        tag=tag,
        namespace={"type": tag} if tag else None,
        frozen=True,
        kw_only=True,
        omit_defaults=True,
        forbid_unknown_fields=True,
        gc=False,
    )


def _field(f: Any, hint: Any) -> Any:  # noqa: ANN401 - dataclasses.Field of anything
    if f.default is not dataclasses.MISSING:
        return (f.name, hint, f.default)
    if f.default_factory is not dataclasses.MISSING:
        return (f.name, hint, msgspec.field(default_factory=f.default_factory))
    return (f.name, hint)


_NESTED: Final = frozenset(wire.NESTED)
_STRUCTS: Final[dict[Any, Any]] = {}
for _target in (*wire.NESTED, Producer, *wire.EVENT_KINDS):
    _STRUCTS[_target] = _struct(_target)

_EVENT: Final = typing.Union[tuple(_STRUCTS[kind] for kind in wire.EVENT_KINDS)]  # noqa: UP007 - built from a tuple
_EVENTS: Final = typing.Annotated[list[_EVENT], msgspec.Meta(min_length=1, max_length=BATCH_MAX_EVENTS)]  # type: ignore[valid-type]  # made above
_HEAD: Final[list[Any]] = [("v", str), ("producer", _STRUCTS[Producer]), ("events", _EVENTS)]
_BATCH: Final = msgspec.defstruct("Batch", _HEAD, forbid_unknown_fields=True, kw_only=True, gc=False)
_RECORD: Final = msgspec.defstruct(
    "Record",
    [
        *_HEAD,
        ("project", typing.Annotated[str, msgspec.Meta(max_length=64)]),
        ("received_at", typing.Annotated[int, msgspec.Meta(ge=wire.TIME_MIN_US, le=wire.TIME_MAX_US)]),
    ],
    forbid_unknown_fields=True,
    kw_only=True,
    gc=False,
)
_BATCH_DECODER: Final[Any] = msgspec.json.Decoder(_BATCH)
_RECORD_DECODER: Final[Any] = msgspec.json.Decoder(_RECORD)
_ANY_DECODER: Final = msgspec.json.Decoder()
_ENCODER: Final = msgspec.json.Encoder()
_NO_NOTES: Final = reader.Notes()


_producer_fits: Final = compiled(Producer, BY_FORM)
_FITS: Final[dict[Any, Check]] = {_STRUCTS[kind]: compiled(kind, BY_FORM) for kind in wire.EVENT_KINDS}
_CLEAN_PRODUCER: Final = compiled(Producer, CLEANLY)
_CLEAN: Final[dict[Any, Check]] = {_STRUCTS[kind]: compiled(kind, CLEANLY) for kind in wire.EVENT_KINDS}
_CLEAN_NAMES: Final[dict[Any, Check]] = {_STRUCTS[kind]: compiled(kind, NAMES_ALONE) for kind in wire.EVENT_KINDS}
_project_fits: Final = cast("Any", wire.Name).__metadata__[0].check


def _fits(batch: Any, producer_fits: Check, events_fit: dict[Any, Check], events: Sequence[Any]) -> bool:  # noqa: ANN401 - made at run time
    """Whether the batch fits, as far as some of its events say."""
    if not supports(batch.v) or not producer_fits(batch.producer):
        return False
    run_id = None
    for event in events:
        if event.run_id != run_id:
            run_id = event.run_id
            if not form.is_run_id(run_id):
                return False
        if not events_fit[type(event)](event):
            return False
    return True


def _record_fits(record: Any) -> bool:  # noqa: ANN401 - made at run time
    run_id = record.events[0].run_id
    fits = _fits(record, _producer_fits, _FITS, record.events)
    return fits and _project_fits(record.project) and all(event.run_id == run_id for event in record.events)
