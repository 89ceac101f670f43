"""Writes `docs/otlp-mapping.md` from the gateway's own tables: `make otlp-mapping`. A test says when it is out of date.

Prose stands here, every row of a table comes from the code: attributes, kinds, answers, limits.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

from agenttracer.rules.span_kinds import (
    COMPONENTS,
    OPENINFERENCE,
    OPERATIONS,
    PROTOCOLS,
    REQUEST_TYPES,
    SPAN_NAME_ENDS,
    SPAN_NAME_STARTS,
    SPAN_NAMES,
    SPAN_TYPES,
    TRACELOOP,
    VERCEL,
    KnownKind,
)
from producer_gateway.otlp.mapping import MAPPING_VERSION, RESOURCE_TABLE, TABLE
from producer_gateway.otlp.routes import ANSWERS, RETRYABLE
from producer_gateway.otlp.span import ATTRIBUTES_PER_SPAN, DOCUMENTS
from producer_gateway.otlp.values import Read
from producer_gateway.otlp_grpc.answers import CODES
from producer_gateway.settings import GatewaySettings

PAGE: Final = Path(__file__).parents[2] / "docs" / "otlp-mapping.md"
_MIB: Final = 1024 * 1024
_BECOMES: Final[Mapping[str, str]] = {
    "@operation": "kind",
    "@openinference": "kind",
    "@vercel": "kind",
    "@span_type": "kind",
    "@component": "kind",
    "@traceloop": "kind",
    "@request_type": "kind",
    "@protocol": "kind, where nothing else says it",
    "@agent": "agent; name of an agent's step",
    "@agent_version": "agent version",
    "@tool": "name of a tool's step",
    "@source": "name of a retrieval's step",
    "@route": "name of a request's step, after its method",
    "@entity": "name of a step",
    "@error_type": "evidence of a failed span: error class, code or HTTP status",
    "@error_code": "evidence of a failed span: error code",
    "@attempt": "attempt, less one",
    "@session": "keyed digest of the session",
    "@arguments": "keyed digest of a tool's work",
    "@result": "error that a tool returned",
    "@calls": "kind `plan` of a model's call",
    "@answer": "kind `plan` of a model's call",
    "@returned": "error that a tool returned",
    "@cost": "cost",
    "@currency": "currency of the cost; `USD` where none is said",
    "@language": "producer's `sdk`",
    "@sdk_version": "producer's `sdk`",
}
"""Targets that are no keys of metadata, in words. A new one needs some."""


def _beside(words: Mapping[str, KnownKind]) -> Mapping[str, KnownKind]:
    return {word: known for word, known in words.items() if word not in OPERATIONS}


_SAID_BY: Final[tuple[tuple[str, Mapping[str, KnownKind]], ...]] = (
    ("`gen_ai.operation.name`", OPERATIONS),
    ("`openinference.span.kind`", OPENINFERENCE),
    ("`traceloop.span.kind`", TRACELOOP),
    ("`ai.operationId`", VERCEL),
    ("types of spans of LangSmith, AG2, MLflow, Langfuse and others", SPAN_TYPES),
    ("end of `haystack.component.type`", COMPONENTS),
    ("`llm.request.type`", REQUEST_TYPES),
    ("the span's name as a whole, beside the words of `gen_ai.operation.name`", _beside(SPAN_NAMES)),
    ("the span's name before a blank, beside the same words", _beside(SPAN_NAME_STARTS)),
    ("the span's name after its last dot", SPAN_NAME_ENDS),
    ("protocols", PROTOCOLS),
)

_HEAD: Final = """# How OTLP becomes runs and steps

Mapping version {version}. The gateway takes traces over **OTLP/HTTP**, in protobuf or JSON, and over **OTLP/gRPC** where it is given a
port for it (`AGENTTRACER_GATEWAY_GRPC_PORT`). Any OpenTelemetry exporter is pointed here by

    export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:8000
    export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
    export OTEL_EXPORTER_OTLP_HEADERS="x-api-key=atk_…"

