"""The attributes of OpenTelemetry spans that are read, by what they say, in order of preference. All others are never looked at.

Names are those of OpenTelemetry's GenAI and MCP conventions (1.29 to 1.41), OpenInference, OpenLLMetry, Vercel's AI SDK, and of
single frameworks. The gateway and the SDK's own span processor read the same ones.
"""

from collections.abc import Mapping
from typing import Final

KIND_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "@operation": ("gen_ai.operation.name",),
    "@openinference": ("openinference.span.kind",),
    "@traceloop": ("traceloop.span.kind",),
    "@vercel": ("ai.operationId",),
    "@span_type": (
        *("langsmith.span.kind", "ag2.span.type", "mlflow.spanType", "gen_ai.span.kind", "langfuse.observation.type"),
        "agentops.span.kind",
    ),
    "@component": ("haystack.component.type",),
    "@request_type": ("llm.request.type",),
    "@protocol": (
        *("mcp.method.name", "rpc.system", "db.system.name", "db.system", "http.request.method", "http.method"),
        "rpc.system.name",
    ),
}
"""What says the kind of a span."""

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "@agent": ("gen_ai.agent.name", "agent.name", "agent_name", "ai.telemetry.functionId", "crewai.agent.role"),
    "@agent_version": ("gen_ai.agent.version",),
    "@tool": ("gen_ai.tool.name", "tool.name", "ai.toolCall.name", "mcp.tool.name", "haystack.tool.name"),
    "@entity": (
        *("traceloop.entity.name", "gen_ai.workflow.name", "haystack.component.name", "gen_ai.guardrail.name"),
        "guardrail.name",
    ),
    "@source": ("gen_ai.data_source.id", "gen_ai.retrieval.data_source.name"),
    "@route": ("http.route",),
}
"""What names a step, or who ran."""

LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider"),
    "model": (
        *("gen_ai.response.model", "gen_ai.request.model", "llm.response.model_name", "llm.model_name"),
        *("llm.request.model_name", "embedding.model_name", "reranker.model_name", "ai.response.model", "ai.model.id"),
    ),
    "tool_type": ("gen_ai.tool.type",),
    "agent_id": ("gen_ai.agent.id",),
    "workflow": ("traceloop.workflow.name",),
    "prompt_name": ("gen_ai.prompt.name", "traceloop.prompt.key", "langfuse.observation.prompt.name"),
    "prompt_version": ("gen_ai.prompt.version", "traceloop.prompt.version", "langfuse.observation.prompt.version"),
    "evaluation_name": ("gen_ai.evaluation.name",),
    "evaluation_label": ("gen_ai.evaluation.score.label",),
    "guardrail_result": ("gen_ai.guardrail.result", "guardrail.result", "gen_ai.guardrail.status", "gen_ai.guardrail.action"),
    "protocol_version": ("mcp.protocol.version", "a2a.protocol.version", "jsonrpc.protocol.version"),
}
"""Keys of metadata that hold a name or a word."""

