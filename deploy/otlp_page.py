"""Writes `docs/otlp-mapping.md` from the gateway's own tables: `make otlp-mapping`. A test says when it is out of date.

Prose stands here, every row of a table comes from the code: attributes, kinds, answers, limits.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from producer_gateway.otlp.kind import OPENINFERENCE, OPERATIONS, PROTOCOLS, REQUEST_TYPES, SPAN_NAME_ENDS, TRACELOOP, Known
from producer_gateway.otlp.route import ANSWERS, RETRYABLE
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

Mapping version {version}. Point any OpenTelemetry exporter here with `OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:8000` and
`OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf` (or `http/json`), and give it an API key with the scope `ingest` by
`OTEL_EXPORTER_OTLP_HEADERS="x-api-key=atk_…"`; on a local stack that is
`export OTEL_EXPORTER_OTLP_HEADERS="x-api-key=$(cat ~/.config/agenttracer/local/8000.key)"`, as `agenttracer up` prints it.

Only traces are taken. `OTEL_EXPORTER_OTLP_ENDPOINT` sends metrics and logs here too, where a program makes any: they get a
404. To send nothing but traces, set `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:8000/v1/traces` instead, path included.

Written by `make otlp-mapping` from `producer_gateway/otlp` and the settings.

## How much at once

| of one request | most | setting `AGENTTRACER_GATEWAY_…` |
|---|---|---|
| body as received | {wire} MiB | `OTLP_BODY_MAX_BYTES` |
| body inflated | {inflated} MiB | `INFLATED_MAX_BYTES` |
| spans | {spans:,} | `OTLP_SPANS_MAX` |

What is more is refused whole (413), and no client of OTLP divides and sends again: the spans are lost. So where spans carry long prompts:

- SDKs send 512 spans at once. `OTEL_BSP_MAX_EXPORT_BATCH_SIZE=128` is right for spans of up to 60 KiB each.
- `OTEL_EXPORTER_OTLP_COMPRESSION=gzip` makes a tenth of what is sent, which the {receive} s for a body's arrival ask for on slow lines. What
  it inflates to counts all the same.
- A Collector batches without an upper limit. Give its `batch` processor `send_batch_max_size: 1024`, less where spans are larger than 8 KiB.

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
| all other events, links, trace state, scope, schema URLs, kind, dropped counts | never read, with all their attributes, and not counted |

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
    limits = {name: GatewaySettings.model_fields[name].default for name in ("otlp_body_max_bytes", "inflated_max_bytes")}
    return _HEAD.format(
        version=MAPPING_VERSION,
        wire=limits["otlp_body_max_bytes"] // _MIB,
        inflated=limits["inflated_max_bytes"] // _MIB,
        spans=GatewaySettings.model_fields["otlp_spans_max"].default,
        receive=f"{GatewaySettings.model_fields['receive_timeout_s'].default:g}",
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
