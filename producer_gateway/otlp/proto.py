"""OTLP's protobuf messages in pieces: a request down to its spans, everything else down to its attributes.

On the wire a message is its bytes with a length, so a message may be declared as bytes: the parser then steps over it, and it is
read where it is needed. So no object is made of an attribute and its value, which was half of the cost of a span, and what is
made of a span is gone before the next one is read. Numbers are those of opentelemetry-proto, whose own classes read what is
left; a test compares the two. No field is a string: a parser refuses a message for bytes in one that are not UTF-8, and a name
that was cut inside an emoji would cost all other spans. Of a field that is there twice the last one counts, where protobuf would
merge messages.
"""

from importlib import import_module
from typing import Any, Final

# Imported by name: stubs for protobuf would be one more dependency.
_descriptors: Final[Any] = import_module("google.protobuf.descriptor_pb2")
_pools: Final[Any] = import_module("google.protobuf.descriptor_pool")
_classes: Final[Any] = import_module("google.protobuf.message_factory")
_Field: Final[Any] = _descriptors.FieldDescriptorProto
_PACKAGE: Final = "agenttracer.otlp"
FIELDS: Final[dict[str, tuple[tuple[str, int, str, bool], ...]]] = {
    # message: (field, number, type, whether repeated); a type that stands here is a message
    "Request": (("resource_spans", 1, "ResourceSpans", True),),
    "ResourceSpans": (("resource", 1, "bytes", False), ("scope_spans", 2, "ScopeSpans", True)),
    "ScopeSpans": (("scope", 1, "bytes", False), ("spans", 2, "bytes", True)),
    # a request of metrics or of logs, whose numbers are the same down to a metric or a log record
    "OtherRequest": (("resources", 1, "OtherResource", True),),
    "OtherResource": (("scopes", 2, "OtherScope", True),),
    "OtherScope": (("items", 2, "bytes", True),),
    "Resource": (("attributes", 1, "bytes", True),),
    "Scope": (("attributes", 3, "bytes", True),),
    "Span": (
        ("trace_id", 1, "bytes", False),
        ("span_id", 2, "bytes", False),
        ("parent_span_id", 4, "bytes", False),
        ("name", 5, "bytes", False),
        ("kind", 6, "int32", False),  # declared, as are the links: to be stepped over costs less than to be kept as unknown
        ("start_time_unix_nano", 7, "fixed64", False),
        ("end_time_unix_nano", 8, "fixed64", False),
        ("attributes", 9, "bytes", True),
        ("events", 11, "bytes", True),
        ("links", 13, "bytes", True),
        ("status", 15, "bytes", False),
        ("flags", 16, "fixed32", False),
    ),
    "Event": (("name", 2, "bytes", False), ("attributes", 3, "bytes", True)),
    "Link": (("attributes", 4, "bytes", True),),
    "Status": (("message", 2, "bytes", False), ("code", 3, "int32", False)),
    "Attribute": (("key", 1, "bytes", False), ("value", 2, "Value", False)),
    "Value": (("string_value", 1, "bytes", False), ("array_value", 5, "Values", False)),
    "Values": (("values", 1, "Item", True),),
    "Item": (("string_value", 1, "bytes", False),),
}


def _described() -> Any:  # noqa: ANN401 - protobuf makes its classes at run time
    file = _descriptors.FileDescriptorProto(name="agenttracer/otlp.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            if kind in FIELDS:
                message.field.add(
                    name=field, number=number, label=label, type=_Field.TYPE_MESSAGE, type_name=f".{_PACKAGE}.{kind}"
                )
            else:
                message.field.add(name=field, number=number, label=label, type=getattr(_Field, f"TYPE_{kind.upper()}"))
    return file


_pool: Final[Any] = _pools.DescriptorPool()
_pool.Add(_described())


def _class_of(name: str) -> Any:  # noqa: ANN401 - as above
    return _classes.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


Request: Final[Any] = _class_of("Request")
Resource: Final[Any] = _class_of("Resource")
Scope: Final[Any] = _class_of("Scope")
Span: Final[Any] = _class_of("Span")
Event: Final[Any] = _class_of("Event")
Link: Final[Any] = _class_of("Link")
Status: Final[Any] = _class_of("Status")
Attribute: Final[Any] = _class_of("Attribute")
"""OpenTelemetry's KeyValue."""
OtherRequest: Final[Any] = _class_of("OtherRequest")
