"""OTLP protobuf bytes to spans. Values of attributes that the mapping does not name are never taken out of the message."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from producer_gateway.errors import NotProtobufError
from producer_gateway.otlp import attributes, proto
from producer_gateway.otlp.complexity_limit import RESOURCE, SCOPE, SPAN, examine_piece
from producer_gateway.otlp.mapping import RESOURCE_ROWS, ROWS
from producer_gateway.otlp.span import (
    ANSWERS_OF_EVENTS,
    DOCUMENTS,
    EXCEPTION,
    EXCEPTION_MESSAGE,
    EXCEPTION_TYPE,
    UNREADABLE,
    Attributes,
    DecodedSpans,
    MappedAttributes,
    Span,
)

# Imported by name: protobuf makes its classes at run time, and stubs for them would be one more dependency.
_DecodeError: Final[Any] = import_module("google.protobuf.message").DecodeError
_STATUS_ERROR: Final = 2
_EVENTS_MAX: Final = 128
"""Span events, and links, that are looked at, from the last one: OpenTelemetry's default limits are 128 as well."""
_EXCEPTION: Final = EXCEPTION.encode()
_ANSWERS: Final = {name.encode(): names for name, names in ANSWERS_OF_EVENTS.items()}


def decode(body: bytes, *, spans_max: int) -> DecodedSpans:
    """Raises NotProtobufError, BodyTooLargeError."""
    try:
        return _decode(proto.Request.FromString(body), DecodedSpans(spans_max))
    except _DecodeError:
        raise NotProtobufError from None


def _decode(request: Any, decoded: DecodedSpans) -> DecodedSpans:  # noqa: ANN401 - protobuf's class has no type
    for resource_spans in request.resource_spans:
        part = decoded.part(_resource(resource_spans.resource, decoded))
        for scope_spans in resource_spans.scope_spans:
            decoded.announce_spans(len(scope_spans.spans))  # before they are copied
            _leave_out_of_scope(scope_spans.scope, decoded)
            part.spans.extend([_span(raw, decoded) for raw in scope_spans.spans[:]])
    return decoded


def _span(raw: bytes, decoded: DecodedSpans) -> Span:
    span = _parsed(raw, proto.Span, SPAN)
    if span is None:
        return UNREADABLE
    encoded = span.attributes
    decoded.announce_attributes(len(encoded))  # before they are copied
    placed = _placed(encoded[:], decoded)  # at once: one by one they cost twice as much
    failed, message = _status(span.status) if span.status else (False, "")
    exception_type = None
    if span.events:
        exception_type, said = _exception(span.events, placed, decoded, failed=failed)
        message = said or message
    if span.links:
        _leave_out_of_links(span.links, decoded)
    return Span(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.flags,
        span.name.decode(errors="replace"),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        failed,
        exception_type,
        None,
        placed,
        message,
    )


def _parsed(raw: bytes, message: Any, fields: dict[int, Any]) -> Any:  # noqa: ANN401 - protobuf's class has no type
    """A piece of the request; None where its bytes are no such message. Raises BodyTooLargeError."""
    try:
        examine_piece(raw, fields)
        return message.FromString(raw)
    except (_DecodeError, NotProtobufError):
        return None


def _status(raw: bytes) -> tuple[bool, str]:
    """Whether it is an error, and its description."""
    try:
        status = proto.Status.FromString(raw)
    except _DecodeError:
        return False, ""
    if status.code != _STATUS_ERROR:
        return False, ""
    return True, status.message.decode(errors="replace")


def _placed(encoded: Sequence[bytes], decoded: DecodedSpans) -> MappedAttributes:
    """A span's attributes by target, as `step.map_attributes` gives them, here from their bytes."""
    marks: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    found: dict[str, object] = {}
    for raw in encoded:
        mapped = _remembered(raw)
        if mapped is None:
            name_class = _unplaced(raw[: 2 + raw[1]]) if len(raw) > 1 else None
            if name_class is not None:
                decoded.left_out[name_class] += 1
                continue
            mapped = attributes.read(raw, found, decoded)
            if mapped is None:
                continue
        target, rank, value, is_mark = mapped
        placed = marks if is_mark else metadata
        if rank or ranks:  # most names are the first of their row, in all of a span
            if target in placed and ranks.get(target, 0) < rank:
                continue
            ranks[target] = rank
        placed[target] = value
    if found:
        row = ROWS[DOCUMENTS]
        if row.target not in metadata or ranks.get(row.target, 0) >= row.rank:
            metadata[row.target] = row.read(found[DOCUMENTS])
    return MappedAttributes(marks, metadata)


