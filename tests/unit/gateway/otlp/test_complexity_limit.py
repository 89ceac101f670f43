"""What a body would become is counted before it becomes anything."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from producer_gateway.errors import BodyTooLargeError, NotProtobufError
from producer_gateway.limits.complexity_limit import examine_events, examine_run
from producer_gateway.otlp.complexity_limit import ENVELOPES, RESOURCE, SPAN, count, examine_json, examine_piece, examine_protobuf
from producer_gateway.otlp.decode_protobuf import decode
from producer_gateway.otlp.proto import Request
from tests.support import hostile

GOLDEN = Path(__file__).parents[3] / "golden" / "otlp"
LARGE = 8_000_000
OF_ENVELOPES = {"spans", "scopes", "resources", "unknown fields", "unknown groups"}


def wire_fields(message: Any, *, into: Callable[[str], bool]) -> int:
    """Fields of a message as they stand on the wire, and of those messages in it that are looked into, by name."""
    found = 0
    for field, value in message.ListFields():
        values = value if field.is_repeated else [value]
        found += len(values)
        if field.message_type is not None and into(field.message_type.name):
            found += sum(wire_fields(each, into=into) for each in values)
    return found


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.pb")), ids=lambda path: path.stem)
def test_real_exports(path: Path) -> None:
    """Of real exports every field is counted, in the pieces in which it is read, and none of them is refused."""
    body = path.read_bytes()
    request = ExportTraceServiceRequest.FromString(body)
    parts = request.resource_spans
    spans = [span for part in parts for scope in part.scope_spans for span in scope.spans]
    assert count(body, ENVELOPES, most=1_000_000) == wire_fields(request, into={"ResourceSpans", "ScopeSpans"}.__contains__)
    for pieces, fields in ((spans, SPAN), ([part.resource for part in parts], RESOURCE)):
        for piece in pieces:
            raw = piece.SerializeToString()
            assert count(raw, fields, most=1_000_000) == wire_fields(piece, into="Status".__ne__)
            examine_piece(raw, fields)
    examine_protobuf(body)


def test_large_real_export() -> None:
    """Thousands of real spans with long content pass."""
    body = (GOLDEN / "langchain_openllmetry.pb").read_bytes()
    body *= 6_000_000 // len(body)
    examine_protobuf(body)
    assert decode(body, spans_max=10_000).spans > 1_000


@pytest.mark.parametrize("kind", sorted(OF_ENVELOPES))
def test_dense_envelopes(kind: str) -> None:
    """Empty messages by the million are refused before the parser makes objects of them."""
    with pytest.raises(BodyTooLargeError):
        examine_protobuf(hostile.PROTOBUF[kind](LARGE))


@pytest.mark.parametrize("kind", sorted(hostile.PROTOBUF.keys() - OF_ENVELOPES))
def test_dense_pieces(kind: str) -> None:
    """So are those inside of a span or a resource, by themselves and as decoding comes to them."""
    body = hostile.PROTOBUF[kind](LARGE)
    examine_protobuf(body)
    (part,) = Request.FromString(body).resource_spans
    pieces = [(part.resource, RESOURCE), *((span, SPAN) for scope in part.scope_spans for span in scope.spans)]
    piece, fields = max(pieces, key=lambda pair: len(pair[0]))
    for refuse in (lambda: examine_piece(piece, fields), lambda: decode(body, spans_max=10_000)):
        with pytest.raises(BodyTooLargeError):
            refuse()


@pytest.mark.parametrize("kind", hostile.OTLP_JSON)
def test_dense_json(kind: str) -> None:
    """So are empty objects."""
    with pytest.raises(BodyTooLargeError):
        examine_json(hostile.OTLP_JSON[kind](LARGE))


@pytest.mark.parametrize("kind", [kind for kind in hostile.EVENTS if kind != "wide strings"])
def test_dense_events(kind: str) -> None:
    """And values of any kind in events."""
    with pytest.raises(BodyTooLargeError):
        examine_events(hostile.EVENTS[kind](LARGE))


@pytest.mark.parametrize("kind", hostile.RUNS)
def test_dense_runs(kind: str) -> None:
    """And in run documents, where a few already cost much."""
    with pytest.raises(BodyTooLargeError):
        examine_run(hostile.RUNS[kind](LARGE // 8))


@pytest.mark.parametrize(
    "tail",
    [b"\x0a", b"\x0a\x05", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x0f", b"\x09\x00", b"\x80"],
    ids=["no length", "too short", "endless length", "no such kind", "half a number", "half a tag"],
)
def test_not_protobuf(tail: bytes) -> None:
    """What the parser could not read is refused here already, with whatever stands before it."""
    with pytest.raises(NotProtobufError):
        count(hostile.PROTOBUF["attributes"](100) + tail, ENVELOPES, most=1_000)


def test_groups() -> None:
    """Fields in a group, which has no length, are counted too, and its two ends."""
    assert count(b"\x9b\x06" + hostile.PROTOBUF["spans"](20) + b"\x9c\x06", ENVELOPES, most=100) == 2 + 2 + 10


def test_small_bodies() -> None:
    """Small bodies pass uncounted: they can do no harm."""
    examine_protobuf(hostile.PROTOBUF["spans"](60_000))
    examine_json(hostile.OTLP_JSON["spans"](1_000_000))
    examine_events(hostile.EVENTS["lists"](1_000_000))
