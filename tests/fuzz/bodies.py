"""Which request is sent for a seed and an index: a well-formed one of some route, mutated. Each can be made again alone."""

import json
import random
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from producer_gateway.api.openapi import BATCH_EXAMPLE
from producer_gateway.events.run_document import EXAMPLE, MINIMAL_EXAMPLE
from tests.fuzz import framing, mutate_json, mutate_protobuf
from tests.unit.gateway.otlp import spans as make
from tests.unit.gateway.otlp.spans import CHILD, LEAF, ROOT, Json

_GOLDEN: Final = Path(__file__).parents[1] / "golden"
_MEDIA: Final = (
    "application/json",
    "application/x-protobuf",
    "APPLICATION/JSON; charset=utf-8",
    "text/plain",
    "",
    "application/json;",
)


class Body(NamedTuple):
    """One request."""

    url: str
    content: bytes
    headers: Mapping[str, str]


def body(seed: int, index: int) -> Body:
    """The same for the same seed and index."""
    chance = random.Random(f"{seed}/{index}")
    url, content, media = chance.choice(_ROUTES)(chance)
    headers = {"content-type": media if chance.random() < 0.98 else chance.choice(_MEDIA)}
    if chance.random() < 0.2:
        content, headers["content-encoding"] = framing.framed(chance, content)
    return Body(url, content, headers)


def message(seed: int, index: int) -> bytes:
    """A message of OTLP/gRPC: a request in protobuf, mutated; some are packed, or nearly."""
    chance = random.Random(f"grpc/{seed}/{index}")
    _, content, _ = _traces_protobuf(chance)
    return framing.framed(chance, content)[0] if chance.random() < 0.2 else content


def _events(chance: random.Random) -> tuple[str, bytes, str]:
    return "/v1/events", mutate_json.mutated(chance, _many(chance, chance.choice(_batches()), "events")), "application/json"


def _runs(chance: random.Random) -> tuple[str, bytes, str]:
    return "/v1/runs", mutate_json.mutated(chance, _many(chance, chance.choice(_documents()), "steps")), "application/json"


def _traces_json(chance: random.Random) -> tuple[str, bytes, str]:
    return "/v1/traces", mutate_json.mutated(chance, chance.choice(_traces())), "application/json"


def _traces_protobuf(chance: random.Random) -> tuple[str, bytes, str]:
    return "/v1/traces", mutate_protobuf.mutated(chance, chance.choice(_packed_traces())), "application/x-protobuf"


_ROUTES: Final[tuple[Callable[[random.Random], tuple[str, bytes, str]], ...]] = (_events, _runs, _traces_json, _traces_protobuf)


@cache
def _documents() -> list[dict[str, Any]]:
    return [EXAMPLE, MINIMAL_EXAMPLE, _FULL_RUN]


_FULL_RUN: Final[dict[str, Any]] = {
    **EXAMPLE,
    "run_id": "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0",
    "ended_at": "2026-01-15T09:30:06Z",
    "latency_ms": 6_000.5,
    "failure": {"failure_type": "tool", "failure_code": "timeout", "step": 2, "message": "free text"},
}


def well_formed() -> Iterator[Body]:
    """What the mutated ones started from."""
    for url, bodies in (("/v1/events", _batches()), ("/v1/runs", [*_documents()]), ("/v1/traces", _traces())):
        yield from (Body(url, json.dumps(each).encode(), {"content-type": "application/json"}) for each in bodies)
    yield from (Body("/v1/traces", each, {"content-type": "application/x-protobuf"}) for each in _packed_traces())


def _many(chance: random.Random, start: dict[str, Any], member: str) -> dict[str, Any]:
    """Rarely as many items as may come, or more."""
    if chance.random() > 0.001:
        return start
    items = start[member]
    return {**start, member: (items * 5_002)[: chance.choice((4_997, 4_998, 5_000, 5_001))]}


@cache
def _batches() -> list[dict[str, Any]]:
    read = [json.loads(path.read_text()) for path in sorted(_GOLDEN.glob("*.json"))]
    events = [each for each in read if "type" in each]
    return [BATCH_EXAMPLE, {**BATCH_EXAMPLE, "events": events}, *({**BATCH_EXAMPLE, "events": [event]} for event in events)]


@cache
def _traces() -> list[Json]:
    chat = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 3, "gen_ai.response.finish_reasons": ["stop"]}
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a b", "retrieval.documents.0.document.id": "1"}
    failed = make.failed("ReadTimeout")
    return [
        make.request(make.span(said=agent, **failed), make.span(CHILD, ROOT, said=chat, **failed), make.span(LEAF, CHILD)),
        make.request(
            make.span(said={"openinference.span.kind": "TOOL", "tool.name": "t", "x": {"y": [1]}}, flags=0x300), resource={}
        ),
        {"resourceSpans": [*make.request(make.span())["resourceSpans"] * 2, {}]},
        *(_as_json(path.read_bytes()) for path in sorted((_GOLDEN / "otlp").glob("*.pb"))),
    ]


def _as_json(packed: bytes) -> Json:
    """In OTLP's JSON ids are hex, where protobuf's own has base64."""
    message = ExportTraceServiceRequest()
    message.ParseFromString(packed)
    text = MessageToJson(message, indent=None, use_integers_for_enums=True)
    hexed = re.sub(r'("(?:traceId|spanId|parentSpanId)": ")([^"]*)', lambda id_: id_[1] + b64decode(id_[2]).hex(), text)
    found: Json = json.loads(hexed)
    return found


@cache
def _packed_traces() -> list[bytes]:
    ours = [make.protobuf(each) for each in _traces()[:2]]
    return [*ours, *(path.read_bytes() for path in sorted((_GOLDEN / "otlp").glob("*.pb")))]