_remembered: Final = attributes.remembered.get
_unplaced: Final = attributes.unplaced.get


def _resource(resource: bytes, decoded: DecodedSpans) -> Attributes:
    parsed = _parsed(resource, proto.Resource, RESOURCE)
    encoded = () if parsed is None else parsed.attributes
    decoded.announce_attributes(len(encoded))
    said: dict[str, object] = {}
    for raw in encoded:
        key, value = attributes.pair(raw)
        if key in RESOURCE_ROWS:
            said[key] = value
        else:
            decoded.leave_out(key)
    return said


def _exception(
    events: Any,  # noqa: ANN401 - as above
    placed: MappedAttributes,
    decoded: DecodedSpans,
    *,
    failed: bool,
) -> tuple[str | None, str]:
    """Type and message of a failed span's last exception: earlier ones were handled. Answers of models are read on the way."""
    decoded.announce_attributes(min(len(events), _EVENTS_MAX))
    found: tuple[str | None, str] = None, ""
    for raw in reversed(events[-_EVENTS_MAX:]):
        event = _event(raw)
        if failed and event.name == _EXCEPTION:
            failed = False
            found = _said_of(event.attributes, decoded)
        elif event.name in _ANSWERS:
            _read_answer(event.attributes, _ANSWERS[event.name], placed, decoded)
        else:
            _leave_out(event.attributes, decoded)
    return found


def _read_answer(encoded: Sequence[bytes], names: Mapping[str, str], placed: MappedAttributes, decoded: DecodedSpans) -> None:
    """Attributes of an event that stand for the span's own, where it has none of their targets."""
    decoded.announce_attributes(len(encoded))
    for raw in encoded:
        key, value = attributes.pair(raw)
        if key not in names:
            decoded.leave_out(key)
            continue
        row = ROWS[names[key]]
        if (fitted := row.read(value)) is None:
            decoded.dropped["metadata_value"] += 1
        else:
            (placed.marks if row.target[0] == "@" else placed.metadata).setdefault(row.target, fitted)


def _event(raw: bytes) -> Any:  # noqa: ANN401 - as above
    """An event; an empty one where its bytes are none."""
    try:
        return proto.Event.FromString(raw)
    except _DecodeError:
        return proto.Event()


def _said_of(encoded: Sequence[bytes], decoded: DecodedSpans) -> tuple[str | None, str]:
    decoded.announce_attributes(len(encoded))
    found: str | None = None
    message = ""
    for raw in encoded:
        key, value = attributes.pair(raw)
        if key != EXCEPTION_TYPE:
            decoded.leave_out(key)
            if key == EXCEPTION_MESSAGE and isinstance(value, str):
                message = value
        elif found is None:
            found = value if isinstance(value, str) else ""
    return found, message


def _leave_out_of_scope(scope: bytes, decoded: DecodedSpans) -> None:
    parsed = _parsed(scope, proto.Scope, SCOPE)
    if parsed is not None:
        _leave_out(parsed.attributes, decoded)


def _leave_out_of_links(links: Any, decoded: DecodedSpans) -> None:  # noqa: ANN401 - as above
    decoded.announce_attributes(min(len(links), _EVENTS_MAX))
    for raw in links[-_EVENTS_MAX:]:
        try:
            link = proto.Link.FromString(raw)
        except _DecodeError:
            continue
        _leave_out(link.attributes, decoded)


def _leave_out(encoded: Sequence[bytes], decoded: DecodedSpans) -> None:
    decoded.announce_attributes(len(encoded))
    for raw in encoded:
        attributes.leave_out(raw, decoded)
