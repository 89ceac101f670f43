"""OTLP JSON bytes to spans. Members that stand in none of these structs are skipped by the parser and never become objects.

OTLP's JSON is protobuf's with three changes: ids are hex, enums are numbers, unknown members are ignored. 64-bit integers
come as strings or numbers, and so may 32-bit ones; null is as good as nothing.
"""

from binascii import Error, unhexlify
from collections.abc import Sequence
from typing import Final

import msgspec

from producer_gateway.otlp.errors import NotOtlpError
from producer_gateway.otlp.span import EXCEPTION, EXCEPTION_TYPE, ITEMS_MAX, Decoded, Said, Span
from producer_gateway.otlp.table import RESOURCE_ROWS, ROWS

_STATUS_ERROR: Final = 2
_EVENTS_MAX: Final = 128
_DIGITS_MAX: Final = 20


class _Camel(msgspec.Struct, rename="camel", gc=False):
    """Members as OTLP's JSON spells them."""


class _Item(_Camel):
    string_value: str | None = None


class _Array(_Camel):
    values: list[_Item] | None = None


class _Value(_Item):
    bool_value: bool | None = None
    int_value: int | float | str | None = None
    double_value: float | str | None = None
    array_value: _Array | None = None


class _Attribute(_Camel):
    key: str | None = None
    value: _Value | None = None


class _Event(_Camel):
    name: str | None = None
    attributes: list[_Attribute] | None = None


class _Link(_Camel):
    attributes: list[_Attribute] | None = None


class _Status(_Camel):
    code: int | str | None = None


class _JsonSpan(_Camel):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    flags: int | str | None = None
    name: str | None = None
    start_time_unix_nano: int | str | None = None
    end_time_unix_nano: int | str | None = None
    status: _Status | None = None
    attributes: list[_Attribute] | None = None
    events: list[_Event] | None = None
    links: list[_Link] | None = None


class _Scope(_Camel):
    attributes: list[_Attribute] | None = None


class _ScopeSpans(_Camel):
    scope: _Scope | None = None
    spans: list[_JsonSpan] | None = None


class _Resource(_Camel):
    attributes: list[_Attribute] | None = None


class _ResourceSpans(_Camel):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class JsonRequest(_Camel):
    """An ExportTraceServiceRequest, as far as it is looked at."""

    resource_spans: list[_ResourceSpans] | None = None


_DECODER: Final = msgspec.json.Decoder(JsonRequest)


def decode(body: bytes, *, spans_max: int) -> Decoded:
    """Raises NotOtlpError, BodyTooLargeError."""
    try:
        request = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotOtlpError from None
    decoded = Decoded(spans_max)
    for resource_spans in request.resource_spans or ():
        part = decoded.part(_resource(resource_spans.resource, decoded))
        for scope_spans in resource_spans.scope_spans or ():
            decoded.announce_spans(len(scope_spans.spans or ()))
            if scope_spans.scope is not None:
                _leave_out(scope_spans.scope.attributes or (), decoded)
            part.spans.extend([_span(span, decoded) for span in scope_spans.spans or ()])
    return decoded


def _span(span: _JsonSpan, decoded: Decoded) -> Span:
    failed = span.status is not None and span.status.code in {_STATUS_ERROR, "STATUS_CODE_ERROR"}
    said: dict[str, object] = {}
    found: dict[str, object] = {}
    attributes = span.attributes or ()
    decoded.announce_attributes(len(attributes))
    for attribute in attributes:
        key = attribute.key or ""
        if key in ROWS:
            said[key] = _value(attribute.value)
        else:
            decoded.leave_out_of_span(key, found)
    exception_type = _exception_type(span.events or (), decoded, failed=failed)
    _leave_out_of_links(span.links or (), decoded)
    return Span(
        _id(span.trace_id or ""),
        _id(span.span_id or ""),
        _id(span.parent_span_id or ""),
        _integer(span.flags) or 0,
        span.name or "",
        _integer(span.start_time_unix_nano) or 0,
        _integer(span.end_time_unix_nano) or 0,
        failed,
        exception_type,
        said | found,
    )


def _resource(resource: _Resource | None, decoded: Decoded) -> Said:
    attributes = (resource.attributes if resource is not None else None) or ()
    decoded.announce_attributes(len(attributes))
    said: dict[str, object] = {}
    for each in attributes:
        key = each.key or ""
        if key in RESOURCE_ROWS:
            said[key] = _value(each.value)
        else:
            decoded.leave_out(key)
    return said


def _value(value: _Value | None) -> object:
    if value is None:
        return None
    if value.int_value is not None:
        return _integer(value.int_value)
    if value.array_value is not None:
        return tuple(each.string_value or "" for each in (value.array_value.values or ())[:ITEMS_MAX])
    for scalar in (value.string_value, value.bool_value):
        if scalar is not None:
            return scalar
    return value.double_value if isinstance(value.double_value, float) else None


def _integer(value: float | str | None) -> int | None:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    digits = value.removeprefix("-")
    return int(value) if len(digits) <= _DIGITS_MAX and digits.isascii() and digits.isdigit() else None


def _id(digits: str) -> bytes:
    """Bytes of an id; a single byte, which no id is, where it is not hex."""
    try:
        return unhexlify(digits) if digits.isascii() else b"?"
    except (Error, ValueError):
        return b"?"


def _exception_type(events: Sequence[_Event], decoded: Decoded, *, failed: bool) -> str | None:
    """Of the last exception of a span that failed: earlier ones were handled. Of all other events nothing is read."""
    decoded.announce_attributes(min(len(events), _EVENTS_MAX))
    found: str | None = None
    for event in reversed(events[-_EVENTS_MAX:]):
        attributes = event.attributes or ()
        if failed and event.name == EXCEPTION:
            failed = False
            found = _type_of(attributes, decoded)
        else:
            _leave_out(attributes, decoded)
    return found


def _type_of(attributes: Sequence[_Attribute], decoded: Decoded) -> str | None:
    decoded.announce_attributes(len(attributes))
    found: str | None = None
    for each in attributes:
        if each.key != EXCEPTION_TYPE:
            decoded.leave_out(each.key or "")
        elif found is None:
            found = (each.value and each.value.string_value) or ""
    return found


def _leave_out_of_links(links: Sequence[_Link], decoded: Decoded) -> None:
    decoded.announce_attributes(min(len(links), _EVENTS_MAX))
    for link in links[-_EVENTS_MAX:]:
        _leave_out(link.attributes or (), decoded)


def _leave_out(attributes: Sequence[_Attribute], decoded: Decoded) -> None:
    decoded.announce_attributes(len(attributes))
    for each in attributes:
        decoded.leave_out(each.key or "")
