"""OTLP JSON bytes to spans: ids, times and the attributes that the mapping names."""

from binascii import Error, unhexlify
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from producer_gateway.errors import NotOtlpError
from producer_gateway.otlp.json_request import JsonAttribute, JsonEvent, JsonLink, JsonRequest, JsonResource, JsonSpan, JsonValue
from producer_gateway.otlp.mapping import RESOURCE_ROWS, ROWS
from producer_gateway.otlp.mended import json_request as mended
from producer_gateway.otlp.span import (
    ANSWERS_OF_EVENTS,
    EXCEPTION,
    EXCEPTION_MESSAGE,
    EXCEPTION_TYPE,
    ITEMS_MAX,
    UNREADABLE,
    Attributes,
    DecodedSpans,
    Span,
)

_STATUS_ERROR: Final = 2
_EVENTS_MAX: Final = 128
_DIGITS_MAX: Final = 20


_DECODER: Final = msgspec.json.Decoder(JsonRequest)


def decode(body: bytes, *, spans_max: int) -> DecodedSpans:
    """Raises NotOtlpError, BodyTooLargeError."""
    request = _read(body)
    decoded = DecodedSpans(spans_max)
    for resource_spans in request.resource_spans or ():
        part = decoded.part(_resource(resource_spans.resource, decoded))
        for scope_spans in resource_spans.scope_spans or ():
            decoded.announce_spans(len(scope_spans.spans or ()))
            if scope_spans.scope is not None:
                _leave_out(scope_spans.scope.attributes or (), decoded)
            part.spans.extend([_span(span, decoded) for span in scope_spans.spans or ()])
    return decoded


def _read(body: bytes) -> JsonRequest:
    try:
        return _DECODER.decode(body)
    except _UNREADABLE:
        pass
    try:
        return mended.read(body)
    except _UNREADABLE:
        raise NotOtlpError from None


_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def _span(span: JsonSpan | None, decoded: DecodedSpans) -> Span:
    if span is None:
        return UNREADABLE
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
    exception_type, message = _exception(span.events or (), said, decoded, failed=failed)
    if failed and not message and span.status is not None:
        message = span.status.message or ""
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
        None,
        message,
    )


def _resource(resource: JsonResource | None, decoded: DecodedSpans) -> Attributes:
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


def _value(value: JsonValue | None) -> object:
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


def _exception(
    events: Sequence[JsonEvent], said: dict[str, object], decoded: DecodedSpans, *, failed: bool
) -> tuple[str | None, str]:
    """Type and message of a failed span's last exception: earlier ones were handled. Answers of models are read on the way."""
    decoded.announce_attributes(min(len(events), _EVENTS_MAX))
    found: tuple[str | None, str] = None, ""
    for event in reversed(events[-_EVENTS_MAX:]):
        attributes = event.attributes or ()
        if failed and event.name == EXCEPTION:
            failed = False
            found = _said_of(attributes, decoded)
        elif (event.name or "") in ANSWERS_OF_EVENTS:
            _read_answer(attributes, ANSWERS_OF_EVENTS[event.name or ""], said, decoded)
        else:
            _leave_out(attributes, decoded)
    return found


def _read_answer(
    attributes: Sequence[JsonAttribute], names: Mapping[str, str], said: dict[str, object], decoded: DecodedSpans
) -> None:
    """Attributes of an event that stand for the span's own, where it has none of their targets."""
    decoded.announce_attributes(len(attributes))
    targets = {ROWS[name].target for name in said}
    for each in attributes:
        name = names.get(each.key or "")
        if name is None:
            decoded.leave_out(each.key or "")
        elif ROWS[name].target not in targets:
            said.setdefault(name, _value(each.value))


def _said_of(attributes: Sequence[JsonAttribute], decoded: DecodedSpans) -> tuple[str | None, str]:
    decoded.announce_attributes(len(attributes))
    found: str | None = None
    message = ""
    for each in attributes:
        if each.key != EXCEPTION_TYPE:
            decoded.leave_out(each.key or "")
            if each.key == EXCEPTION_MESSAGE:
                message = (each.value and each.value.string_value) or ""
        elif found is None:
            found = (each.value and each.value.string_value) or ""
    return found, message


def _leave_out_of_links(links: Sequence[JsonLink], decoded: DecodedSpans) -> None:
    decoded.announce_attributes(min(len(links), _EVENTS_MAX))
    for link in links[-_EVENTS_MAX:]:
        _leave_out(link.attributes or (), decoded)


def _leave_out(attributes: Sequence[JsonAttribute], decoded: DecodedSpans) -> None:
    decoded.announce_attributes(len(attributes))
    for each in attributes:
        decoded.leave_out(each.key or "")
