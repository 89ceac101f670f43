"""The fast JSON codec of gateway and workers: msgspec structs generated from the contract's dataclasses.

The structs have the same names, fields, defaults and limits as the dataclasses, so code that takes an `Event` takes either.
msgspec checks types, ranges, enums and lengths while it parses; forms of strings are checked here, once for each distinct
string that an agent keeps repeating. Whatever does not pass at once, and any unknown member, goes to the reference reader in
`agenttracer.wire.reader`, which knows what to say, drop and count. Both accept the same input; a property test says so.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import msgspec

from agenttracer.wire import events as wire
from agenttracer.wire import form, reader
from agenttracer.wire.envelope import BATCH_MAX_EVENTS, Batch, Producer, Record, supports
from agenttracer.wire.errors import ContractError

_Check = Callable[[Any], bool]


def read_record(data: bytes | bytearray | memoryview) -> tuple[Record, reader.Notes]:
    """One record as it lies in the topic. Raises ContractError: a record is right or a dead letter."""
    try:
        record = _RECORD_DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return reader.read_record(parse(data))
    return (record, _NO_NOTES) if _record_fits(record) else reader.read_record(parse(data))


def read_batch(data: bytes | bytearray | memoryview) -> Batch | None:
    """One posted batch if it is flawless, else None: then `parse` it and let the reference reader take it event by event."""
    try:
        batch = _BATCH_DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return cast("Batch", batch) if _batch_fits(batch) else None


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


def struct_of(kind: type) -> Any:  # noqa: ANN401 - made at run time
    """The class of this codec's own form of a contract class: what to build where building the dataclass costs too much."""
    return _STRUCTS[kind]


def _as_struct(item: Any) -> Any:  # noqa: ANN401 - a contract object in either form
    if isinstance(item, msgspec.Struct):
        return item
    values = {f.name: getattr(item, f.name) for f in dataclasses.fields(item)}
    if values.get("evidence") is not None:
        values["evidence"] = _as_struct(values["evidence"])
    return _STRUCTS[type(item)](**values)


# --- generated once, at import -------------------------------------------------------------------------------------------


def _msgspec_type(hint: Any) -> Any:  # noqa: ANN401 - annotations have no narrower type
    """The annotation that msgspec understands for one of the contract's."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return _msgspec_type(_without_none(hint)) | None
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


def _without_none(hint: Any) -> Any:  # noqa: ANN401 - as above
    return next(member for member in typing.get_args(hint) if member is not type(None))


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


_STRUCTS: Final[dict[Any, Any]] = {}
for _target in (wire.Evidence, Producer, *wire.EVENT_KINDS):
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


# --- forms of strings, which msgspec could check only by calling back for every occurrence ---------------------------------


def _checks(target: Any) -> tuple[tuple[str, bool, _Check], ...]:  # noqa: ANN401 - a contract class
    """(field, whether it may be absent, check) of every string of bounded form."""
    hints = typing.get_type_hints(target, include_extras=True)
    found = []
    for f in dataclasses.fields(target):
        hint, absent = hints[f.name], False
        if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
            hint, absent = _without_none(hint), True
        if hint is wire.Evidence:
            found.append((f.name, True, _evidence_fits))
        elif hint == wire.Metadata:
            found.append((f.name, False, _metadata_fits))
        elif typing.get_origin(hint) is typing.Annotated and isinstance(hint.__metadata__[0], wire.Form):
            found.append((f.name, absent, hint.__metadata__[0].check))
    return tuple(found)


def _compiled(target: Any) -> _Check:  # noqa: ANN401 - a contract class
    """One function that applies every check of a class but `run_id`'s: a loop over a table costs more than the checks do."""
    checks = [each for each in _checks(target) if each[0] != "run_id"]
    terms = [
        f"(e.{name} is None or c{i}(e.{name}))"
        if absent
        else f"(not e.{name} or c{i}(e.{name}))"
        if check is _metadata_fits
        else f"c{i}(e.{name})"
        for i, (name, absent, check) in enumerate(checks)
    ]
    source = f"lambda e: {' and '.join(terms) or 'True'}"
    return cast("_Check", eval(source, {f"c{i}": check for i, (_, _, check) in enumerate(checks)}))  # noqa: S307 - our own field names


def _metadata_fits(metadata: dict[str, object]) -> bool:
    # msgspec has checked int64 and finiteness; what is left are keys, labels and how many there are.
    for key, value in metadata.items():
        about = _known_keys.get(key) or _about(key)
        if about is _NO_KEY or (value.__class__ is str and (about is _CONTENT or not form.is_name(value))):
            return False
    return len(metadata) <= wire.METADATA_MAX_KEYS


_NO_KEY: Final = "no key"
_CONTENT: Final = "takes no labels"
_ANY: Final = "takes all"
_KNOWN_KEYS_MAX: Final = 4_096
_known_keys: Final[dict[str, str]] = {}


def _about(key: str) -> str:
    """What may stand under a key, remembered where the key has its form: one look-up instead of two checks."""
    if not form.is_metadata_key(key):
        return _NO_KEY
    if len(_known_keys) >= _KNOWN_KEYS_MAX:
        _known_keys.clear()
    _known_keys[key] = _CONTENT if form.names_content(key) else _ANY
    return _known_keys[key]


_evidence_fits: Final = _compiled(wire.Evidence)
_producer_fits: Final = _compiled(Producer)
_FITS: Final[dict[Any, _Check]] = {_STRUCTS[kind]: _compiled(kind) for kind in wire.EVENT_KINDS}
_project_fits: Final = cast("Any", wire.Name).__metadata__[0].check


def _events_fit(events: Sequence[Any]) -> bool:
    run_id = None
    for event in events:
        if event.run_id != run_id:
            run_id = event.run_id
            if not form.is_run_id(run_id):
                return False
        if not _FITS[type(event)](event):
            return False
    return True


def _batch_fits(batch: Any) -> bool:  # noqa: ANN401 - made at run time
    return supports(batch.v) and _producer_fits(batch.producer) and _events_fit(batch.events)


def _record_fits(record: Any) -> bool:  # noqa: ANN401 - made at run time
    run_id = record.events[0].run_id
    return _batch_fits(record) and _project_fits(record.project) and all(event.run_id == run_id for event in record.events)
