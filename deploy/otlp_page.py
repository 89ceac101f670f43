"""Writes `docs/otlp-mapping.md` from the gateway's own tables: `make otlp-mapping`. A test says when it is out of date.

Prose stands here, every row of a table comes from the code: attributes, kinds, answers, limits.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from producer_gateway.otlp.kind import OPENINFERENCE, OPERATIONS, PROTOCOLS, REQUEST_TYPES, SPAN_NAME_ENDS, TRACELOOP, Known
from producer_gateway.otlp.route import ANSWERS, RETRYABLE
from producer_gateway.otlp.span import ATTRIBUTES_PER_SPAN
from producer_gateway.otlp.table import DOCUMENTS, MAPPING_VERSION, RESOURCE_TABLE, TABLE, Read
from producer_gateway.settings import GatewaySettings

PAGE: Final = Path(__file__).parents[1] / "docs" / "otlp-mapping.md"
_MIB: Final = 1024 * 1024
_BECOMES: Final[Mapping[str, str]] = {
    "@operation": "kind",
    "@openinference": "kind",
    "@traceloop": "kind",
    "@request_type": "kind",
    "@protocol": "kind, where nothing else says it",
    "@agent": "agent; name of an agent's step",
    "@agent_version": "agent version",
    "@tool": "name of a tool's step",
    "@entity": "name of a step",
    "@error_type": "evidence of a failed span: error class, code or HTTP status",
    "@error_code": "evidence of a failed span: error code",
    "@attempt": "attempt, less one",
    "@language": "producer's `sdk`",
    "@sdk_version": "producer's `sdk`",
}
"""Targets that are no keys of metadata, in words. A new one needs some."""
_SAID_BY: Final[tuple[tuple[str, Mapping[str, Known]], ...]] = (
    ("`gen_ai.operation.name`, or the span's name before a blank", OPERATIONS),
    ("`openinference.span.kind`", OPENINFERENCE),
    ("`traceloop.span.kind`", TRACELOOP),
    ("`llm.request.type`", REQUEST_TYPES),
    ("the span's name after its last dot", SPAN_NAME_ENDS),
    ("protocols", PROTOCOLS),
)

_HEAD: Final = """# How OTLP becomes runs and steps

Mapping version {version}. The gateway takes traces over **OTLP/HTTP**, in protobuf or JSON; it does not speak gRPC. Any OpenTelemetry
exporter is pointed here by

    export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:8000
    export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
    export OTEL_EXPORTER_OTLP_HEADERS="x-api-key=atk_…"

