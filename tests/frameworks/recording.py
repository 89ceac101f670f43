"""A recording: what an agent exported, without its content and without what differs from run to run; and OTLP made of it again.

Ids are numbers, times are ticks that keep order, nesting and overlap, numbered attributes are one. A value is kept where the
gateway's mapping reads it as a name, a word or a number; of texts those that tell of the script's own error are kept too, since
how a framework wraps them is what has to be read. Everything else is a marker of its type.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agenttracer.rules.span_kinds import CALLS_OF_TOOLS
from producer_gateway.otlp.mapping import RESOURCE_ROWS, ROWS
from producer_gateway.otlp.span import ANSWERS_OF_EVENTS, CONTENT, DOCUMENTS
from tests.frameworks.child.scenario import TOOL_ERROR
from tests.frameworks.model import REFUSAL

Json = dict[str, Any]
MARKER: Final = "…"
CANARY: Final = "canary"
TICK_US: Final = 1_000
START_US: Final = 1_768_469_400_000_000
_CLOCK_NS: Final = 2_000_000
"""How much two spans may overlap that follow each other: JavaScript's clock tells the start of a span in milliseconds."""
_LEAF_TICKS: Final = 10
"""Of a span with none below it: long enough that what lies in spans that overlap does so too."""
_TEXT_MAX: Final = 400
_REFUSED: Final = REFUSAL["error"]["message"][:24]
_ID: Final = "5f0c6f0e-9d5e-4a53-8c0e-0a4be4f4a2d1"
_SCRUBBED: Final = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), _ID),
    (re.compile(r"(?<![0-9A-Za-z])(?=[a-f]*[0-9])[0-9a-f]{16,}(?![0-9A-Za-z])"), _ID.replace("-", "")),
    (re.compile(r"0x[0-9a-f]{6,}"), "0x5f0c6f"),
    (re.compile(r"127\.0\.0\.1:[0-9]+"), "127.0.0.1:8080"),
    (re.compile(r"/[\w.-]+(?:/[\w.-]+){3,}"), "/folder/file"),
)
_ARGUMENT: Final = re.compile(rf"{CANARY}-[0-9a-z]+")
_NUMBERED: Final = re.compile(r"(?<=\.)[0-9]+(?=\.|$)")
_TIMED: Final = frozenset({"time_to_first_chunk_s"})


def recorded(bodies: Sequence[bytes]) -> Json:
    """What these OTLP requests hold: resources, and the spans of each in order."""
    resources: dict[str, Json] = {}
    for body in bodies:
        for part in ExportTraceServiceRequest.FromString(body).resource_spans:
            said = _resource(part.resource.attributes)
            spans = resources.setdefault(json.dumps(said), {"resource": said, "spans": []})["spans"]
            spans.extend(_span(span, scope.scope.name) for scope in part.scope_spans for span in scope.spans)
    _place([span for each in resources.values() for span in each["spans"]])
    for each in resources.values():
        each["spans"].sort(key=lambda span: span["id"])
    return {"resources": list(resources.values())}


def otlp(recording: Json) -> Json:
    """The recording as an OTLP request in JSON."""
    parts = []
    for each in recording["resources"]:
        spans = [_otlp_span(span) for span in each["spans"]]
        parts.append({"resource": {"attributes": _otlp_attributes(each["resource"])}, "scopeSpans": [{"spans": spans}]})
    return {"resourceSpans": parts}


# --- what is kept of a span --------------------------------------------------------------------------------------------


def _resource(attributes: Any) -> Json:
    return {each.key: _scrub(_plain(each.value)) for each in attributes if each.key in RESOURCE_ROWS}


def _span(span: Any, scope: str) -> Json:
    found: Json = {
        "id": span.span_id.hex(),
        "trace": span.trace_id.hex(),
        "parent": span.parent_span_id.hex(),
        "at": [span.start_time_unix_nano, span.end_time_unix_nano],
        "name": _short(span.name),
        "scope": scope,
        "flags": span.flags & 0x300,
        "status": {0: "unset", 1: "ok", 2: "error"}[span.status.code],
    }
    if span.status.message:
        found["message"] = _told(span.status.message)
    found["attributes"] = dict(sorted(_attributes(span.attributes)))
    if span.events:
        found["events"] = [{"name": each.name, "attributes": dict(sorted(_event(each)))} for each in span.events]
    return found


def _attributes(attributes: Any) -> Iterator[tuple[str, Any]]:
    for each in attributes:
        name = each.key if each.key in ROWS or each.key.startswith(DOCUMENTS) else _NUMBERED.sub("N", each.key)
        yield name, _kept(name, _plain(each.value))


def _kept(name: str, value: Any) -> Any:
    row = ROWS.get(name)
    if row is None or row.target in _TIMED:
        return _marker(value)
    if row.target == "@session":
        return "session"
    if row.target == "@answer" and (called := CALLS_OF_TOOLS.search(str(value).encode())):
        return f"{called[0].decode()}{MARKER}"
    if row.target in CONTENT:
        return _told(value) if isinstance(value, str) else _marker(value)
    if isinstance(value, list):
        return [_short(item) if isinstance(item, str) else _marker(item) for item in value]
    return _short(value) if isinstance(value, str) else value


