"""OTLP requests of these tests, as OTLP's JSON spells them; `protobuf` makes the same bytes that an exporter would."""

import json
import math
from base64 import b64encode
from binascii import unhexlify
from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE = "0af7651916cd43dd8448eb211c80319c"
RUN = "0af76519-16cd-43dd-8448-eb211c80319c"
ROOT, CHILD, LEAF = "00f067aa0ba902b7", "00f067aa0ba902b8", "00f067aa0ba902b9"
START_NS = 1_768_469_400_000_000_789
START_US = 1_768_469_400_000_000
SERVICE = {"service.name": "support-agent", "service.version": "1.4.2"}
PROTOBUF = {"content-type": "application/x-protobuf"}
Json = dict[str, Any]


def value(of: object) -> Json:  # noqa: PLR0911 - one line a type
    match of:
        case bool():
            return {"boolValue": of}
        case int():
            return {"intValue": str(of)}
        case float():
            return {"doubleValue": of if math.isfinite(of) else "Infinity"}
        case list() | tuple():
            return {"arrayValue": {"values": [value(each) for each in of]}}
        case bytes():
            return {"bytesValue": b64encode(of).decode()}
        case dict():
            return {"kvlistValue": {"values": attributes(of)}}
    return {"stringValue": of}


def attributes(said: Mapping[str, object]) -> list[Json]:
    return [{"key": key, "value": value(each)} for key, each in said.items()]


def span(span_id: str = ROOT, parent: str = "", /, said: Mapping[str, object] | None = None, **members: object) -> Json:
    made: Json = {"traceId": TRACE, "spanId": span_id, "parentSpanId": parent, "name": "some span"}
    times = {"startTimeUnixNano": str(START_NS), "endTimeUnixNano": str(START_NS + 2_000_000)}
    return {**made, **times, "attributes": attributes(said or {}), **members}


def failed(exception_type: str | None = None) -> Json:
    """Members of a span that ended in an error."""
    status = {"code": 2, "message": "free text of an error"}
    if exception_type is None:
        return {"status": status}
    said = {"exception.type": exception_type, "exception.message": "free text", "exception.stacktrace": "more of it"}
    return {"status": status, "events": [{"name": "exception", "attributes": attributes(said)}]}


def request(*spans: Json, resource: Mapping[str, object] | None = None) -> Json:
    said = attributes(SERVICE if resource is None else resource)
    return {"resourceSpans": [{"resource": {"attributes": said}, "scopeSpans": [{"spans": list(spans)}]}]}


def as_json(*spans: Json, **members: Any) -> bytes:
    return json.dumps(request(*spans, **members)).encode()


def protobuf(body: Json) -> bytes:
    """What json_format reads as base64 stands as hex in OTLP's JSON, so ids are set by hand."""
    plain = json.loads(json.dumps(body))
    ids = [{key: each.pop(key, "") for key in ("traceId", "spanId", "parentSpanId")} for each in _spans(plain)]
    message = ParseDict(plain, ExportTraceServiceRequest())
    made = [one for part in message.resource_spans for scope in part.scope_spans for one in scope.spans]
    for one, said in zip(made, ids, strict=True):
        one.trace_id, one.span_id = unhexlify(said["traceId"]), unhexlify(said["spanId"])
        one.parent_span_id = unhexlify(said["parentSpanId"])
    found = message.SerializeToString()
    assert isinstance(found, bytes)
    return found


def _spans(body: Json) -> list[Json]:
    return [one for part in body["resourceSpans"] for scope in part.get("scopeSpans", []) for one in scope["spans"]]


def length(data: bytes) -> bytes:
    """The size of `data` as protobuf's varint."""
    size, out = len(data), bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*out, size])
