"""The kind of step that an OpenTelemetry span is, and a word for it, by the first convention that says something known.

Closed tables only. Everything else is `other`: agents, workflows, chains, tasks, embeddings, guardrails, HTTP, databases.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple

from agenttracer.wire.vocabulary import StepKind


class KnownKind(NamedTuple):
    """`word` names the step where nothing in the span does."""

    kind: StepKind
    word: str
    is_agent: bool = False
    """Whether such a span is an execution of an agent."""


UNKNOWN: Final = KnownKind(StepKind.OTHER, "span")
TOOL_CALL_REASONS: Final = frozenset({"tool_calls", "tool_call", "tool_use", "function_call", "function_calls"})
"""Reasons of providers to finish that mean: the model decided what to do next, and did not answer. In their normal form."""
_PLAIN_ENDS: Final = frozenset({None, "stop", "completed", "unknown", "other"})
"""Reasons beside which calls of tools in the answer count: OpenAI's Responses know no other for them."""
_GATHERED: Final = frozenset({"execute_tool (merged)"})
"""Google ADK's span for the answers of tools that were called at once."""
CALLS_OF_TOOLS: Final = re.compile(
    rb'"type"\s*:\s*"(?:tool_call|tool_use|function_call)"|"(?:tool_calls|toolCalls)"\s*:\s*\[\s*\{|"tool_call"\s*:\s*\{'
)
"""How an answer in JSON holds calls of tools. Text that quotes JSON has its quotes escaped."""
_ANSWER_MAX: Final = 262_144
_SEARCHES: Final = ("chroma", "marqo", "milvus", "pinecone", "qdrant", "weaviate", "lancedb", "elasticsearch", "opensearch")


def _words(kind: StepKind, *words: str) -> dict[str, KnownKind]:
    return {word: KnownKind(kind, word) for word in words}


_CHAT: Final = KnownKind(StepKind.RESPOND, "chat")
_RETRIEVAL: Final = KnownKind(StepKind.RETRIEVE, "retrieval")
_EMBEDDINGS: Final = KnownKind(StepKind.OTHER, "embeddings")
_INVOKE_AGENT: Final = KnownKind(StepKind.OTHER, "invoke_agent", is_agent=True)
_EXECUTE_TOOL: Final = KnownKind(StepKind.TOOL, "execute_tool")
_AGENT: Final = KnownKind(StepKind.OTHER, "agent", is_agent=True)
_TOOL: Final = KnownKind(StepKind.TOOL, "tool")

