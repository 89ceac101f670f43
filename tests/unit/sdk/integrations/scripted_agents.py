"""Agents for the tests of the OpenAI Agents SDK: a model that speaks its lines, tools that work and fail."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, Model, ModelResponse, Runner, Usage, function_tool, generation_span
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

Said = str | tuple[str, str] | Exception
"""What a model says: an answer, a call of a tool with its arguments, or an error."""


class ScriptedModel(Model):
    """Speaks its lines, inside the kind of span that the shipped chat completions model opens."""

    def __init__(self, *lines: Said) -> None:
        self.lines = list(lines)

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        with generation_span(model="fake-1", input=[{"content": "secret"}]) as span:
            line = self.lines.pop(0)
            if isinstance(line, Exception):
                raise line
            output = [said(line, number=len(self.lines))]
            span.span_data.usage = {"input_tokens": 5, "output_tokens": 6, "total_tokens": 11}
            span.span_data.output = [item.model_dump() for item in output]
            usage = Usage(requests=1, input_tokens=5, output_tokens=6, total_tokens=11)
            return ModelResponse(output=output, usage=usage, response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


def said(line: str | tuple[str, str], *, number: int) -> Any:
    if isinstance(line, tuple):
        name, arguments = line
        return ResponseFunctionToolCall(
            id=f"i{number}", call_id=f"c{number}", name=name, arguments=arguments, type="function_call"
        )
    text = ResponseOutputText(text=line, type="output_text", annotations=[])
    return ResponseOutputMessage(id="m", content=[text], role="assistant", status="completed", type="message")


class RateLimitError(Exception):
    status_code = 429


@function_tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@function_tool
def moody(a: int) -> int:
    """Refuse, and let the model know."""
    raise ValueError("secret")


@function_tool(failure_error_function=None)
def fatal(a: int) -> int:
    """Refuse, and end everything."""
    raise ValueError("secret")


def agent(*lines: Said, **more: Any) -> Agent[Any]:
    return Agent(name="Triage agent", model=ScriptedModel(*lines), tools=[add, moody, fatal], **more)


def ask(asked: Agent[Any], **more: Any) -> str:
    return str(asyncio.run(Runner.run(asked, "hello", **more)).final_output)
