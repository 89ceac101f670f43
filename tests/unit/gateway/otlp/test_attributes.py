"""Attributes read from their bytes: the same as by protobuf's own classes, remembered only where nothing can be content."""

import random
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from producer_gateway.errors import NotProtobufError
from producer_gateway.otlp import attributes, decode_json, decode_protobuf, proto
from producer_gateway.otlp.convert import to_events
from producer_gateway.otlp.mapping import ROWS
from producer_gateway.otlp.span import DOCUMENTS, DecodedSpans
from tests.fuzz.bodies import body
from tests.unit.gateway.otlp import spans as make
from tests.unit.gateway.otlp.spans import CHILD, PROTOBUF, ROOT, Json


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    attributes.remembered.clear()
    attributes.unplaced.clear()


def test_fields_are_opentelemetrys() -> None:
    """Each field has the number of opentelemetry-proto's, and is as often there."""
    todo: list[tuple[str, Any]] = [
        ("Request", ExportTraceServiceRequest.DESCRIPTOR),
        ("Resource", Resource.DESCRIPTOR),
        ("Scope", InstrumentationScope.DESCRIPTOR),
        ("Span", Span.DESCRIPTOR),
        ("Event", Span.Event.DESCRIPTOR),
        ("Link", Span.Link.DESCRIPTOR),
        ("Status", Status.DESCRIPTOR),
        ("Attribute", KeyValue.DESCRIPTOR),
        ("OtherRequest", ExportLogsServiceRequest.DESCRIPTOR),
        ("OtherRequest", ExportMetricsServiceRequest.DESCRIPTOR),
    ]
    seen = set()
    while todo:
        name, theirs = todo.pop()
        seen.add(name)
        for field, number, kind, repeated in proto.FIELDS[name]:
            found = theirs.fields_by_number[number] if name.startswith("Other") else theirs.fields_by_name[field]
            assert (found.number, found.is_repeated) == (number, repeated), field
            if kind in proto.FIELDS:
                todo.append((kind, found.message_type))
    assert seen == proto.FIELDS.keys()


def events_of(decoded: DecodedSpans) -> list[Any]:
    traces = to_events(decoded)
    return [
        *((each.producer, list(each.events), list(each.indices)) for each in traces.batches),
        list(traces.rejected),
        dict(traces.dropped),
        dict(decoded.left_out),
    ]


def _request(chance: random.Random) -> Json:
    """Spans that say some of everything: names of the table and others, values of every type, fitting and not."""
    names = [
        *sorted(ROWS.keys() - {DOCUMENTS}),
        "gen_ai.response.id",
        "x",
        "retrieval.documents.3.document.id",
        "Äpfel",
        "",
        "k" * 200,
    ]
    values: list[object] = [
        "chat",
        "gpt-4o",
        "free text",
        "",
        "x" * 300,
        0,
        7,
        127,
        128,
        16_383,
        16_384,
        2**40,
        -1,
        0.5,
        True,
        False,
    ]
    values += [["stop"], ["stop", "length"], [], ["free text"], b"bytes", {"a": 1}, "tool_calls", "execute_tool", "TOOL", "a b"]
    spans = []
    for number in range(20):
        said = {chance.choice(names): chance.choice(values) for _ in range(chance.randint(0, 12))}
        ended = chance.choice([{}, make.failed(), make.failed("ReadTimeout"), make.failed("free text")])
        spans.append(make.span(f"{number + 1:016x}", chance.choice(["", ROOT, f"{number:016x}"]), said=said, **ended))
    resource = make.SERVICE | {chance.choice(["host.name", "Team", ""]): chance.choice(values)}
    return make.request(*spans, resource=resource)


def test_both_encodings_say_the_same() -> None:
    """A request gives the same events and counts in protobuf as in JSON, read for the first time and once all is remembered."""
    chance = random.Random(0)
    for _ in range(150):
        body = _request(chance)
        as_json = events_of(decode_json.decode(make.json.dumps(body).encode(), spans_max=100))
        packed = make.protobuf(body)
        for _ in range(2):
            assert events_of(decode_protobuf.decode(packed, spans_max=100)) == as_json
    assert len(attributes.remembered) > 100


def test_memory_changes_nothing() -> None:
    """Mutated bodies give the same with an empty memory as with one that has read thousands like them."""
    requests = (body(1, index) for index in range(6_000))
    packed = [each.content for each in requests if each.headers == PROTOBUF]
    assert len(packed) > 1_000
    warm = [_outcome(each) for each in packed]
    for each, expected in zip(packed, warm, strict=True):
        attributes.remembered.clear()
        attributes.unplaced.clear()
        assert _outcome(each) == expected


