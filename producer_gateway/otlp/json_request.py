"""OTLP's request in JSON, as far as it is looked at. Members that stand in none of these structs never become objects.

OTLP's JSON is protobuf's with three changes: ids are hex, enums are numbers, unknown members are ignored. 64-bit integers
come as strings or numbers, and so may 32-bit ones; null is as good as nothing.
"""

import msgspec


class _Camel(msgspec.Struct, rename="camel", gc=False):
    """Members as OTLP's JSON spells them."""


class JsonItem(_Camel):
    """An item of an array attribute."""

    string_value: str | None = None


class _Array(_Camel):
    values: list[JsonItem] | None = None


class JsonValue(JsonItem):
    """The value of an attribute. Nested values other than arrays of strings are skipped."""

    bool_value: bool | None = None
    int_value: int | float | str | None = None
    double_value: float | str | None = None
    array_value: _Array | None = None


class JsonAttribute(_Camel):
    """One attribute of anything that has some."""

    key: str | None = None
    value: JsonValue | None = None


class JsonEvent(_Camel):
    """An event of a span."""

    name: str | None = None
    attributes: list[JsonAttribute] | None = None


class JsonLink(_Camel):
    """A link of a span."""

    attributes: list[JsonAttribute] | None = None


class _Status(_Camel):
    code: int | str | None = None
    message: str | None = None


class JsonSpan(_Camel):
    """One span."""

    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    flags: int | str | None = None
    name: str | None = None
    start_time_unix_nano: int | float | str | None = None
    end_time_unix_nano: int | float | str | None = None
    status: _Status | None = None
    attributes: list[JsonAttribute] | None = None
    events: list[JsonEvent] | None = None
    links: list[JsonLink] | None = None


class _Scope(_Camel):
    attributes: list[JsonAttribute] | None = None


class _ScopeSpans(_Camel):
    scope: _Scope | None = None
    spans: list[JsonSpan | None] | None = None


class JsonResource(_Camel):
    """What made the spans."""

    attributes: list[JsonAttribute] | None = None


class _ResourceSpans(_Camel):
    resource: JsonResource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class JsonRequest(_Camel):
    """An ExportTraceServiceRequest, as far as it is looked at."""

    resource_spans: list[_ResourceSpans] | None = None
