"""Canaries where the OpenAI Agents SDK carries content: instructions, inputs, outputs, arguments, errors, trace metadata."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from agents import (
    Agent,
    GuardrailFunctionOutput,
    Model,
    ModelResponse,
    RunConfig,
    Runner,
    Usage,
    function_tool,
    generation_span,
    set_trace_processors,
    trace,
)
from agents.tracing import custom_span, mcp_tools_span, set_tracing_disabled
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from agenttracer import AgentTracer
from agenttracer.integrations.openai_agents import AgentTracerTracingProcessor
from tests.support.firewall.canaries import Canaries
from tests.unit.sdk.canaries.leak import LeakError


def offer(tracer: AgentTracer, sing: Canaries) -> None:
    """Agents that answer, fail and call tools that do not exist."""
    set_trace_processors([AgentTracerTracingProcessor(tracer)])
    set_tracing_disabled(False)
    try:
        asyncio.run(leaky_agents(sing))
    finally:
        set_trace_processors([])


class LeakyModel(Model):
    def __init__(self, sing: Canaries, *items: Any, error: Exception | None = None) -> None:
        self.sing = sing
        self.items = list(items)
        self.error = error

    async def get_response(self, system_instructions: str | None, input: Any, *args: Any, **kwargs: Any) -> ModelResponse:  # noqa: A002 - the SDK's name
        sent = [{"role": "system", "content": system_instructions}, {"role": "user", "content": input}]
        with generation_span(input=sent, model="fake-1", model_config={"stop": self.sing.token()}) as span:
            if self.error is not None:
                raise self.error
            item = self.items.pop(0)
            span.span_data.output = [item.model_dump(), {"finish_reason": self.sing.text()}]
            span.span_data.usage = {"input_tokens": 1, "note": self.sing.token()}
            return ModelResponse(output=[item], usage=Usage(), response_id=self.sing.planted[0])

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


def tool_call(sing: Canaries, name: str) -> ResponseFunctionToolCall:
    arguments = f'{{"a": "{sing.token()}"}}'
    return ResponseFunctionToolCall(id="i", call_id=sing.token(), name=name, arguments=arguments, type="function_call")


def answer(sing: Canaries) -> ResponseOutputMessage:
    text = ResponseOutputText(text=sing.text(), type="output_text", annotations=[])
    return ResponseOutputMessage(id="m", content=[text], role="assistant", status="completed", type="message")


async def leaky_agents(sing: Canaries) -> None:
    @function_tool
    def lookup(a: str) -> str:
        """Look up."""
        return sing.token()

    @function_tool(failure_error_function=None)
    def leak(a: str) -> str:
        """Fail."""
        raise LeakError(sing)

    async def stop(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    def agent(model: Model, **more: Any) -> Agent[Any]:
        return Agent(name="Agent", instructions=sing.text(), model=model, tools=[lookup, leak], **more)

    config = RunConfig(trace_metadata={"user": sing.token()}, group_id=sing.token())
    await Runner.run(agent(LeakyModel(sing, tool_call(sing, "lookup"), answer(sing))), sing.text(), run_config=config)
    made_up = tool_call(sing, sing.token())
    for model in (
        LeakyModel(sing, error=LeakError(sing)),
        LeakyModel(sing, tool_call(sing, "leak")),
        LeakyModel(sing, made_up),
    ):
        with contextlib.suppress(Exception):  # of any class: what it carries is the point
            await Runner.run(agent(model), sing.text(), run_config=config)
    with trace("Own", metadata={"user": sing.token()}, group_id=sing.token()):
        with custom_span("rank", data={"query": sing.text(), "user": sing.token()}) as span:
            span.set_error({"message": sing.text(), "data": {"why": sing.token()}})
        with mcp_tools_span(server=None, result=[sing.token(), sing.text()]):
            pass
