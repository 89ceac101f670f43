"""OTLP protobuf bytes to spans. Values of attributes that the table does not name are never taken out of the message."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from producer_gateway.otlp import attribute, messages
from producer_gateway.otlp.density import RESOURCE, SCOPE, SPAN, examine_piece
from producer_gateway.otlp.errors import NotProtobufError
from producer_gateway.otlp.kind import OPERATIONS
from producer_gateway.otlp.span import EXCEPTION, EXCEPTION_TYPE, Decoded, Placed, Said, Span
from producer_gateway.otlp.table import DOCUMENTS, RESOURCE_ROWS, ROWS

# Imported by name: protobuf makes its classes at run time, and stubs for them would be one more dependency.
_KeyValue: Final[Any] = import_module("opentelemetry.proto.common.v1.common_pb2").KeyValue
_Status: Final[Any] = import_module("opentelemetry.proto.trace.v1.trace_pb2").Status
_DecodeError: Final[Any] = import_module("google.protobuf.message").DecodeError
_STATUS_ERROR: Final = 2
_EVENTS_MAX: Final = 128
"""Span events, and links, that are looked at, from the last one: OpenTelemetry's default limits are 128 as well."""
_EXCEPTION: Final = EXCEPTION.encode()


def decode(body: bytes, *, spans_max: int) -> Decoded:
    """Raises NotProtobufError, BodyTooLargeError."""
    try:
        return _decode(messages.Request.FromString(body), Decoded(spans_max))
    except _DecodeError:
        raise NotProtobufError from None


def _decode(request: Any, decoded: Decoded) -> Decoded:  # noqa: ANN401 - protobuf's class has no type
    for resource_spans in request.resource_spans:
        part = decoded.part(_resource(resource_spans.resource, decoded))
        for scope_spans in resource_spans.scope_spans:
            decoded.announce_spans(len(scope_spans.spans))  # before they are copied
            _leave_out_of_scope(scope_spans.scope, decoded)
            part.spans.extend([_span(raw, decoded) for raw in scope_spans.spans[:]])
    return decoded


def _span(raw: bytes, decoded: Decoded) -> Span:
    examine_piece(raw, SPAN)
    span = _read_span(raw)
    attributes = span.attributes
    decoded.announce_attributes(len(attributes))  # before they are copied
    placed = _placed(attributes[:], decoded)  # at once: one by one they cost twice as much
    status = span.status
    failed = bool(status) and _Status.FromString(status).code == _STATUS_ERROR
    exception_type = _exception_type(span.events, decoded, failed=failed) if span.events else None
    if span.links:
        _leave_out_of_links(span.links, decoded)
    return Span(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.flags,
        "" if placed.marks.get("@operation") in OPERATIONS else span.name,  # which says nothing beside it
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        failed,
        exception_type,
        None,
        placed,
    )


def _placed(attributes: Sequence[bytes], decoded: Decoded) -> Placed:
    """What `step.place` makes of a span's attributes, here from their bytes."""
    marks: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    found: dict[str, object] = {}
    for raw in attributes:
        place = _remembered(raw)
        if place is None:
            name_class = _unplaced(raw[: 2 + raw[1]]) if len(raw) > 1 else None
            if name_class is not None:
                decoded.left_out[name_class] += 1
                continue
            place = attribute.read(raw, found, decoded)
            if place is None:
                continue
        target, rank, value, is_mark = place
        if rank and ranks.get(target, rank) < rank:
            continue
        ranks[target] = rank
        if is_mark:
            marks[target] = value
        else:
            metadata[target] = value
    if found:
        row = ROWS[DOCUMENTS]
        if ranks.get(row.target, row.rank) >= row.rank:
            metadata[row.target] = row.read(found[DOCUMENTS])
    return Placed(marks, metadata)


_read_span: Final = messages.Span.FromString
_read_event: Final = messages.Event.FromString
_remembered: Final = attribute.remembered.get
_unplaced: Final = attribute.unplaced.get


def _resource(resource: bytes, decoded: Decoded) -> Said:
    examine_piece(resource, RESOURCE)
    attributes = messages.Resource.FromString(resource).attributes
    decoded.announce_attributes(len(attributes))
    said: dict[str, object] = {}
    for raw in attributes:
        pair = _KeyValue.FromString(raw)
        if pair.key in RESOURCE_ROWS:
            said[pair.key] = attribute.any_value(pair.value)
        else:
            decoded.leave_out(pair.key)
    return said


def _exception_type(events: Any, decoded: Decoded, *, failed: bool) -> str | None:  # noqa: ANN401 - as above
    """Of the last exception of a span that failed: earlier ones were handled. Of all other events nothing is read."""
    decoded.announce_attributes(min(len(events), _EVENTS_MAX))
    found: str | None = None
    for raw in reversed(events[-_EVENTS_MAX:]):
        event = _read_event(raw)
        if failed and event.name == _EXCEPTION:
            failed = False
            found = _type_of(event.attributes, decoded)
        else:
            _leave_out(event.attributes, decoded)
    return found


def _type_of(attributes: Sequence[bytes], decoded: Decoded) -> str | None:
    decoded.announce_attributes(len(attributes))
    found: str | None = None
    for raw in attributes:
        pair = _KeyValue.FromString(raw)
        if pair.key != EXCEPTION_TYPE:
            decoded.leave_out(pair.key)
        elif found is None:
            found = pair.value.string_value
    return found


def _leave_out_of_scope(scope: bytes, decoded: Decoded) -> None:
    examine_piece(scope, SCOPE)
    _leave_out(messages.Scope.FromString(scope).attributes, decoded)


def _leave_out_of_links(links: Any, decoded: Decoded) -> None:  # noqa: ANN401 - as above
    decoded.announce_attributes(min(len(links), _EVENTS_MAX))
    for raw in links[-_EVENTS_MAX:]:
        _leave_out(messages.Link.FromString(raw).attributes, decoded)


def _leave_out(attributes: Sequence[bytes], decoded: Decoded) -> None:
    decoded.announce_attributes(len(attributes))
    for raw in attributes:
        attribute.leave_out(raw, decoded)
