"""The mapping: which attribute becomes what. All that can ever pass stands here; docs/otlp-mapping.md explains it.

A row is (target, how the value is read, attributes in order of preference). Targets with a leading `@` are members or
evidence that `step` and `convert` place; all others are keys of metadata. A change of meaning here is a new `MAPPING_VERSION`.
Most names of attributes stand in `agenttracer.rules.span_attributes`, since the SDK's span processor reads them too.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from agenttracer.rules.span_attributes import (
    ANSWERS,
    ARGUMENTS,
    CALLS,
    COSTS,
    COUNTS,
    CURRENCIES,
    FLAGS_OF_ERRORS,
    HTTP_STATUS,
    KIND_WORDS,
    LABELS,
    NAMES,
    REASONS,
    RESULTS,
    SESSIONS,
)
from agenttracer.rules.span_kinds import OPENINFERENCE, OPERATIONS, PROTOCOLS, REQUEST_TYPES, TRACELOOP, VERCEL
from producer_gateway.otlp import values
from producer_gateway.otlp.span import DOCUMENTS
from producer_gateway.otlp.values import Read, word_of

MAPPING_VERSION: Final = 2

_Table = tuple[tuple[str, Read, tuple[str, ...]], ...]
_KIND_READERS: Final[Mapping[str, Read]] = {
    "@operation": word_of(OPERATIONS),
    "@openinference": word_of(OPENINFERENCE),
    "@traceloop": word_of(TRACELOOP),
    "@vercel": word_of(VERCEL),
    "@span_type": values.span_type,
    "@component": values.component,
    "@request_type": word_of(REQUEST_TYPES),
    "@protocol": word_of(PROTOCOLS),
}
_NAME_READERS: Final[Mapping[str, Read]] = {
    "@agent": values.hyphened,
    "@agent_version": values.hyphened,
    "@tool": values.tool_name,
    "@entity": values.worded,
    "@source": values.worded,
    "@route": values.route,
}
_LABEL_READERS: Final[Mapping[str, Read]] = {
    "model": values.model,
    "workflow": values.worded,
    "prompt_name": values.worded,
    "prompt_version": values.version,
    "evaluation_name": values.worded,
}
"""All other labels are read as they are."""

TABLE: Final[_Table] = (
    # what a span is: looked up in the tables of kinds
    *((target, _KIND_READERS[target], names) for target, names in KIND_WORDS.items()),
    *((target, _NAME_READERS[target], names) for target, names in NAMES.items()),
    # evidence, kept of spans that ended in an error
    ("@error_type", values.error_type, ("error.type",)),
    ("@error_code", values.label, ("db.response.status_code", "rpc.response.status_code")),
    ("@attempt", values.resends, ("http.request.resend_count",)),
    # members of the contract's own: digests of what must not be kept, errors that tools returned, cost
    ("@session", values.identifier, SESSIONS),
    ("@arguments", values.arguments, ARGUMENTS),
    ("@result", values.result, RESULTS),
    ("@calls", values.called, CALLS),
    ("@answer", values.answer, ANSWERS),
    ("@returned", values.flagged, FLAGS_OF_ERRORS),
    ("@cost", values.nano, COSTS),
    ("@currency", values.currency, CURRENCIES),
    # metadata
    ("http_status", values.status, HTTP_STATUS),
    *((target, _LABEL_READERS.get(target, values.label), names) for target, names in LABELS.items()),
    *((target, values.count, names) for target, names in COUNTS.items()),
    ("finish_reason", values.reason, REASONS),
    ("temperature", values.number, ("gen_ai.request.temperature",)),
    ("top_p", values.number, ("gen_ai.request.top_p",)),
    ("streamed", values.flag, ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming")),
    ("time_to_first_chunk_s", values.number, ("gen_ai.response.time_to_first_chunk",)),
    ("time_to_first_chunk_s", values.milliseconds, ("ai.response.msToFirstChunk", "ai.stream.msToFirstChunk")),
    ("evaluation_score", values.number, ("gen_ai.evaluation.score.value",)),
    ("guardrail_triggered", values.flag, ("gen_ai.guardrail.triggered", "guardrail.triggered")),
    (
        "result_count",
        values.amount,
        (
            *("db.response.returned_rows", "db.milvus.search.result_count", DOCUMENTS),
            *("gen_ai.retrieval.documents.count", "gen_ai.memory.search.result.count", "gen_ai.memory.record.count"),
        ),
    ),
)
RESOURCE_TABLE: Final[_Table] = (
    ("@agent", values.hyphened, ("gen_ai.agent.name", "service.name")),
    ("@agent_version", values.hyphened, ("gen_ai.agent.version", "service.version")),
    ("@language", values.label, ("telemetry.sdk.language",)),
    ("@sdk_version", values.label, ("telemetry.sdk.version",)),
)


class Row(NamedTuple):
    """One attribute of the table. Of several for one target the lowest rank counts."""

    target: str
    rank: int
    read: Read


def _rows(table: _Table) -> Mapping[str, Row]:
    """By attribute, each of which stands in one row. Ranks go on where a target has several rows."""
    ranks: Counter[str] = Counter()
    rows: dict[str, Row] = {}
    for target, read, names in table:
        for name in names:
            assert name not in rows
            rows[name] = Row(target, ranks[target], read)
            ranks[target] += 1
    return rows


ROWS: Final = _rows(TABLE)
RESOURCE_ROWS: Final = _rows(RESOURCE_TABLE)