The API key needs the scope `ingest`. On a local stack the last line is
`export OTEL_EXPORTER_OTLP_HEADERS="x-api-key=$(cat ~/.config/agenttracer/local/8000.key)"`, as `agenttracer up` prints it. A request with
two keys, as `x-api-key` and as `authorization`, gets a 401. A gateway for other machines and containers:
[README](../README.md#agents-on-other-machines-and-in-containers).

**Do not leave the protocol out**: some SDKs speak gRPC unless told otherwise, Python's `opentelemetry-instrument` among them. The exporter
then logs `UNAVAILABLE` and `Failed parsing HTTP/2`, and its spans are lost; the gateway counts `http2` in
`agenttracer_gateway_requests_refused_total`.

Only traces are taken. `OTEL_EXPORTER_OTLP_ENDPOINT` sends metrics and logs here too, where a program makes any: they get a
404. To send nothing but traces, set `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:8000/v1/traces` instead, path included, and
`OTEL_METRICS_EXPORTER=none` and `OTEL_LOGS_EXPORTER=none` where the SDK would send those to its usual address.

Written by `make otlp-mapping` from `producer_gateway/otlp` and the settings.

## SDKs with settings of their own

Content stops at this gateway, not at what else a program exports to. What decides where spans go:

- **OpenInference and OpenLLMetry's instrumentations on OpenTelemetry's SDK**: the variables above, read by the exporter. In Python it must
  be `OTLPSpanExporter()` of `opentelemetry.exporter.otlp.proto.http.trace_exporter`; the one of `…otlp.proto.grpc…` sends gRPC.
- **Phoenix** (`arize-phoenix-otel`): `register(endpoint="http://127.0.0.1:8000/v1/traces", protocol="http/protobuf", batch=True,
  headers={{"x-api-key": "atk_…"}})`, without `PHOENIX_API_KEY`, which would be a second key. A bare `register()` takes no more than the
  host from `PHOENIX_COLLECTOR_ENDPOINT`, else from `OTEL_EXPORTER_OTLP_ENDPOINT`, and sends gRPC to port 4317 there.
  `OTEL_SERVICE_NAME` names the agent; Phoenix's project name is not read.
- **Traceloop** (OpenLLMetry's SDK, Python and JavaScript): `TRACELOOP_BASE_URL=http://127.0.0.1:8000`, scheme included, and
  `TRACELOOP_HEADERS="x-api-key=atk_…"`. It does not read `OTEL_EXPORTER_OTLP_ENDPOINT`: with a `TRACELOOP_API_KEY` and no base URL,
  prompts and answers go to Traceloop's cloud. In Python, `TRACELOOP_METRICS_ENABLED=false` keeps its metrics from 404s, and
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
processors:
  batch:
    send_batch_size: 1024
    send_batch_max_size: 1024
service:
  pipelines:
    traces:
      receivers: [otlp]
      processors: [batch]
      exporters: [otlp_http]
```

Not `otlp` (since v0.144 `otlp_grpc`), which is gRPC. Agents may send to the Collector's receiver as they like.

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
- A Collector batches without an upper limit. Give its `batch` processor `send_batch_max_size: 1024`, less where spans are larger than
  8 KiB, and `send_batch_size` no more: it is 8,192 by default, and above the maximum the Collector does not start.

## Spans

| span | becomes |
|---|---|
| trace id | run id, written as a UUID |
| span id, parent span id | step id, parent step id; a parent that is no step itself, or never came, leaves the step at the top |
| no parent, or one in another process (span flags) | a start and an end of the run. Of several ends the latest counts |
| which start counts | one without a parent, else the earliest: its service or agent is the run's, with version, start and metadata |
| a root that is an agent, a workflow or unknown | the run alone: its metadata is the run's. It is no step |
| a root that is a model call, a tool, a retrieval | the run and a step |
| start and end | microseconds, cut. An end before the start: duration 0, counted under `range` |
| status `ERROR` | step status `error`, run status `failure`; anything else is `ok`, `success`. The description is never read |
| last event `exception` of a failed span | `exception.type` becomes the error class; its other attributes are dropped and counted |
| an error that a child in the same request has too | `cause_step_id`: the failure is the innermost child's and counted once |
| name | compared with known forms for the kind; never stored |
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
_KINDS: Final = """## Kinds

The first of these that says something known decides. A model call that ended with `tool_calls`, `tool_call`, `tool_use` or
`function_call` is `plan`. Everything else is `other`. The word names the step where no row above does.

| said by | word | kind | name |
|---|---|---|---|"""
_ANSWERS: Final = """## Answers

| status | when | try again |
|---|---|---|"""
_TAIL: Final = """
All in the request's encoding: `ExportTraceServiceResponse`, or `google.rpc.Status` with a message made of our own words. A span
is rejected when its ids are not 16 and 8 bytes, or zero, when it is its own parent, when its times lie outside 2000 to 2100, or
when it took more than 366 days. What is refused before there is a request (a slow or too large head, too many connections) is
answered in the JSON of the other routes.
"""


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
        together: dict[Known, list[str]] = {}
        for word, known in words.items():
            together.setdefault(known, []).append(word)
        for known, said in together.items():
            yield f"| {said_by} | {_code(said)} | {known.kind} | `{known.word}` |"


def _answers() -> Iterator[str]:
    for status, when in ANSWERS.items():
        yield f"| {status} | {when} | {'yes, after `Retry-After` seconds' if status in RETRYABLE else 'no'} |"


def _code(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
