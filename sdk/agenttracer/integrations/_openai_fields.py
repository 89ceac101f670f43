"""Reads the OpenAI Agents SDK's spans, by attribute and without importing it: names, models, counts, states, codes.

It never reads input, output, data, model configuration, instructions, trace metadata, group ids, or the text of an error.
"""

from collections.abc import Callable, Mapping
from typing import Final

from agenttracer.integrations._labels import count, has_items, label, only, read
from agenttracer.wire.events import Evidence, MetadataValue
from agenttracer.wire.vocabulary import StepKind

MODEL_SPANS: Final = frozenset({"generation", "response"})
_KINDS: Final[Mapping[str, StepKind]] = {
    "function": StepKind.TOOL,
    "generation": StepKind.RESPOND,
    "response": StepKind.RESPOND,
}
"""All others are `other`: agent, task, turn, handoff, guardrail, mcp_tools, custom, speech, transcription."""
_ERROR_CODES: Final[Mapping[str, str]] = {
    "Guardrail tripwire triggered": "guardrail_tripwire",
    "Max turns exceeded": "max_turns_exceeded",
    "Tool not found": "tool_not_found",
    "Error running tool": "tool_error",
    "Error running tool (non-fatal)": "tool_error",
    "Tool execution cancelled": "cancelled",
    "Multiple handoffs requested": "multiple_handoffs",
    "Invalid JSON": "invalid_json",
    "Invalid JSON provided": "invalid_json",
    "Error getting response": "model_error",
    "Error streaming response": "model_error",
    "Error in agent run": "agent_error",
}
"""Messages that the Agents SDK itself writes, compared as a whole. Every other text is `span_error`."""


def kind_of(span_type: str) -> StepKind:
    """The kind of step of a type of span."""
    return _KINDS.get(span_type, StepKind.OTHER)


def error_of(error: object) -> Evidence | None:
    """A span's error as a code from the table, without its message and data."""
    if error is None:
        return None
    message = read(error, "message")
    return Evidence(error_code=_ERROR_CODES.get(message, "span_error") if isinstance(message, str) else "span_error")


def details(span_type: str, data: object) -> dict[str, MetadataValue]:
    """The metadata from a span's data at its end."""
    read_details = _DETAILS.get(span_type)
    return {} if read_details is None else read_details(data)


def calls_tools(data: object) -> bool:
    """Whether the model called tools or handed over, instead of answering. It reads only the types of the output's items.

    The shipped models put items, messages, or one whole response there; with `trace_include_sensitive_data=False`, nothing.
    """
    outputs = read(data, "response", "output"), read(data, "output")
    items = [item for output in outputs if isinstance(output, list | tuple) for item in output]
    nested = [read(item, "output") for item in items]
    inner = [item for output in nested if isinstance(output, list | tuple) for item in output]
    return any(map(_is_call, (*items, *inner)))


def _is_call(item: object) -> bool:
    kind = read(item, "type")
    return (isinstance(kind, str) and kind.endswith("_call")) or has_items(read(item, "tool_calls"))


def _model_details(data: object) -> dict[str, MetadataValue]:
    usage = read(data, "usage") or read(data, "response", "usage")
    reason = (read(data, "response", "incomplete_details", "reason"), read(data, "response", "status"))
    return only(
        model=label(read(data, "response", "model"), read(data, "model")),
        finish_reason=label(*reason),
        input_tokens=count(read(usage, "input_tokens"), read(usage, "prompt_tokens")),
        output_tokens=count(read(usage, "output_tokens"), read(usage, "completion_tokens")),
        total_tokens=count(read(usage, "total_tokens")),
        cache_read_tokens=count(read(usage, "input_tokens_details", "cached_tokens"), read(usage, "cached_input_tokens")),
        reasoning_tokens=count(read(usage, "output_tokens_details", "reasoning_tokens")),
    )


def _handoff_details(data: object) -> dict[str, MetadataValue]:
    return only(from_agent=_agent(read(data, "from_agent")), to_agent=_agent(read(data, "to_agent")))


def _agent(name: object) -> str | None:
    """Names of agents usually have spaces."""
    return label("-".join(name.split())) if isinstance(name, str) else None


def _guardrail_details(data: object) -> dict[str, MetadataValue]:
    return {"triggered": read(data, "triggered") is True}


def _turn_details(data: object) -> dict[str, MetadataValue]:
    return only(turn=count(read(data, "turn")))


def _function_details(data: object) -> dict[str, MetadataValue]:
    return {"mcp": True} if read(data, "mcp_data") else {}


def _mcp_details(data: object) -> dict[str, MetadataValue]:
    tools = read(data, "result")
    return only(server=_agent(read(data, "server")), tool_count=len(tools) if isinstance(tools, list) else None)


def _audio_details(data: object) -> dict[str, MetadataValue]:
    return only(model=label(read(data, "model")))


_DETAILS: Final[Mapping[str, Callable[[object], dict[str, MetadataValue]]]] = {
    "generation": _model_details,
    "response": _model_details,
    "function": _function_details,
    "handoff": _handoff_details,
    "guardrail": _guardrail_details,
    "turn": _turn_details,
    "mcp_tools": _mcp_details,
    "speech": _audio_details,
    "transcription": _audio_details,
}
"""Tokens are kept of model calls alone: tasks and turns repeat their sums."""
