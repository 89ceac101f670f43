"""What a span does: its kind of step and a word for it, by the first convention that says something known. Closed tables only.

Whatever is not here is `other`: agents, workflows, chains, tasks, embeddings, guardrails, HTTP, databases.
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from agenttracer.wire.vocabulary import StepKind

if TYPE_CHECKING:
    from producer_gateway.otlp.span import Placed


class Known(NamedTuple):
    """`word` names the step where nothing in the span does."""

    kind: StepKind
    word: str


UNKNOWN: Final = Known(StepKind.OTHER, "span")
_TOOL_CALLS: Final = frozenset({"tool_calls", "tool_call", "tool_use", "function_call"})
"""Reasons of providers to finish that mean: the model decided what to do next, and did not answer."""
_SEARCHES: Final = ("chroma", "marqo", "milvus", "pinecone", "qdrant", "weaviate", "lancedb", "elasticsearch", "opensearch")


def _words(kind: StepKind, *words: str) -> dict[str, Known]:
    return {word: Known(kind, word) for word in words}


OPERATIONS: Final[Mapping[str, Known]] = {
    **_words(StepKind.RESPOND, "chat", "generate_content", "text_completion"),
    **_words(StepKind.RETRIEVE, "retrieval", "search_memory"),
    **_words(StepKind.TOOL, "execute_tool"),
    **_words(StepKind.PLAN, "plan"),
    **_words(StepKind.OTHER, "invoke_agent", "create_agent", "invoke_workflow", "embeddings"),
    # OpenLLMetry's own
    "llm_request": Known(StepKind.RESPOND, "chat"),
    "vector_db_retrieve": Known(StepKind.RETRIEVE, "retrieval"),
    "execute_task": Known(StepKind.OTHER, "task"),
    **_words(StepKind.OTHER, "create_memory", "update_memory", "upsert_memory", "delete_memory"),
}
OPENINFERENCE: Final[Mapping[str, Known]] = {
    "LLM": Known(StepKind.RESPOND, "llm"),
    "RETRIEVER": Known(StepKind.RETRIEVE, "retriever"),
    "RERANKER": Known(StepKind.RETRIEVE, "reranker"),
    "TOOL": Known(StepKind.TOOL, "tool"),
    "DECISION": Known(StepKind.PLAN, "decision"),
    **{word.upper(): Known(StepKind.OTHER, word) for word in ("agent", "chain", "embedding", "guardrail", "evaluator", "prompt")},
}
TRACELOOP: Final[Mapping[str, Known]] = {
    **_words(StepKind.TOOL, "tool"),
    **_words(StepKind.OTHER, "workflow", "task", "agent"),
}
REQUEST_TYPES: Final[Mapping[str, Known]] = {
    **_words(StepKind.RESPOND, "chat", "completion"),
    **_words(StepKind.RETRIEVE, "rerank"),
    **_words(StepKind.OTHER, "embedding"),
}
PROTOCOLS: Final[Mapping[str, Known]] = {
    "tools/call": Known(StepKind.TOOL, "tool"),
    **{name: Known(StepKind.RETRIEVE, name) for name in _SEARCHES},
    **_words(StepKind.OTHER, "postgresql", "mysql", "sqlite", "redis", "mongodb", "grpc"),
    **{name: Known(StepKind.OTHER, "http") for name in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")},
}
_SIGNALS: Final[tuple[tuple[str, Mapping[str, Known]], ...]] = (
    # The sender's own word about agents before what the transport under it says. Placed is only what stands in these tables.
    ("@operation", OPERATIONS),
    ("@openinference", OPENINFERENCE),
    ("@traceloop", TRACELOOP),
    ("@request_type", REQUEST_TYPES),
)
SPAN_NAME_ENDS: Final[Mapping[str, Known]] = {
    "chat": OPERATIONS["chat"],
    "completion": REQUEST_TYPES["completion"],
    "embeddings": OPERATIONS["embeddings"],
    "rerank": REQUEST_TYPES["rerank"],
    **TRACELOOP,
}
"""Last segments of OpenLLMetry's span names: `openai.chat`, `search.tool`."""
_SPAN_NAME_MAX: Final = 256


def known_as(placed: "Placed", span_name: str) -> Known:
    """What the span says it is, by its attributes; its name is compared and forgotten."""
    marks = placed.marks
    for target, words in _SIGNALS:
        said = marks.get(target)
        if said is not None:
            return _decided(words[said], placed.metadata)
    found = _by_span_name(span_name) or PROTOCOLS.get(str(marks.get("@protocol")))
    return UNKNOWN if found is None else _decided(found, placed.metadata)


def _decided(known: Known, metadata: Mapping[str, object]) -> Known:
    if known.kind is StepKind.RESPOND and metadata.get("finish_reason") in _TOOL_CALLS:
        return _plan(known.word)
    return known


@cache
def _plan(word: str) -> Known:
    return Known(StepKind.PLAN, word)


def _by_span_name(name: str) -> Known | None:
    """GenAI spans are named `chat gpt-4o`, OpenLLMetry's `openai.chat` or `search.tool`."""
    if len(name) > _SPAN_NAME_MAX:
        return None
    first, blank, _ = name.partition(" ")
    if blank or name in OPERATIONS:
        return OPERATIONS.get(first)
    _, dot, last = name.rpartition(".")
    return SPAN_NAME_ENDS.get(last) if dot else None
