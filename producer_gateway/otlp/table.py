"""The mapping: which attribute becomes what. All that can ever pass stands here; docs/otlp-mapping.md explains it.

A row is (target, how the value is read, attributes in order of preference). Targets with a leading `@` are members or
evidence that `step` and `trace` place; all others are keys of metadata. A change of meaning here is a new `MAPPING_VERSION`.
Names are those of OpenTelemetry's GenAI conventions (1.29 to 1.41), OpenInference and OpenLLMetry.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from agenttracer.wire import form
from agenttracer.wire.events import COUNT_MAX, INT64_MAX, MetadataValue
from agenttracer.wire.vocabulary import INVALID_NAME
from producer_gateway.otlp.kind import OPENINFERENCE, OPERATIONS, PROTOCOLS, REQUEST_TYPES, TRACELOOP, Known

MAPPING_VERSION: Final = 1
_HYPHENED_MAX_CHARS: Final = 4 * form.NAME_MAX_CHARS
"""No longer string is split into its words."""
OTHER_ERROR: Final = "_OTHER"
"""OpenTelemetry's own word for an error that has no better one: it says nothing, and nothing is lost with it."""

Read = Callable[[object], MetadataValue | None]
"""The value as it may be stored, or None where it does not fit: then it is left out and counted."""


def label(value: object) -> str | None:
    """A string of the form of names, as it is."""
    return value if isinstance(value, str) and form.is_name(value) else None


def model(value: object) -> str | None:
    """A model's name; providers put `@` before a version."""
    if not isinstance(value, str) or len(value) > form.NAME_MAX_CHARS:
        return None
    return label(value.replace("@", ":") if "@" in value else value)


def count(value: object) -> int | None:
    """A whole number from 0."""
    return value if type(value) is int and 0 <= value <= INT64_MAX else None


def number(value: object) -> float | None:
    """A finite number."""
    if type(value) is int:
        return count(value)
    return value if type(value) is float and math.isfinite(value) else None


def flag(value: object) -> bool | None:
    """True or false."""
    return value if type(value) is bool else None


def status(value: object) -> int | None:
    """An HTTP status, as a number or in digits."""
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():  # noqa: PLR2004 - digits of a status
        value = int(value)
    return value if type(value) is int and 100 <= value <= 599 else None  # noqa: PLR2004 - the contract's HttpStatus


def reason(value: object) -> str | None:
    """The first, in order of the alphabet, of one or several reasons."""
    if not isinstance(value, tuple):
        return label(value)
    if len(value) == 1:
        return label(value[0])
    return min((fit for each in value if (fit := label(each)) is not None), default=None)


def word_of(words: Mapping[str, Known]) -> Read:
    """A word of one of the closed tables of kinds."""

    def kind_word(value: object) -> str | None:
        """A word of the kinds below; never stored as it is."""
        return value if isinstance(value, str) and value in words else None

    return kind_word


def error_type(value: object) -> str | None:
    """An error's class, code or status, of the form of names; `_OTHER` says nothing."""
    return OTHER_ERROR if value == OTHER_ERROR else label(value)


def tool_name(value: object) -> str:
    """A tool's name as it is: a changed one would name another tool. A misfit leaves the contract's placeholder."""
    return label(value) or INVALID_NAME


def hyphened(value: object) -> str:
    """An agent's or service's name or version, with hyphens for blanks. A misfit leaves the contract's placeholder."""
    if isinstance(value, str) and len(value) <= _HYPHENED_MAX_CHARS:
        return label(value) or label("-".join(value.split())) or INVALID_NAME
    return INVALID_NAME


def resends(value: object) -> int | None:
    """How often a request was sent again before this one."""
    return value if type(value) is int and 0 <= value < 10_000 else None  # noqa: PLR2004 - the contract's Attempt


def amount(value: object) -> int | None:
    """How many were found; as large as the contract's counts."""
    return value if type(value) is int and 0 <= value <= COUNT_MAX else None


