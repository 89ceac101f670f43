"""OTLP protobuf bytes to spans. Values of attributes that the table does not name are never taken out of the message."""

from importlib import import_module
from typing import Any, Final

from producer_gateway.otlp.errors import NotProtobufError
from producer_gateway.otlp.span import ITEMS_MAX, Decoded, Said, Span
from producer_gateway.otlp.table import RESOURCE_ROWS, ROWS

# Imported by name: protobuf makes its classes at run time, and stubs for them would be one more dependency.
_trace_service: Final[Any] = import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
_protobuf_errors: Final[Any] = import_module("google.protobuf.message")
_SCALARS: Final = frozenset({"string_value", "int_value", "double_value", "bool_value"})
_STATUS_ERROR: Final = 2
_EVENTS_MAX: Final = 128
"""Span events that are looked at, from the last one: OpenTelemetry's default limit is 128 as well."""


def decode(body: bytes, *, spans_max: int) -> Decoded:
    """Raises NotProtobufError, BodyTooLargeError."""
    try:
        request = _trace_service.ExportTraceServiceRequest.FromString(body)
    except _protobuf_errors.DecodeError:
        raise NotProtobufError from None
    decoded = Decoded(spans_max)
    for resource_spans in request.resource_spans:
        part = decoded.part(_resource(resource_spans.resource, decoded))
        for scope_spans in resource_spans.scope_spans:
            decoded.announce_spans(len(scope_spans.spans))
            part.spans.extend([_span(span, decoded) for span in scope_spans.spans])
    return decoded


def _span(span: Any, decoded: Decoded) -> Span:  # noqa: ANN401 - protobuf's class has no type
    failed = span.HasField("status") and span.status.code == _STATUS_ERROR
    said: dict[str, object] = {}
    attributes = span.attributes
    decoded.announce_attributes(len(attributes))
    for attribute in attributes:
        name = attribute.key
        if name in ROWS:
            said[name] = _value(attribute.value)
        else:
            decoded.leave_out(name, said)
    return Span(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.flags,
        span.name,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        failed,
        _exception_type(span.events, decoded) if failed else None,
        said,
    )


def _resource(resource: Any, decoded: Decoded) -> Said:  # noqa: ANN401 - protobuf's class has no type
    decoded.announce_attributes(len(resource.attributes))
    return {each.key: _value(each.value) for each in resource.attributes if each.key in RESOURCE_ROWS}


def _value(value: Any) -> object:  # noqa: ANN401 - protobuf's class has no type
    member = value.WhichOneof("value")
    if member in _SCALARS:
        return getattr(value, member)
    if member == "array_value":
        return tuple([each.string_value for each in value.array_value.values[:ITEMS_MAX]])
    return None


def _exception_type(events: Any, decoded: Decoded) -> str | None:  # noqa: ANN401 - protobuf's class has no type
    """Of the last exception: earlier ones were handled."""
    for event in reversed(events[-_EVENTS_MAX:]):
        if event.name == "exception":
            decoded.announce_attributes(len(event.attributes))
            return next((each.value.string_value for each in event.attributes if each.key == "exception.type"), None)
    return None