def _event(event: Any) -> Iterator[tuple[str, Any]]:
    names = ANSWERS_OF_EVENTS.get(event.name, {})
    for each in event.attributes:
        value = _plain(each.value)
        if each.key in names:
            yield each.key, _kept(names[each.key], value)
        elif each.key == "exception.type":
            yield each.key, _short(value)
        elif each.key == "exception.message":
            yield each.key, _told(value)
        else:
            yield _NUMBERED.sub("N", each.key), _marker(value)


def _plain(value: Any) -> Any:
    member = value.WhichOneof("value")
    if member == "array_value":
        return [_plain(each) for each in value.array_value.values]
    return MARKER if member in {None, "kvlist_value", "bytes_value"} else getattr(value, member)


def _marker(value: Any) -> Any:
    if isinstance(value, str):
        return MARKER
    return [] if isinstance(value, list) else type(value)()


def _short(text: str) -> str:
    return MARKER if len(text) > _TEXT_MAX or CANARY in text.lower() else _scrub(text)


def _told(text: str) -> str:
    """A text that may hold an error: kept where it tells of the script's and of nothing else but what a tool was called with."""
    return _short(_ARGUMENT.sub("4711", text)) if TOOL_ERROR in text or _REFUSED in text else MARKER


def _scrub(value: Any) -> Any:
    if isinstance(value, str):
        for pattern, instead in _SCRUBBED:
            value = pattern.sub(instead, value)
    return value


# --- order -------------------------------------------------------------------------------------------------------------


def _place(spans: list[Json]) -> None:
    """Give spans their numbers and ticks, in the order of a walk: siblings by time, those that overlap by name."""
    ids = {span["id"] for span in spans}
    below: dict[str, list[Json]] = {}
    for span in spans:
        below.setdefault(span["parent"] if span["parent"] in ids else "", []).append(span)
    walk: list[Json] = []
    _walk(below, "", 0, walk)
    numbers = {span["id"]: at for at, span in enumerate(walk, 1)}
    traces: dict[str, int] = {}
    for span in walk:
        traces.setdefault(span["trace"], len(traces) + 1)
    for span in walk:
        parent = span["parent"]
        span.update(
            id=numbers[span["id"]],
            trace=traces[span["trace"]],
            parent=None if not parent else numbers.get(parent, "elsewhere"),
            at=span.pop("placed"),
        )


def _walk(below: Mapping[str, list[Json]], parent: str, tick: int, walk: list[Json]) -> int:
    """Place all below `parent` from that tick on; the tick after them."""
    for side_by_side in _overlapping(below.get(parent, [])):
        first = len(walk)
        ends = [_placed(below, span, tick + at, walk) for at, span in enumerate(side_by_side)]
        tick = max(ends) + 1
        if len(side_by_side) > 1:
            together = {id(span) for span in side_by_side}
            for span in walk[first:]:
                if id(span) in together:
                    span["placed"][1] = tick - 1
    return tick


def _placed(below: Mapping[str, list[Json]], span: Json, tick: int, walk: list[Json]) -> int:
    span["placed"] = [tick, tick]
    walk.append(span)
    end = _walk(below, span["id"], tick + 1, walk)
    span["placed"][1] = max(end, tick + _LEAF_TICKS)
    return span["placed"][1]


def _overlapping(siblings: list[Json]) -> Iterator[list[Json]]:
    """Siblings in order of time, those that overlap together and by name."""
    group: list[Json] = []
    end = 0
    for span in sorted(siblings, key=lambda span: span["at"]):
        if group and span["at"][0] >= end - _CLOCK_NS:
            yield sorted(group, key=_by_name)
            group = []
        group.append(span)
        end = max(end, span["at"][1])
    if group:
        yield sorted(group, key=_by_name)


def _by_name(span: Json) -> str:
    return json.dumps([span["name"], span["attributes"]], sort_keys=True)


# --- back to OTLP ------------------------------------------------------------------------------------------------------


def _otlp_span(span: Json) -> Json:
    parent = span["parent"]
    start, end = (START_US + tick * TICK_US for tick in span["at"])
    made: Json = {
        "traceId": f"{span['trace']:032x}",
        "spanId": f"{span['id']:016x}",
        "parentSpanId": "" if parent is None else f"{0xE15E if parent == 'elsewhere' else parent:016x}",
        "name": span["name"],
        "flags": span["flags"],
        "startTimeUnixNano": str(start * 1_000),
        "endTimeUnixNano": str(end * 1_000),
        "attributes": _otlp_attributes(span["attributes"]),
        "events": [{"name": each["name"], "attributes": _otlp_attributes(each["attributes"])} for each in span.get("events", [])],
    }
    if span["status"] != "unset":
        made["status"] = {"code": {"ok": 1, "error": 2}[span["status"]], "message": span.get("message", "")}
    return made


def _otlp_attributes(said: Mapping[str, Any]) -> list[Json]:
    return [{"key": key, "value": _otlp_value(value)} for key, value in said.items()]


def _otlp_value(value: Any) -> Json:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [_otlp_value(each) for each in value]}}
    return {"stringValue": value}