OPERATIONS: Final[Mapping[str, KnownKind]] = {
    **_words(StepKind.RESPOND, "chat", "generate_content", "text_completion"),
    **_words(StepKind.RETRIEVE, "retrieval", "search_memory", "rerank"),
    "execute_tool": _EXECUTE_TOOL,
    **_words(StepKind.PLAN, "plan"),
    "invoke_agent": _INVOKE_AGENT,
    **_words(StepKind.OTHER, "create_agent", "invoke_workflow", "embeddings"),
    # OpenLLMetry's own
    "llm_request": _CHAT,
    "vector_db_retrieve": _RETRIEVAL,
    "execute_task": KnownKind(StepKind.OTHER, "task"),
    **_words(StepKind.OTHER, "create_memory", "update_memory", "upsert_memory", "delete_memory"),
    # Semantic Kernel, Google ADK and LiteLLM, Strands, AG2
    **dict.fromkeys(("chat.completions", "chat.streaming_completions", "call_llm", "litellm_request"), _CHAT),
    **dict.fromkeys(("text.completions", "text.streaming_completions"), KnownKind(StepKind.RESPOND, "text_completion")),
    **_words(StepKind.OTHER, "invocation", "execute_event_loop_cycle", "invoke_swarm", "invoke_graph"),
    **_words(StepKind.OTHER, "conversation", "await_human_input", "speaker_selection", "handoff", "guardrail"),
    "execute_code": KnownKind(StepKind.TOOL, "execute_code"),
}
OPENINFERENCE: Final[Mapping[str, KnownKind]] = {
    "LLM": KnownKind(StepKind.RESPOND, "llm"),
    "RETRIEVER": KnownKind(StepKind.RETRIEVE, "retriever"),
    "RERANKER": KnownKind(StepKind.RETRIEVE, "reranker"),
    "TOOL": _TOOL,
    "DECISION": KnownKind(StepKind.PLAN, "decision"),
    "AGENT": _AGENT,
    **{word.upper(): KnownKind(StepKind.OTHER, word) for word in ("chain", "embedding", "guardrail", "evaluator", "prompt")},
}
TRACELOOP: Final[Mapping[str, KnownKind]] = {"tool": _TOOL, "agent": _AGENT, **_words(StepKind.OTHER, "workflow", "task")}
VERCEL: Final[Mapping[str, KnownKind]] = {
    **{f"ai.{verb}Text.do{verb.capitalize()}": _CHAT for verb in ("generate", "stream")},
    **{f"ai.{verb}Object.do{verb.capitalize()}": _CHAT for verb in ("generate", "stream")},
    **{
        f"ai.{verb}{what}": KnownKind(StepKind.OTHER, f"ai.{verb}{what}")
        for verb in ("generate", "stream")
        for what in ("Text", "Object")
    },
    "ai.toolCall": _TOOL,
    **dict.fromkeys(("ai.embed", "ai.embed.doEmbed", "ai.embedMany", "ai.embedMany.doEmbed"), _EMBEDDINGS),
    **dict.fromkeys(("ai.rerank", "ai.rerank.doRerank"), KnownKind(StepKind.RETRIEVE, "rerank")),
}
"""`ai.operationId` of Vercel's AI SDK up to version 6; since version 7 it says `gen_ai.operation.name`."""
SPAN_TYPES: Final[Mapping[str, KnownKind]] = {
    **dict.fromkeys(("llm", "chat_model", "chat", "generation", "completion"), KnownKind(StepKind.RESPOND, "llm")),
    **dict.fromkeys(("retriever", "retrieval"), KnownKind(StepKind.RETRIEVE, "retriever")),
    **dict.fromkeys(("reranker", "rerank"), KnownKind(StepKind.RETRIEVE, "reranker")),
    **dict.fromkeys(("tool", "function", "code_execution"), _TOOL),
    "agent": _AGENT,
    **dict.fromkeys(("embedding", "embeddings"), _EMBEDDINGS),
    **_words(StepKind.OTHER, "chain", "workflow", "task", "step", "prompt", "parser", "guardrail", "evaluator", "memory"),
    **_words(StepKind.OTHER, "conversation", "human_input", "speaker_selection", "entry"),
}
"""Words of LangSmith, AG2, MLflow, Langfuse, Alibaba's and AgentOps' spans for what a span is; compared in lower case."""
COMPONENTS: Final[Mapping[str, KnownKind]] = {
    "Generator": KnownKind(StepKind.RESPOND, "generator"),
    "Retriever": KnownKind(StepKind.RETRIEVE, "retriever"),
    "WebSearch": KnownKind(StepKind.RETRIEVE, "retriever"),
    "Ranker": KnownKind(StepKind.RETRIEVE, "reranker"),
    "ToolInvoker": _TOOL,
    "Agent": _AGENT,
    "Embedder": _EMBEDDINGS,
    "component": KnownKind(StepKind.OTHER, "component"),
}
"""Ends of the classes of Haystack's components; `component` stands for all others."""
REQUEST_TYPES: Final[Mapping[str, KnownKind]] = {
    **_words(StepKind.RESPOND, "chat", "completion"),
    **_words(StepKind.RETRIEVE, "rerank"),
    **_words(StepKind.OTHER, "embedding"),
}
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE", "QUERY"})
PROTOCOLS: Final[Mapping[str, KnownKind]] = {
    "tools/call": _TOOL,
    "resources/read": KnownKind(StepKind.RETRIEVE, "resource"),
    **{
        name: KnownKind(StepKind.OTHER, name)
        for name in ("prompts/get", "tools/list", "resources/list", "prompts/list", "initialize")
    },
    **{name: KnownKind(StepKind.RETRIEVE, name) for name in _SEARCHES},
    **_words(StepKind.OTHER, "postgresql", "mysql", "sqlite", "redis", "mongodb", "grpc"),
    **{name: KnownKind(StepKind.OTHER, "http") for name in sorted(METHODS)},
}
SIGNALS: Final[tuple[tuple[str, Mapping[str, KnownKind]], ...]] = (
    # The sender's own word about agents before what the transport under it says. They hold only words that stand in these tables.
    ("@operation", OPERATIONS),
    ("@openinference", OPENINFERENCE),
    ("@traceloop", TRACELOOP),
    ("@vercel", VERCEL),
    ("@span_type", SPAN_TYPES),
    ("@component", COMPONENTS),
    ("@request_type", REQUEST_TYPES),
)
SPAN_NAME_ENDS: Final[Mapping[str, KnownKind]] = {
    "chat": OPERATIONS["chat"],
    "completion": REQUEST_TYPES["completion"],
    "embeddings": OPERATIONS["embeddings"],
    "rerank": REQUEST_TYPES["rerank"],
    "llm": OPERATIONS["chat"],  # Haystack
    **TRACELOOP,
}
"""Last segments of OpenLLMetry's span names: `openai.chat`, `search.tool`."""
SPAN_NAME_STARTS: Final[Mapping[str, KnownKind]] = {
    **OPERATIONS,
    "tools/call": _TOOL,  # MCP
    "tool": _TOOL,  # FastMCP
    "agent_run": _INVOKE_AGENT,  # Google ADK
}
"""First words of span names that name their target after it: `execute_tool search`, `agent_run [planner]`."""
SPAN_NAMES: Final[Mapping[str, KnownKind]] = {**OPERATIONS, "agent run": _INVOKE_AGENT, "agent_run": _INVOKE_AGENT}
"""Whole span names that say what a span is; the second is Pydantic AI's."""
SPAN_NAME_MAX: Final = 256


