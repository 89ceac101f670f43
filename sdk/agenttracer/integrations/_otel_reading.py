"""What may be read of OpenTelemetry spans: the attributes in these tables, by key, and the type of an exception. Nothing else.

Conventions, in the order in which they are asked: OpenTelemetry's GenAI, OpenInference, OpenLLMetry (Traceloop).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from agenttracer.integrations._labels import TOOL_CALL_REASONS, count, label, only
from agenttracer.wire.events import Evidence, MetadataValue
from agenttracer.wire.vocabulary import StepKind

Attributes = Mapping[str, object]

_KINDS: Final[Mapping[str, Mapping[str, StepKind]]] = {
    "gen_ai.operation.name": {
        "chat": StepKind.RESPOND,
        "generate_content": StepKind.RESPOND,
        "text_completion": StepKind.RESPOND,
        "retrieval": StepKind.RETRIEVE,
        "execute_tool": StepKind.TOOL,
    },
    "openinference.span.kind": {
        "LLM": StepKind.RESPOND,
        "RETRIEVER": StepKind.RETRIEVE,
        "RERANKER": StepKind.RETRIEVE,
        "TOOL": StepKind.TOOL,
    },
    "traceloop.span.kind": {"tool": StepKind.TOOL},
    "llm.request.type": {"chat": StepKind.RESPOND, "completion": StepKind.RESPOND},
}
"""Whatever is not here is `other`: agents, workflows, chains, tasks, embeddings, guardrails, HTTP, databases."""
_NAMES: Final[Mapping[StepKind, Sequence[str]]] = {
    StepKind.TOOL: ("gen_ai.tool.name", "tool.name", "traceloop.entity.name"),
    StepKind.RETRIEVE: ("gen_ai.data_source.id", "traceloop.entity.name"),
    StepKind.OTHER: ("gen_ai.agent.name", "agent.name", "gen_ai.workflow.name", "traceloop.entity.name"),
}
_LABELS: Final[Mapping[str, Sequence[str]]] = {
    "model": ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name"),
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"),
    "operation": ("gen_ai.operation.name", "openinference.span.kind", "traceloop.span.kind"),
}
_COUNTS: Final[Mapping[str, Sequence[str]]] = {
    "input_tokens": ("gen_ai.usage.input_tokens", "llm.token_count.prompt", "gen_ai.usage.prompt_tokens"),
    "output_tokens": ("gen_ai.usage.output_tokens", "llm.token_count.completion", "gen_ai.usage.completion_tokens"),
    "total_tokens": ("gen_ai.usage.total_tokens", "llm.token_count.total", "llm.usage.total_tokens"),
    "cache_read_tokens": ("gen_ai.usage.cache_read.input_tokens", "llm.token_count.prompt_details.cache_read"),
    "cache_write_tokens": ("gen_ai.usage.cache_creation.input_tokens", "llm.token_count.prompt_details.cache_write"),
    "reasoning_tokens": ("gen_ai.usage.reasoning.output_tokens", "llm.token_count.completion_details.reasoning"),
}
_REASONS: Final = ("gen_ai.response.finish_reasons", "llm.finish_reason", "llm.response.finish_reason")
_HTTP_STATUS: Final = ("http.response.status_code", "http.status_code")
_DOCUMENT: Final = "retrieval.documents."
_STATUS: Final = range(100, 600)


def kind_of(attributes: Attributes) -> StepKind:
    """What a span does, `plan` for a model call that has already said that it calls tools."""
    for key, kinds in _KINDS.items():
        value = attributes.get(key)
        kind = kinds.get(value) if isinstance(value, str) else None
        if kind is StepKind.RESPOND and _reasons(attributes) & TOOL_CALL_REASONS:
            return StepKind.PLAN
        if kind is not None:
            return kind
    return StepKind.OTHER


def named(attributes: Attributes, kind: StepKind) -> object:
    """The name that a developer gave to the tool, agent or workflow."""
    return next((attributes[key] for key in _NAMES.get(kind, ()) if attributes.get(key)), None)


def described(attributes: Attributes, span_name: str) -> str:
    """A name for a span that nobody named: its operation, its own name where that is a single word, else `span`.

    Names of other spans are made of whatever is at hand, such as a path or a statement, so none of those is changed to fit.
    """
    return label(attributes.get("gen_ai.operation.name"), span_name) or "span"


def details(attributes: Attributes) -> dict[str, MetadataValue]:
    """Model, provider, counts of tokens, reason to finish, number of documents."""
    labels = {key: label(*map(attributes.get, sources)) for key, sources in _LABELS.items()}
    counts = {key: count(*map(attributes.get, sources)) for key, sources in _COUNTS.items()}
    reason = label(*sorted(_reasons(attributes)))
    return only(**labels, **counts, finish_reason=reason, result_count=_documents(attributes))


def error_of(attributes: Attributes, exception_type: object) -> Evidence:
    """Evidence of a span that ended in an error: its `error.type`, HTTP status, and the type of the exception it recorded."""
    said = label(attributes.get("error.type"))
    status = count(*map(attributes.get, _HTTP_STATUS), int(said) if said is not None and said.isdigit() else None)
    is_class = said is not None and not said.islower() and not said.isdigit()
    return Evidence(
        error_class=label(exception_type, said if is_class else None),
        error_code=said if not is_class else None,
        http_status=status if status in _STATUS else None,
    )


def _reasons(attributes: Attributes) -> frozenset[str]:
    found = [value for key in _REASONS for value in _as_sequence(attributes.get(key))]
    return frozenset(reason for value in found if (reason := label(value)) is not None)


def _as_sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else (value,)


def _documents(attributes: Attributes) -> int | None:
    """OpenInference numbers the documents in the keys. A span without any does not say that none was found."""
    numbers = {key[len(_DOCUMENT) :].partition(".")[0] for key in attributes if key.startswith(_DOCUMENT)}
    return len(numbers) or None
