"""The scripted model: what it answers to a conversation, which depends on the conversation alone.

Frameworks differ in how often they call a model and in what they keep of a conversation, so the turn is counted from the calls
that the conversation already holds. Three protocols: OpenAI's Chat Completions and Responses, Anthropic's Messages.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tests.frameworks.child import scenario
from tests.frameworks.child.scenario import TURNS, input_tokens, output_tokens

Json = dict[str, Any]
_FINAL_ANSWER: Final = "final_answer"
"""A tool of smolagents: it answers by calling it."""
_FINAL_TURN: Final = len(TURNS)


class Refused(Exception):  # noqa: N818 - the model's answer, by the script
    """The provider refuses the call."""


REFUSAL: Final[Json] = {
    "error": {
        "message": "Incorrect API key provided.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
}
"""With status 401: no client tries again, and no framework has a way around it."""


def turn_of(conversation: str, calls: int, answers: int) -> int:
    """Which turn it is, by the calls that are in the conversation, else by the model's answers. Raises Refused."""
    turn = _turn_after(calls) if calls else answers
    if scenario.REFUSED in conversation and turn > 0:
        raise Refused
    return min(turn, _FINAL_TURN)


def _turn_after(calls: int) -> int:
    turn = 0
    while turn < _FINAL_TURN and calls > 0:
        calls -= len(TURNS[turn])
        turn += 1
    return turn


def _planned(turn: int, offered: Sequence[str]) -> list[tuple[str, Json]]:
    """Calls of that turn; the answer where it is given by calling a tool."""
    if turn < _FINAL_TURN:
        return [(_offered(name, offered), dict(arguments)) for name, arguments in TURNS[turn]]
    return [(_FINAL_ANSWER, {"answer": scenario.ANSWER})] if _FINAL_ANSWER in offered else []


def _told_as_text(messages: Sequence[Json]) -> int:
    """Calls that smolagents tells the model of in words."""
    text = json.dumps([each["content"] for each in messages if each["role"] == "user"])
    return text.count("Observation:") + text.count("Now let's retry")


def _offered(name: str, offered: Sequence[str]) -> str:
    """The tool's name as the framework offers it, with a prefix of its own or none."""
    return next((each for each in offered if each.endswith(name)), name)


# --- Chat Completions --------------------------------------------------------------------------------------------------


def chat(request: Mapping[str, Any]) -> Json:
    """An answer of Chat Completions."""
    messages: list[Json] = request["messages"]
    said = [each for each in messages if each["role"] == "assistant"]
    calls = sum(len(each.get("tool_calls") or []) for each in said)
    turn = turn_of(json.dumps(messages), calls, max(len(said), _told_as_text(messages)))
    offered = [each["function"]["name"] for each in request.get("tools") or []]
    planned = _planned(turn, offered)
    message: Json = {"role": "assistant", "content": None if planned else scenario.ANSWER}
    if planned:
        message["tool_calls"] = [
            {"id": f"call_{turn}_{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for at, (name, arguments) in enumerate(planned)
        ]
    return {
        "id": f"chatcmpl-{turn}",
        "object": "chat.completion",
        "created": 1_768_469_400,
        "model": scenario.MODEL_ANSWERED,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if planned else "stop"}],
        "usage": {
            "prompt_tokens": input_tokens(turn),
            "completion_tokens": output_tokens(turn),
            "total_tokens": input_tokens(turn) + output_tokens(turn),
            "prompt_tokens_details": {"cached_tokens": scenario.CACHED_TOKENS, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": scenario.REASONING_TOKENS, "audio_tokens": 0},
        },
    }


def chat_chunks(request: Mapping[str, Any]) -> Iterator[Json]:
    """The same in chunks of a stream."""
    whole = chat(request)
    (choice,) = whole.pop("choices")
    usage, message = whole.pop("usage"), choice["message"]
    head = {**whole, "object": "chat.completion.chunk"}
    deltas = [{"role": "assistant", "content": message["content"]}]
    deltas += [{"tool_calls": [{"index": at, **call}]} for at, call in enumerate(message.get("tool_calls", []))]
    yield from ({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas)
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    if (request.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": usage}


# --- Responses ---------------------------------------------------------------------------------------------------------


def respond(request: Mapping[str, Any]) -> Json:
    """An answer of Responses."""
    given = request["input"]
    items: list[Json] = given if isinstance(given, list) else [{"role": "user", "content": given}]
    calls = sum(each.get("type") == "function_call" for each in items)
    turn = turn_of(json.dumps(items), calls, sum(each.get("role") == "assistant" for each in items))
    planned = _planned(turn, [each["name"] for each in request.get("tools") or [] if "name" in each])
    output: list[Json] = [
        {
            "type": "function_call",
            "id": f"fc_{turn}_{at}",
            "call_id": f"call_{turn}_{at}",
            "status": "completed",
            "name": name,
            "arguments": json.dumps(arguments),
        }
        for at, (name, arguments) in enumerate(planned)
    ]
    if not planned:
        text = {"type": "output_text", "text": scenario.ANSWER, "annotations": []}
        output = [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]}]
    return {
        "id": f"resp_{turn}",
        "object": "response",
        "created_at": 1_768_469_400,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "model": scenario.MODEL_ANSWERED,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": request.get("tools") or [],
        "metadata": {},
        "usage": {
            "input_tokens": input_tokens(turn),
            "output_tokens": output_tokens(turn),
            "total_tokens": input_tokens(turn) + output_tokens(turn),
            "input_tokens_details": {"cached_tokens": scenario.CACHED_TOKENS},
            "output_tokens_details": {"reasoning_tokens": scenario.REASONING_TOKENS},
        },
    }


# --- Messages ----------------------------------------------------------------------------------------------------------


def message(request: Mapping[str, Any]) -> Json:
    """An answer of Anthropic's Messages."""
    said = [each["content"] for each in request["messages"] if each["role"] == "assistant"]
    calls = sum(part.get("type") == "tool_use" for content in said if isinstance(content, list) for part in content)
    turn = turn_of(json.dumps(request["messages"]), calls, len(said))
    planned = _planned(turn, [each["name"] for each in request.get("tools") or []])
    content: list[Json] = [
        {"type": "tool_use", "id": f"toolu_{turn}_{at}", "name": name, "input": arguments}
        for at, (name, arguments) in enumerate(planned)
    ]
    return {
        "id": f"msg_{turn}",
        "type": "message",
        "role": "assistant",
        "model": scenario.MODEL_ANSWERED,
        "content": content or [{"type": "text", "text": scenario.ANSWER}],
        "stop_reason": "tool_use" if planned else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": input_tokens(turn),
            "output_tokens": output_tokens(turn),
            "cache_read_input_tokens": scenario.CACHED_TOKENS,
            "cache_creation_input_tokens": 0,
        },
    }