def known_as(said: Mapping[str, object], span_name: str, *, finish_reason: object = None) -> KnownKind:
    """The kind by the words of the span's attributes, else by its name, else by the protocol that it speaks."""
    for target, words in SIGNALS:
        word = said.get(target)
        if word is not None:
            found = words[str(word)]
            return _inner(found.word) if _is_part(found, span_name) else _decided(found, said, finish_reason)
    known = by_span_name(span_name)[0] or PROTOCOLS.get(str(said.get("@protocol")))
    return UNKNOWN if known is None else _decided(known, said, finish_reason)


def by_span_name(name: str) -> tuple[KnownKind | None, str]:
    """What a span's name says of its kind, and of its target: `chat gpt-4o` of GenAI's, `search.tool` of OpenLLMetry's."""
    if len(name) > SPAN_NAME_MAX:
        return None, ""
    if (known := SPAN_NAMES.get(name)) is not None:
        return known, ""
    first, blank, rest = name.partition(" ")
    if blank and (known := SPAN_NAME_STARTS.get(first)) is not None:
        return known, rest.strip("[] ")
    target, dot, last = name.rpartition(".")
    return (SPAN_NAME_ENDS.get(last), target) if dot else (None, "")


def _decided(known: KnownKind, said: Mapping[str, object], finish_reason: object) -> KnownKind:
    if known.kind is StepKind.RESPOND and (
        finish_reason in TOOL_CALL_REASONS or (finish_reason in _PLAIN_ENDS and _calls_tools(said))
    ):
        return _plan(known.word)
    return known


def _calls_tools(said: Mapping[str, object]) -> bool:
    """Whether the model's answer calls tools: a name says so, or the answer's own form, whose text nobody keeps."""
    if "@calls" in said:
        return True
    answer = said.get("@answer")
    if isinstance(answer, str):
        answer = answer[:_ANSWER_MAX].encode(errors="replace")
    return isinstance(answer, bytes) and CALLS_OF_TOOLS.search(answer, 0, _ANSWER_MAX) is not None


def _is_part(known: KnownKind, span_name: str) -> bool:
    """A method's inner part, as LlamaIndex traces `Docs._retrieve` beside the method, or what gathers calls that have spans."""
    if known.kind is StepKind.TOOL:
        return span_name in _GATHERED
    return known.kind in {StepKind.RESPOND, StepKind.RETRIEVE} and span_name.rpartition(".")[2].startswith("_")


@cache
def _inner(word: str) -> KnownKind:
    return KnownKind(StepKind.OTHER, word)


@cache
def _plan(word: str) -> KnownKind:
    return KnownKind(StepKind.PLAN, word)
