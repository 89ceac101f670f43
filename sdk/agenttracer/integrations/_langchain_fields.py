"""Reads LangChain's objects, by attribute and without importing LangChain: names, models, counts, reasons.

It never reads prompts, messages, outputs, documents, tool inputs, tags, or metadata that was not asked for by key.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

from agenttracer._tracing.ending import reason_of
from agenttracer.integrations._labels import TOOL_CALL_REASONS, count, has_items, label, only, read
from agenttracer.wire.events import MetadataValue
from agenttracer.wire.vocabulary import EndReason

HIDDEN_TAG: Final = "langsmith:hidden"
"""LangGraph's tag of internal nodes, which no tracer is meant to show."""
_RETRY_TAG: Final = re.compile(r"retry:attempt:([0-9]{1,4})")


def name_of(serialized: object, given: object) -> object:
    """The name of a component: the run's, else the serialized one, else its class's."""
    path = read(serialized, "id")
    return given or read(serialized, "name") or (path[-1] if isinstance(path, list) and path else None)


def tags_of(about: Mapping[str, object]) -> list[str]:
    """The tags, among which the caller looks for LangChain's own; none is kept."""
    tags = about.get("tags")
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list | tuple) else []


def attempt_of(about: Mapping[str, object]) -> int:
    """The attempt's number by `Runnable.with_retry`; 0 without one."""
    for tag in tags_of(about):
        if found := _RETRY_TAG.fullmatch(tag):
            return int(found[1])
    return 0


def retry_metadata(state: object) -> dict[str, MetadataValue]:
    """The number of tenacity's attempts inside one model call."""
    return only(tries=count(read(state, "attempt_number")))


def graph_metadata(metadata: object, keys: Collection[str]) -> dict[str, MetadataValue]:
    """LangGraph's step number, and of the agent's own metadata the values under `keys` that are labels, numbers or booleans."""
    kept = only(graph_step=count(read(metadata, "langgraph_step")))
    for key in keys:
        value = read(metadata, key)
        plain = value if isinstance(value, bool | int | float) else label(value)
        if plain is not None:
            kept[key] = plain
    return kept


def model_metadata(about: Mapping[str, object]) -> dict[str, MetadataValue]:
    """The model that is called, and its provider."""
    metadata, parameters = about.get("metadata"), about.get("invocation_params")
    model = label(read(metadata, "ls_model_name"), read(parameters, "model"), read(parameters, "model_name"))
    return only(model=model, provider=label(read(metadata, "ls_provider")))


def is_error_message(output: object) -> bool:
    """Whether a tool's output is the message that LangChain makes of an exception that it handles."""
    return read(output, "status") == "error"


def tool_result(output: object) -> object:
    """The result of a tool, to be read for an error: a message's content, else the output itself."""
    content = read(output, "content")
    return output if content is None or is_error_message(output) else content


def is_interrupt(error: BaseException) -> bool:
    """Whether a LangGraph node was interrupted to ask a person."""
    return reason_of(error) is EndReason.INTERRUPTED


def result_metadata(response: object) -> dict[str, MetadataValue]:
    """Model, tokens and finish reason of an LLMResult."""
    first = _first_generation(response)
    about = read(first, "message", "response_metadata")
    info = read(first, "generation_info")
    reason = (read(about, "finish_reason"), read(about, "stop_reason"), read(about, "done_reason"), read(info, "finish_reason"))
    model = (read(about, "model_name"), read(about, "model"), read(response, "llm_output", "model_name"))
    return {**only(model=label(*model), finish_reason=label(*reason)), **_tokens(first, response)}


def calls_tools(response: object) -> bool:
    """Whether the model's message calls tools, instead of answering."""
    first = _first_generation(response)
    calls = (read(first, "message", "tool_calls"), read(first, "message", "invalid_tool_calls"))
    return any(map(has_items, calls)) or read(first, "message", "response_metadata", "finish_reason") in TOOL_CALL_REASONS


def _tokens(first: object, response: object) -> dict[str, MetadataValue]:
    usage = read(first, "message", "usage_metadata")
    older = read(response, "llm_output", "token_usage")
    return only(
        input_tokens=count(read(usage, "input_tokens"), read(older, "prompt_tokens")),
        output_tokens=count(read(usage, "output_tokens"), read(older, "completion_tokens")),
        total_tokens=count(read(usage, "total_tokens"), read(older, "total_tokens")),
        cache_read_tokens=count(read(usage, "input_token_details", "cache_read")),
        cache_write_tokens=count(read(usage, "input_token_details", "cache_creation")),
        reasoning_tokens=count(read(usage, "output_token_details", "reasoning")),
    )


def _first_generation(response: object) -> object:
    generations = read(response, "generations")
    first = generations[0] if isinstance(generations, list) and generations else None
    return first[0] if isinstance(first, list) and first else None