def test_a_known_name_in_another_field_is_not_known() -> None:
    """The same bytes as a value, which is no message, are left out under another name, whatever was read before."""
    name = b"gen_ai.unheard.of"
    span = make.request(make.span(said={name.decode(): True}))
    whole = make.protobuf(span)
    broken = whole.replace(b"\x0a\x11" + name, b"\x12\x11" + name)
    assert broken != whole
    cold = _outcome(broken)
    assert _outcome(whole) != cold
    assert attributes.unplaced
    assert _outcome(broken) == cold != NotProtobufError
    assert _outcome(broken) != _outcome(whole)


def _outcome(body: bytes) -> object:
    try:
        return events_of(decode_protobuf.decode(body, spans_max=100))
    except Exception as error:  # noqa: BLE001 - whatever it is, it must be the same
        return type(error)


def _read(pair: KeyValue, extra: bytes = b"") -> None:
    attributes.read(pair.SerializeToString() + extra, {}, DecodedSpans(1))


def test_only_what_passed_whole_is_remembered() -> None:
    """Misfits, changed names, several reasons of which one fits, words in clear text and unknown names leave nothing behind."""
    text = AnyValue(string_value="what they said")
    for name in (
        "gen_ai.request.model",
        "gen_ai.operation.name",
        "gen_ai.agent.name",
        "gen_ai.usage.input_tokens",
        "What they asked",
    ):
        _read(KeyValue(key=name, value=text))
    several = ArrayValue(values=[AnyValue(string_value="stop"), text])
    _read(KeyValue(key="gen_ai.response.finish_reasons", value=AnyValue(array_value=several)))
    _read(KeyValue(key="gen_ai.unheard.of", value=text))
    assert attributes.remembered == {}
    assert attributes.unplaced == {b"\x0a\x11gen_ai.unheard.of": "gen_ai"}


@pytest.mark.parametrize("said", [{"string_value": "gpt-4o"}, {"int_value": 300}, {"bool_value": True}])
def test_nothing_hides_behind_what_passed(said: dict[str, Any]) -> None:
    """Bytes that hold more than the value that passed, in a field that nobody reads, are not remembered."""
    name = {
        "string_value": "gen_ai.request.model",
        "int_value": "gen_ai.usage.input_tokens",
        "bool_value": "gen_ai.request.stream",
    }
    pair = KeyValue(key=name[next(iter(said))], value=AnyValue(**said))
    _read(pair, b"\x7a\x0ewhat they said")
    assert attributes.remembered == {}
    _read(pair)
    assert len(attributes.remembered) == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many things are said, no more than the bound is kept."""
    monkeypatch.setattr(attributes, "_REMEMBERED_MAX", 10)
    for number in range(100):
        _read(KeyValue(key="gen_ai.request.model", value=AnyValue(string_value=f"model-{number}")))
        _read(KeyValue(key=f"name{number}", value=AnyValue()))
    assert len(attributes.remembered) <= 10
    assert len(attributes.unplaced) <= 10


def test_the_last_of_several_keys_counts() -> None:
    """A key that is overwritten later in the same attribute does not smuggle a value under another name."""
    first, last = KeyValue(key="gen_ai.unheard.of").SerializeToString(), KeyValue(key="gen_ai.request.model")
    last.value.string_value = "gpt-4o"
    body = make.protobuf(make.request(make.span(CHILD, ROOT, said={"x": "here"})))
    request = ExportTraceServiceRequest.FromString(body)
    raw = first + last.SerializeToString()
    decoded = decode_protobuf.decode(request.SerializeToString(), spans_max=1)
    assert attributes.read(raw, {}, decoded) is None
    assert attributes.read(last.SerializeToString() + first, {}, decoded) is None


def test_what_is_not_written_as_usual_is_not_remembered() -> None:
    """A value before its key is read by protobuf's rules every time: where it ends cannot be seen at a glance."""
    value = AnyValue(string_value="gpt-4o-2024-08-06x").SerializeToString() + b"\x7a\x0ewhat they said"
    raw = b"\x12" + make.length(value) + value + KeyValue(key="gen_ai.request.model").SerializeToString()
    place = attributes.read(raw, {}, DecodedSpans(1))
    assert place is not None
    assert place[2] == "gpt-4o-2024-08-06x"
    assert attributes.remembered == {}