DOCUMENTS: Final = "retrieval.documents"
"""Stands for OpenInference's numbered documents: decoding counts their keys. A span without any says nothing."""
TABLE: Final[tuple[tuple[str, Read, tuple[str, ...]], ...]] = (
    # what a span is: looked up in `kind`
    ("@operation", word_of(OPERATIONS), ("gen_ai.operation.name",)),
    ("@openinference", word_of(OPENINFERENCE), ("openinference.span.kind",)),
    ("@traceloop", word_of(TRACELOOP), ("traceloop.span.kind",)),
    ("@request_type", word_of(REQUEST_TYPES), ("llm.request.type",)),
    (
        "@protocol",
        word_of(PROTOCOLS),
        ("mcp.method.name", "rpc.system", "db.system.name", "db.system", "http.request.method", "http.method"),
    ),
    # names
    ("@agent", hyphened, ("gen_ai.agent.name", "agent.name")),
    ("@agent_version", hyphened, ("gen_ai.agent.version",)),
    ("@tool", tool_name, ("gen_ai.tool.name", "tool.name")),
    ("@entity", label, ("traceloop.entity.name", "gen_ai.workflow.name")),
    # evidence, kept of spans that ended in an error
    ("@error_type", error_type, ("error.type",)),
    ("@error_code", label, ("db.response.status_code", "rpc.response.status_code")),
    ("@attempt", resends, ("http.request.resend_count",)),
    # metadata
    ("http_status", status, ("http.response.status_code", "http.status_code")),
    ("provider", label, ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")),
    (
        "model",
        model,
        (
            *("gen_ai.response.model", "gen_ai.request.model", "llm.response.model_name", "llm.model_name"),
            *("llm.request.model_name", "embedding.model_name", "reranker.model_name"),
        ),
    ),
    ("input_tokens", count, ("gen_ai.usage.input_tokens", "llm.token_count.prompt", "gen_ai.usage.prompt_tokens")),
    ("output_tokens", count, ("gen_ai.usage.output_tokens", "llm.token_count.completion", "gen_ai.usage.completion_tokens")),
    ("total_tokens", count, ("gen_ai.usage.total_tokens", "llm.token_count.total", "llm.usage.total_tokens")),
    (
        "cache_read_tokens",
        count,
        (
            *("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
            "llm.token_count.prompt_details.cache_read",
        ),
    ),
    (
        "cache_write_tokens",
        count,
        (
            *("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens"),
            "llm.token_count.prompt_details.cache_write",
        ),
    ),
    (
        "reasoning_tokens",
        count,
        (
            *("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "llm.usage.reasoning_tokens"),
            "llm.token_count.completion_details.reasoning",
        ),
    ),
    (
        "finish_reason",
        reason,
        (
            *("gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "llm.finish_reason"),
            *("llm.response.finish_reason", "gen_ai.response.stop_reason", "llm.response.stop_reason"),
        ),
    ),
    ("max_tokens", count, ("gen_ai.request.max_tokens",)),
    ("temperature", number, ("gen_ai.request.temperature",)),
    ("top_p", number, ("gen_ai.request.top_p",)),
    ("streamed", flag, ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming")),
    ("time_to_first_chunk_s", number, ("gen_ai.response.time_to_first_chunk",)),
    ("tool_type", label, ("gen_ai.tool.type",)),
    ("result_count", amount, ("db.response.returned_rows", "db.milvus.search.result_count", DOCUMENTS)),
)
RESOURCE_TABLE: Final[tuple[tuple[str, Read, tuple[str, ...]], ...]] = (
    ("@agent", hyphened, ("gen_ai.agent.name", "service.name")),
    ("@agent_version", hyphened, ("gen_ai.agent.version", "service.version")),
    ("@language", label, ("telemetry.sdk.language",)),
    ("@sdk_version", label, ("telemetry.sdk.version",)),
)


class Row(NamedTuple):
    """One attribute of the table. Of several for one target the lowest rank counts."""

    target: str
    rank: int
    read: Read


def _rows(table: tuple[tuple[str, Read, tuple[str, ...]], ...]) -> Mapping[str, Row]:
    return {name: Row(target, rank, read) for target, read, names in table for rank, name in enumerate(names)}


NAMES: Final = frozenset({"@agent", "@agent_version", "@tool"})
"""Targets whose values are counted when they were changed to fit."""
ROWS: Final = _rows(TABLE)
RESOURCE_ROWS: Final = _rows(RESOURCE_TABLE)
