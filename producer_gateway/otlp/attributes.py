"""One attribute of a span, from its bytes to the target, rank and fitted value that the mapping gives it.

Agents send the same attributes over and over, so those that passed whole are remembered by their bytes, up to a bound: most
cost one look-up. A value that did not pass, or was changed on the way, is never remembered: it might be content.
"""

from importlib import import_module
from typing import Any, Final

from agenttracer.wire import form
from producer_gateway.otlp import proto
from producer_gateway.otlp.mapping import ROWS, Row
from producer_gateway.otlp.span import CONTENT, ITEMS_MAX, NAMES, NUMBERED_CLASS, UNREMEMBERED, DecodedSpans

_KeyValue: Final[Any] = import_module("opentelemetry.proto.common.v1.common_pb2").KeyValue
_DecodeError: Final[Any] = import_module("google.protobuf.message").DecodeError
_REMEMBERED_MAX: Final = 32_768
_SCALARS: Final = frozenset({"string_value", "int_value", "double_value", "bool_value"})
_ROWS: Final = {name.encode(): row for name, row in ROWS.items()}
# Bytes of a KeyValue as every encoder writes it: key (field 1), its length, value (field 2), its length, the value's member.
_KEY: Final = 0x0A
_VALUE: Final = 0x12
_INT: Final = 0x18
_VARINT_MORE: Final = 0x80
_ONE_BYTE, _TWO_BYTES = 1, 2
_NUMBER_BYTES: Final = 13
"""Of a value that is a number, at the most: two tags, a length, a varint."""


Mapped = tuple[str, int, Any, bool]
"""An attribute as it may be stored: target, rank, value, and whether the target is a mark and not metadata."""

remembered: Final[dict[bytes, Mapped]] = {}
"""Mapped attributes that passed whole, by their bytes."""
unplaced: Final[dict[bytes, str]] = {}
"""Classes of names that have no row and the form of a metadata key, by the bytes of the whole key: tag, length and name."""


def read(raw: bytes, found: dict[str, object], decoded: DecodedSpans) -> Mapped | None:
    """The mapping of an attribute that is not `remembered`; None when it has none, which is counted."""
    if raw[:1] != b"\x0a" or len(raw) < 2 or raw[1] >= _VARINT_MORE:  # noqa: PLR2004 - tag and length
        return _read_any(raw, found, decoded)
    end = 2 + raw[1]
    key = raw[2:end]
    row = _ROWS.get(key)
    if row is None:
        _leave_out(key, raw[:end], found, decoded)
        return None
    if row.target in CONTENT:
        return row.target, row.rank, raw, True
    value = _small_int(raw, end)
    return _read_any(raw, found, decoded) if value is None else _fit(row, value, raw, decoded)


def leave_out(raw: bytes, decoded: DecodedSpans) -> None:
    """Count an attribute of what none is read of, by its name alone."""
    if raw[:1] != b"\x0a" or len(raw) < 2 or raw[1] >= _VARINT_MORE:  # noqa: PLR2004 - tag and length
        decoded.leave_out(pair(raw)[0])
        return
    tagged = raw[: 2 + raw[1]]
    name_class = unplaced.get(tagged)
    if name_class is None:
        decoded.leave_out(tagged[2:].decode(errors="replace"))
    else:
        decoded.left_out[name_class] += 1


def _leave_out(key: bytes, tagged: bytes, found: dict[str, object], decoded: DecodedSpans) -> None:
    name = key.decode(errors="replace")
    name_class = decoded.leave_out_of_span(name, found)
    if name_class != NUMBERED_CLASS and form.is_metadata_key(name):
        if len(unplaced) >= _REMEMBERED_MAX:
            unplaced.clear()
        unplaced[tagged] = name_class


def _small_int(raw: bytes, at: int) -> int | None:
    """The value from `at` on, if it is a whole number of one or two bytes and nothing else."""
    size = len(raw) - at - 3
    if not _ONE_BYTE <= size <= _TWO_BYTES or raw[at] != _VALUE or raw[at + 1] != size + 1 or raw[at + 2] != _INT:
        return None
    low = raw[at + 3]
    if size == _ONE_BYTE:
        return low if low < _VARINT_MORE else None
    high = raw[at + 4]
    return low - _VARINT_MORE + (high << 7) if low >= _VARINT_MORE > high else None


def _read_any(raw: bytes, found: dict[str, object], decoded: DecodedSpans) -> Mapped | None:
    """By protobuf's own classes, whatever the bytes are."""
    key, value = pair(raw)
    row = ROWS.get(key)
    if row is None:
        decoded.leave_out_of_span(key, found)
        return None
    return _fit(row, value, raw, decoded)


def _fit(row: Row, value: object, raw: bytes, decoded: DecodedSpans) -> Mapped | None:
    fitted = row.read(value)
    if fitted is None:
        decoded.dropped["metadata_value"] += 1
        return None
    mapped = row.target, row.rank, fitted, row.target[0] == "@"
    if row.target in NAMES and fitted != value:
        decoded.dropped["name"] += 1
    elif row.target not in UNREMEMBERED and raw[0] == _KEY and _is_all(value, len(raw) - 2 - raw[1]):
        if len(remembered) >= _REMEMBERED_MAX:
            remembered.clear()
        remembered[raw] = mapped
    return mapped


def _is_all(value: object, size: int) -> bool:
    """Whether the bytes after the key, so many, hold what may be stored and nothing else."""
    if isinstance(value, str):
        return size == len(value) + 4 and form.is_name(value)
    if isinstance(value, tuple):
        return len(value) == 1 and size == len(value[0]) + 8 and form.is_name(value[0])
    return size <= _NUMBER_BYTES


def pair(raw: bytes) -> tuple[str, object]:
    """Name and value of an attribute. Text that is not UTF-8 has U+FFFD in it, so it is no name; what cannot be read is None."""
    try:
        attribute = _KeyValue.FromString(raw)
    except _DecodeError:
        return _mended(raw)
    return attribute.key, _any_value(attribute.value)


def _mended(raw: bytes) -> tuple[str, object]:
    try:
        attribute = proto.Attribute.FromString(raw)
    except _DecodeError:
        return "", None
    value, name = attribute.value, attribute.key.decode(errors="replace")
    if value.HasField("array_value"):
        return name, tuple([each.string_value.decode(errors="replace") for each in value.array_value.values[:ITEMS_MAX]])
    return name, value.string_value.decode(errors="replace") or None


def _any_value(value: Any) -> object:  # noqa: ANN401 - protobuf's class has no type
    """str, bool, int, float, a tuple of str, or None for any other type."""
    member = value.WhichOneof("value")
    if member in _SCALARS:
        return getattr(value, member)
    if member == "array_value":
        return tuple([each.string_value for each in value.array_value.values[:ITEMS_MAX]])
    return None
