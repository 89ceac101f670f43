"""OTLP requests with canaries in every channel that spans have. Pure."""

import json
from collections.abc import Iterator
from typing import Final

from agenttracer.rules.span_attributes import KIND_WORDS
from producer_gateway.otlp import mapping, values
from tests.support.firewall.canaries import Canaries
from tests.support.firewall.sent import JSON, PROTOBUF, Sent, around, gzipped, of_json, torn
from tests.unit.gateway.otlp import spans as make
from tests.unit.gateway.otlp.spans import CHILD, ROOT, Json

URL: Final = "/v1/traces"
_NUMBERS: Final = (values.count, values.number, values.milliseconds, values.status, values.amount, values.flag, values.resends)
_LOOKED_UP: Final = KIND_WORDS.keys()
_NO_WORD_PASSES: Final = [name for name, row in mapping.ROWS.items() if row.read in _NUMBERS or row.target in _LOOKED_UP]
_A_NAME_PASSES: Final = [name for name in mapping.ROWS if name not in _NO_WORD_PASSES]
_CONTENT: Final = (
    *("gen_ai.prompt", "gen_ai.input.messages", "input.value", "llm.input_messages.0.message.content", "exception.message"),
    *("gen_ai.memory.query.text", "gen_ai.memory.records", "gen_ai.tool.definitions", "gen_ai.evaluation.explanation"),
    *(
        "memory.query.text",
        "tool.definitions",
        "gen_ai.system_instructions",
        "gen_ai.output.messages",
        "gen_ai.retrieval.documents",
    ),
    *(
        "gen_ai.retrieval.query.text",
        "gen_ai.tool.call.result",
        "gen_ai.tool.description",
        "gen_ai.agent.description",
        "output.value",
    ),
    *("ai.prompt", "ai.prompt.messages", "ai.response.text", "ai.response.toolCalls", "ai.response.object", "ai.toolCall.args"),
    *("ai.toolCall.result", "ai.prompt.tools", "ai.value", "ai.embedding", "traceloop.entity.input", "traceloop.entity.output"),
    *(
        "gcp.vertex.agent.llm_request",
        "gcp.vertex.agent.llm_response",
        "gcp.vertex.agent.tool_call_args",
        "logfire.msg",
        "pydantic_ai.all_messages",
    ),
    *(
        "haystack.component.input",
        "haystack.component.output",
        "mlflow.spanInputs",
        "mlflow.spanOutputs",
        "url.path",
        "url.full",
        "url.query",
    ),
    *(
        "langsmith.metadata.note",
        "crewai.task.description",
        "gen_ai.conversation.id",
        "gen_ai.evaluation.score.explanation",
        "db.query.text",
    ),
    *("session.id", "user.id", "tool.parameters", "gen_ai.tool.call.arguments", "retrieval.documents.0.document.content"),
)


def requests(sing: Canaries, *, rounds: int = 3) -> Iterator[Sent]:
    """Whole, in both encodings, compressed and torn; then one wrong member each; then everything around the body."""
    for _ in range(rounds):
        whole = of_json(URL, request(sing))
        packed = Sent(URL, make.protobuf(request(sing)), PROTOBUF)
        yield from (whole, packed, gzipped(of_json(URL, request(sing))), torn(whole), torn(packed), torn(gzipped(whole)))
    for member in ("traceId", "spanId", "parentSpanId", "startTimeUnixNano", "endTimeUnixNano", "kind", "flags", "events"):
        yield Sent(URL, make.as_json(make.span(), make.span(CHILD, **{member: sing.token()})))
    yield from around(sing, URL, make.as_json(make.span()))
    yield Sent(URL, make.protobuf(make.request(make.span())) + sing.token().encode(), PROTOBUF)
    yield Sent(URL, json.dumps({**make.request(make.span()), sing.token(): {sing.token(): [sing.text()]}}).encode(), JSON)


def request(sing: Canaries) -> Json:
    """One request that is accepted, with canaries in all of its attributes, names, events, links, scopes and resources."""
    typed = {name: {"a": sing.token()} if at % 2 else sing.token().encode() for at, name in enumerate(mapping.ROWS)}
    listed: dict[str, object] = {name: [sing.text(), sing.text()] for name in mapping.ROWS}
    spans = [_span(sing, CHILD, ROOT, said) for said in (_unknown(sing), typed, listed)]
    spans += [_span(sing, ROOT, "", said) for said in (_known(sing), _unknown(sing))]
    said = {"host.name": sing.token(), sing.token(): sing.token(), **{name: sing.text() for name in mapping.RESOURCE_ROWS}}
    body = make.request(*spans, resource=said)
    part = body["resourceSpans"][0]
    scope = {"name": sing.token(), "version": sing.token(), "attributes": make.attributes({sing.token(): sing.token()})}
    part["schemaUrl"] = sing.token()
    part["scopeSpans"][0] |= {"scope": scope, "schemaUrl": sing.token()}
    return body


def _unknown(sing: Canaries) -> dict[str, object]:
    """Attributes of no row, of every type and depth."""
    deep: object = sing.token()
    for _ in range(8):
        deep = {sing.token(): [deep, sing.token()]}
    return {
        **{name: sing.token() for name in _CONTENT},
        sing.token(): sing.token(),
        sing.text(): 1,
        f"gen_ai.{sing.token()}": True,
        f"retrieval.documents.0.{sing.token()}": sing.token(),
        "array": [sing.token(), [sing.text()], 1.5],
        "bytes": sing.token().encode(),
        "deep": deep,
    }


def _known(sing: Canaries) -> dict[str, object]:
    """Attributes of the table with what their rows must not let through: sentences, or words where numbers stand."""
    return {**{name: sing.text() for name in _A_NAME_PASSES}, **{name: sing.token() for name in _NO_WORD_PASSES}}


def _span(sing: Canaries, span_id: str, parent: str, said: dict[str, object]) -> Json:
    link = {"traceId": "ab" * 16, "spanId": "cd" * 8, "traceState": f"k={sing.token()}"}
    exception = {"exception.type": sing.text(), "exception.message": sing.token(), "exception.stacktrace": sing.token()}
    return make.span(
        span_id,
        parent,
        said=said,
        name=sing.text(),
        traceState=f"{sing.token()}={sing.token()}",
        status={"code": 2, "message": sing.token()},
        events=[
            {"name": sing.token(), "attributes": make.attributes({sing.token(): sing.token(), "exception.type": sing.token()})},
            {"name": "exception", "attributes": make.attributes({**exception, sing.token(): [sing.token()]})},
        ],
        links=[{**link, "attributes": make.attributes({sing.token(): sing.token()})}],
    )