COUNTS: Final[Mapping[str, tuple[str, ...]]] = {
    "input_tokens": (
        *("gen_ai.usage.input_tokens", "llm.token_count.prompt", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"),
        *("llm.usage.input_tokens", "ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens"),
    ),
    "output_tokens": (
        *("gen_ai.usage.output_tokens", "llm.token_count.completion", "gen_ai.usage.completion_tokens"),
        *("llm.usage.completion_tokens", "llm.usage.output_tokens", "ai.usage.outputTokens", "ai.usage.completionTokens"),
    ),
    "total_tokens": ("gen_ai.usage.total_tokens", "llm.token_count.total", "llm.usage.total_tokens", "ai.usage.totalTokens"),
    "cache_read_tokens": (
        *("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
        *("llm.token_count.prompt_details.cache_read", "llm.usage.cache_read_input_tokens", "gen_ai.usage.cache_read_tokens"),
        *("gen_ai.usage.cached_tokens", "gen_ai.usage.cached_input_tokens", "gen_ai.usage.input_tokens.cached"),
        *("gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.details.cached_tokens"),
        *("gen_ai.usage.details.cache_read_input_tokens", "gen_ai.usage.prompt_tokens_details.cached_tokens"),
        *("gen_ai.usage.input_tokens_details.cached_tokens", "ai.usage.cachedInputTokens"),
        "ai.usage.inputTokenDetails.cacheReadTokens",
    ),
    "cache_write_tokens": (
        *("gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"),
        *("gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.cache_write_input_tokens"),
        *(
            "llm.token_count.prompt_details.cache_write",
            "llm.usage.cache_creation_input_tokens",
            "gen_ai.usage.cache_write_tokens",
        ),
        *("gen_ai.usage.details.cache_write_tokens", "gen_ai.usage.details.cache_creation_input_tokens"),
        "ai.usage.inputTokenDetails.cacheWriteTokens",
    ),
    "reasoning_tokens": (
        *("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "llm.usage.reasoning_tokens"),
        *("llm.token_count.completion_details.reasoning", "gen_ai.usage.details.reasoning_tokens"),
        *("gen_ai.usage.output_tokens.reasoning", "gen_ai.usage.completion_tokens_details.reasoning_tokens"),
        *("gen_ai.usage.output_tokens_details.reasoning_tokens", "gen_ai.usage.experimental.reasoning_tokens"),
        *("ai.usage.reasoningTokens", "ai.usage.outputTokenDetails.reasoningTokens"),
    ),
    "input_audio_tokens": (
        *("gen_ai.usage.audio.input_tokens", "gen_ai.usage.input_audio_tokens", "llm.token_count.prompt_details.audio"),
        *("gen_ai.usage.details.input_audio_tokens", "gen_ai.usage.prompt_tokens_details.audio_tokens"),
    ),
    "output_audio_tokens": (
        *("gen_ai.usage.audio.output_tokens", "gen_ai.usage.output_audio_tokens", "llm.token_count.completion_details.audio"),
        *("gen_ai.usage.details.output_audio_tokens", "gen_ai.usage.completion_tokens_details.audio_tokens"),
    ),
    "input_image_tokens": (
        *("gen_ai.usage.image.input_tokens", "gen_ai.usage.input_image_tokens", "llm.token_count.prompt_details.image"),
        "gen_ai.usage.details.input_image_tokens",
    ),
    "output_image_tokens": (
        *("gen_ai.usage.image.output_tokens", "gen_ai.usage.output_image_tokens", "llm.token_count.completion_details.image"),
        "gen_ai.usage.details.output_image_tokens",
    ),
    "max_tokens": ("gen_ai.request.max_tokens", "ai.settings.maxOutputTokens", "ai.settings.maxTokens"),
    "choice_count": ("gen_ai.request.choice.count",),
}
"""Keys of metadata that hold a whole number from 0."""

SESSIONS: Final = (
    *("gen_ai.conversation.id", "session.id", "langsmith.trace.session_id", "gcp.vertex.agent.session_id"),
    *("traceloop.association.properties.session_id", "traceloop.association.properties.thread_id"),
    *("traceloop.association.properties.conversation_id", "traceloop.association.properties.chat_id", "thread_id"),
    *("ai.telemetry.metadata.sessionId", "ai.telemetry.metadata.threadId", "ai.telemetry.metadata.chatId"),
    *("langfuse.session.id", "conversation.id", "a2a.context_id"),
)
"""Of the session, conversation or thread: they leave a keyed digest and nothing else."""
ARGUMENTS: Final = (
    *("gen_ai.tool.call.arguments", "input.value", "ai.toolCall.args", "ai.toolCall.input", "traceloop.entity.input"),
    *("tool.parameters", "tool_arguments", "gcp.vertex.agent.tool_call_args", "gen_ai.tool.input"),
    "haystack.agent.step.tool.input",
)
"""Of a tool's call: they leave a keyed digest and nothing else."""
RESULTS: Final = (
    *("gen_ai.tool.call.result", "output.value", "ai.toolCall.result", "ai.toolCall.output", "traceloop.entity.output"),
    *("tool_response", "gcp.vertex.agent.tool_response", "gen_ai.tool.output", "gen_ai.tool.message"),
    "haystack.agent.step.tool.output",
)
"""Of a tool's call: looked at for an error that the tool returned, by a closed table; nothing else of them is kept."""
FLAGS_OF_ERRORS: Final = (
    *("gen_ai.tool.status", "tool.status", "mcp.tool.result.is_error", "mcp.result.is_error", "gen_ai.tool.call.is_error"),
    *("gen_ai.tool.is_error", "tool.is_error", "haystack.tool.error"),
)
"""What says that a tool returned an error."""
CALLS: Final = (
    *(f"llm.output_messages.{at}.message.tool_calls.0.tool_call.function.name" for at in range(4)),
    *("gen_ai.completion.0.tool_calls.0.name", "gen_ai.completion.0.function_call.name", "ai.response.toolCalls"),
)
"""There is one if the model's answer calls tools; nothing of it is kept."""
ANSWERS: Final = ("gen_ai.output.messages", "haystack.agent.step.llm.output")
"""Of a model's call that ended with no telling reason: looked at for calls of tools, by a closed pattern, and never kept."""
COSTS: Final = (
    *("gen_ai.usage.cost", "operation.cost", "llm.cost.total", "gen_ai.cost.total_cost", "gen_ai.usage.total_cost"),
    *("llm.usage.cost", "gen_ai.usage.cost.total", "ai.usage.cost"),
)
CURRENCIES: Final = ("gen_ai.usage.cost.currency", "gen_ai.cost.currency", "llm.cost.currency")

REASONS: Final = (
    *("gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "llm.finish_reason", "llm.response.finish_reason"),
    *("gen_ai.response.stop_reason", "llm.response.stop_reason", "ai.response.finishReason", "gen_ai.completion.0.finish_reason"),
)
HTTP_STATUS: Final = ("http.response.status_code", "http.status_code")