or, over gRPC, which is what most exporters speak unless told otherwise, by

    export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317
    export OTEL_EXPORTER_OTLP_HEADERS="x-api-key=atk_…"

The API key needs the scope `ingest`. On a local stack the last line is
`export OTEL_EXPORTER_OTLP_HEADERS="x-api-key=$(cat ~/.config/agenttracer/local/8000.key)"`, as `agenttracer up` prints it; it takes gRPC on
port 4317, or another one if that is taken, which it prints too. A request with two keys, as `x-api-key` and as `authorization`, gets a
401. A gateway for other machines and containers: [operations](operations.md#agents-on-other-machines-and-in-containers).

**The port decides the protocol.** gRPC on the HTTP port is refused: the exporter logs `UNAVAILABLE` and `Failed parsing HTTP/2`, its spans
are lost, and the gateway counts `http2` in `agenttracer_gateway_requests_refused_total`.

Only traces are kept. `OTEL_EXPORTER_OTLP_ENDPOINT` sends metrics and logs here too, where a program makes any: they are taken, thrown away
unread, and counted in the answer's `partial_success`. To save the way, set `OTEL_METRICS_EXPORTER=none` and `OTEL_LOGS_EXPORTER=none`.

Written by `make otlp-mapping` from `producer_gateway/otlp` and the settings.

## SDKs with settings of their own

Content stops at this gateway, not at what else a program exports to. What decides where spans go:

- **OpenInference and OpenLLMetry's instrumentations on OpenTelemetry's SDK**: the variables above, read by the exporter. In Python
  `OTLPSpanExporter()` of `opentelemetry.exporter.otlp.proto.http.trace_exporter` sends HTTP, the one of `…otlp.proto.grpc…` gRPC.
- **Phoenix** (`arize-phoenix-otel`): `register(endpoint="http://127.0.0.1:8000/v1/traces", protocol="http/protobuf", batch=True,
  headers={{"x-api-key": "atk_…"}})`, without `PHOENIX_API_KEY`, which would be a second key. A bare `register()` takes no more than the
  host from `PHOENIX_COLLECTOR_ENDPOINT`, else from `OTEL_EXPORTER_OTLP_ENDPOINT`, and sends gRPC to port 4317 there.
  `OTEL_SERVICE_NAME` names the agent; Phoenix's project name is not read.
- **Traceloop** (OpenLLMetry's SDK, Python and JavaScript): `TRACELOOP_BASE_URL=http://127.0.0.1:8000`, scheme included, and
  `TRACELOOP_HEADERS="x-api-key=atk_…"`. It does not read `OTEL_EXPORTER_OTLP_ENDPOINT`: with a `TRACELOOP_API_KEY` and no base URL,
  prompts and answers go to Traceloop's cloud. In Python, `TRACELOOP_METRICS_ENABLED=false` saves its metrics the way, and
  `Traceloop.init(app_name="support-agent")` names the agent.
- **Logfire**: `logfire.configure(send_to_logfire=False, service_name="support-agent")`, or `LOGFIRE_SEND_TO_LOGFIRE=false`, and
  `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` and `OTEL_EXPORTER_OTLP_HEADERS` as above. Without the first it sends to Logfire as well. It sends
  protobuf over HTTP whatever `OTEL_EXPORTER_OTLP_PROTOCOL` says.

## A Collector in between

```yaml
exporters:
  otlp_http:                          # otlphttp up to v0.143, and as a deprecated alias since
    endpoint: http://127.0.0.1:8000   # /v1/traces is added
    headers:
      x-api-key: ${{env:AGENTTRACER_API_KEY}}
    sending_queue:
      batch:
        sizer: bytes
        min_size: 1000000
        max_size: 4000000             # of the {wire} MiB that a body may have; what is more is divided
        flush_timeout: 1s
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [otlp_http]
```

`sizer: bytes` is what keeps a batch from being refused: only the exporter's own queue can divide by size. The `batch` processor counts
spans alone, whatever they weigh, and without `send_batch_max_size` not even those. Over gRPC the exporter is `otlp_grpc` (`otlp` up to
v0.143) with `endpoint: 127.0.0.1:4317` and, without TLS, `tls: {{insecure: true}}`; the rest is the same. Agents may send to the Collector's
receiver as they like.

## Every trace becomes a run

Whatever made it. Where web requests are traced too, each of them is a run of the service's name, health checks included; one in which an
agent ran has the agent's spans as its steps. To keep the others out, either do not make their spans:

- Python: `OTEL_PYTHON_EXCLUDED_URLS="health,metrics"`, regular expressions for all web frameworks and HTTP clients, or
  `OTEL_PYTHON_FASTAPI_EXCLUDED_URLS` and its like for one. `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=fastapi` under `opentelemetry-instrument`
  switches one off: the agent's own span begins the run then.
- Node: `ignoreIncomingRequestHook` of `HttpInstrumentation`.

Or have a Collector keep only traces with an agent in them, by its `tail_sampling` processor (`contrib` distribution), before `batch`. It
decides on a trace 30 s (`decision_wait`) after the first span. Instrumentations that do not say `gen_ai.operation.name` need a policy
more, with `openinference.span.kind` or `traceloop.span.kind`.

```yaml
processors:
  tail_sampling:
    policies:
      - name: agents
        type: string_attribute
        string_attribute: {{key: gen_ai.operation.name, values: [".+"], enabled_regex_matching: true}}
```

Not by dropping single spans, as the `filter` processor does, nor by exporting the agent's spans without the request's: the root starts and
ends the run. Without it the run has no start, and is `running`, then `abandoned`.

## How much at once

| of one request | most | setting `AGENTTRACER_GATEWAY_…` |
|---|---|---|
| body as received | {wire} MiB | `OTLP_BODY_MAX_BYTES` |
| body inflated | {inflated} MiB | `INFLATED_MAX_BYTES` |
| body inflated, beside what was received | {ratio:,} times as much | `INFLATE_MAX_RATIO` |
| spans | {spans:,} | `OTLP_SPANS_MAX` |
| attributes of whatever has some, and events and links themselves | {attributes:,} | {each} times `OTLP_SPANS_MAX`: {each} a span on average where there are that many |

What is more is refused whole (413), and no client of OTLP divides and sends again: the spans are lost. So where spans carry long prompts:

- SDKs send 512 spans at once. `OTEL_BSP_MAX_EXPORT_BATCH_SIZE=128` is right for spans of up to 60 KiB each.
- `OTEL_EXPORTER_OTLP_COMPRESSION=gzip` makes a tenth of what is sent, which the {receive} s for a body's arrival ask for on slow lines. What
  it inflates to counts all the same. A Collector does so unless told otherwise.
- A Collector batches without an upper limit unless its queue is set up [as above](#a-collector-in-between).

Over gRPC the same limits hold, and these differ:

| of gRPC | over HTTP | over gRPC |
|---|---|---|
| message larger than {wire} MiB as received | 413 | `RESOURCE_EXHAUSTED`, by gRPC itself and not counted |
| body inflated that is too large, too many spans or attributes | 413 | `INVALID_ARGUMENT`, with the same code in the message |
| calls at a time | `IN_FLIGHT_MAX_REQUESTS`, then 503 | the same, then `UNAVAILABLE`; twice as many, then `RESOURCE_EXHAUSTED` by gRPC itself |
| calls at a time on one connection | 1 | 100; the others wait |
| compression | gzip, zstd | gzip |
| connections | `CONNECTIONS_MAX` | bounded by the system's open files alone; idle ones are closed after `IDLE_TIMEOUT_S` |

## Spans

| span | becomes |
|---|---|
| trace id | run id, written as a UUID |
| span id, parent span id | step id, parent step id; a parent that is no step itself, or never came, leaves the step at the top |
| no parent, or one in another process (span flags) | a start and an end of the run |
| which end counts | one without a parent, whatever other clocks say; else the latest of those under a parent in another process; else the latest of an agent, so that a run ends whose root is traced elsewhere |
| which start counts | one without a parent, else the earliest: its service or agent is the run's, with version, start and metadata |
| a root that is an agent, a workflow or unknown | the run alone: its metadata is the run's. It is no step |
| a root that is a model call, a tool, a retrieval | the run and a step |
| start and end | microseconds, cut. An end before the start: duration 0, counted under `range` |
| status `ERROR` | step status `error`, run status `failure`; anything else is `ok`, `success` |
| a class of cancellation, of an interrupt for people, of a limit | the run's end reason: `cancelled` and `interrupted` are `partial`, limits are `failure`. A step that was interrupted is `ok` |
| last event `exception` of a failed span | `exception.type` becomes the error class; its other attributes are dropped and counted |
| message of that exception, else the status' description | read in memory by the closed table of [known errors](failures.md): its code is kept, nothing of the text |
| result of a tool, or a flag beside it | the same, of a tool whose span did not fail: an error that the tool returned, which marks the step and not the run |
| an agent below the root | its step, and that it is an execution of that agent |
| a root that is a web request, or creates an agent | the run is a trace, and none of an agent |
| no end yet | the start of the run, or a sign of life; the step when it is told again with an end |
| an error that a child in the same request has too | `cause_step_id`: the failure is the innermost child's and counted once |
| name | the step's, where no attribute names it and it is a name; see [Names of steps](#names-of-steps) |
| event `gen_ai.choice`, or `gen_ai.client.inference.operation.details` | the reason to end and the answer's form, where the span has none |
| attributes of all other events, of links and scopes | dropped and counted, by name alone; of a span's, those of the last 128 |
| names of other events, trace state, schema URLs, kind, dropped counts | never read |

- **Completeness** is `unknown`: exporters do not say how many spans a trace has, so `emitted` is 0.
- **A root that never comes** leaves the run `running`, and `abandoned` after 30 minutes of silence.
- **Order** is by start time; `seq` is 0 in all of them. The same span gives the same events however often it is sent.
- **Agent**: the nearest span at or above it that names one, in the same request and resource; else the service. A span that is exported
  before its agent's span, as in long runs, counts for the service.
- **A run with several agents** lies in one record for each of them.

## Attributes

In order of preference. What is dropped is counted, and never by its value: what stands in no row in
`agenttracer_gateway_otlp_attributes_dropped_total`, of spans, resources and exceptions alike, by the first segment of its name if
that is a known one, else as `other`; a value that does not fit its row in `agenttracer_gateway_values_dropped_total` as
`metadata_value`, a name that had to be changed as `name`.
"""  # noqa: E501 - rows of tables do not wrap
_ATTRIBUTES: Final = """| becomes | attribute | read as |
|---|---|---|"""
_KINDS: Final = """## Names of steps

A tool's step has the tool's name, an agent's the agent's, any other the name that its attributes give it, by the rows above. Where they
give none, the span's own name counts: `execute_tool search` and `search.tool` are the tool `search`, `invoke_agent planner` and
`agent_run [planner]` the agent `planner`, `chat gpt-4o` is `chat` with the model in metadata. Every other span name is kept where it is a
name:

- one word of the form of names (`RunnableSequence`, `ai.streamText.doStream`), or up to four, with `-` between them (`Step-1`). Longer
  ones, ones with other characters, and prose (three or more of the words that hold sentences together) are none;
- without ids: `Crew_0b0e….kickoff` is `Crew.kickoff`. Of a dotted path that is too long the last two parts count;
- of a web request its method and the template of its route: `GET /users/{id}` is `GET-/users/:id`, from `http.route` or a span name with
  a template in it. A path without one is never kept: the name is `GET`.

What has no name has the word of the kinds below. The SDK's `AgentTracerSpanProcessor` names steps by the same rules.

Classes of errors are kept without what their language puts around them: `*net.OpError` (Go) is `net.OpError`,
`com.x.Client$Refused` (Java) `com.x.Client.Refused`, ``Refused`1`` and `Refused<T>` (.NET) `Refused`, `App\\Refused` (PHP) `App.Refused`.
JavaScript says an error's code in place of its class where it has one: that is the code.

## Kinds

The first of these that says something known decides. A model call that ended with `tool_calls`, `tool_call`, `tool_use`,
`function_call` or `function_calls` is `plan`, and so is one whose reason says nothing more than that it ended and whose answer calls
tools, as attributes' names or the form of `gen_ai.output.messages` tell. A private method's part of a model call or retrieval, as
LlamaIndex traces them beside the whole, is `other`. Everything else is `other`.

| said by | word | kind | name |
|---|---|---|---|"""  # noqa: E501 - width of the page
_ANSWERS: Final = """## Answers

| HTTP | gRPC | when | try again |
|---|---|---|---|"""
_TAIL: Final = """
All in the request's encoding: `ExportTraceServiceResponse`, or `google.rpc.Status` with a message made of our own words. A span
is rejected when its ids are not 16 and 8 bytes, or zero, when it is its own parent, when its times lie outside 2000 to 2100, or
when it took more than 366 days. What is refused before there is a request (a slow or too large head, too many connections) is
answered in the JSON of the other routes.

Over gRPC the wait stands in the trailers, as `google.rpc.RetryInfo`. What clients log where the gateway does not take spans:

- Python: `Failed to export traces to 127.0.0.1:4317, error code: StatusCode.UNAUTHENTICATED`; before another try `Transient error
  StatusCode.UNAVAILABLE encountered while exporting traces to 127.0.0.1:4317, retrying in 1.00s.`
- Go and the Collector: `rpc error: code = InvalidArgument desc = protobuf: The body is not an ExportTraceServiceRequest in protobuf.`;
  the Collector adds `Permanent error` to what it does not try again, and `not retryable error` as it drops the data.
- JavaScript: `{"stack":"Error: 16 UNAUTHENTICATED: …"}` on its diagnostics logger.
"""  # noqa: E501 - as above


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            _head(),
            *(_ATTRIBUTES, *_rows(TABLE)),
            "\nOf a resource:\n",
            *(_ATTRIBUTES, *_rows(RESOURCE_TABLE)),
            f"\n`{DOCUMENTS}` stands for OpenInference's `{DOCUMENTS}.N.…`: only the numbers in the names are looked at.\n",
            *(_KINDS, *_kinds(), ""),
            *(_ANSWERS, *_answers()),
            _TAIL,
        ]
    )


def _head() -> str:
    limits = {name: field.default for name, field in GatewaySettings.model_fields.items()}
    return _HEAD.format(
        version=MAPPING_VERSION,
        wire=limits["otlp_body_max_bytes"] // _MIB,
        inflated=limits["inflated_max_bytes"] // _MIB,
        ratio=limits["inflate_max_ratio"],
        spans=limits["otlp_spans_max"],
        attributes=ATTRIBUTES_PER_SPAN * limits["otlp_spans_max"],
        each=ATTRIBUTES_PER_SPAN,
        receive=f"{limits['otlp_receive_timeout_s']:g}",
    )


def _rows(table: tuple[tuple[str, Read, tuple[str, ...]], ...]) -> Iterator[str]:
    for target, read, names in table:
        becomes = _BECOMES[target] if target[0] == "@" else f"metadata `{target}`"
        yield f"| {becomes} | {_code(names)} | {read_as(read)} |"


def read_as(read: Read) -> str:
    """What a row makes of a value, in the words of the code."""
    return " ".join((read.__doc__ or "").split())


def _kinds() -> Iterator[str]:
    for said_by, words in _SAID_BY:
        together: dict[KnownKind, list[str]] = {}
        for word, known in words.items():
            together.setdefault(known, []).append(word)
        for known, said in together.items():
            yield f"| {said_by} | {_code(said)} | {known.kind} | `{known.word}` |"


def _answers() -> Iterator[str]:
    for status, when in ANSWERS.items():
        again = "yes, after `Retry-After` seconds" if status in RETRYABLE else "no"
        by_grpc = "`OK`" if status == HTTPStatus.OK else f"`{CODES[status].name}`"
        yield f"| {status} | {by_grpc} | {when} | {again} |"


def _code(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
