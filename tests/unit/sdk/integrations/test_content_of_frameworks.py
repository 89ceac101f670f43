"""Content stays in the process: canaries in every place where a framework carries content, none in any byte that would be sent.

Each framework has a control: a recorder, hooked in beside the integration, that keeps all it is given. The scanner finds at
least 99 % of the same canaries there, so that finding none elsewhere means something.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
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
from agents.tracing import TracingProcessor, custom_span, mcp_tools_span, set_tracing_disabled
from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from agenttracer import AgentTracer
from agenttracer.integrations.langchain import AgentTracerCallbackHandler
from agenttracer.integrations.openai_agents import AgentTracerTracingProcessor
from agenttracer.integrations.opentelemetry import AgentTracerSpanProcessor
from tests.unit.sdk.integrations.canaries import Canaries, raw
from tests.unit.sdk.integrations.seen import Seen

ROUNDS = 20


class LeakError(Exception):
    """Carries content in all the ways an exception can."""

    def __init__(self, canaries: Canaries) -> None:
        super().__init__(canaries.text(), {"prompt": canaries.text()})
        self.code = canaries.text()
        self.add_note(canaries.text())

    def __repr__(self) -> str:
        return f"{self.args}{self.code}{self.__notes__}"


def assert_nothing_leaked(canaries: Canaries, *, seen: Seen, kept: list[object]) -> None:
    assert len(canaries.planted) >= 300
    found = canaries.found_in(raw(*kept))
    assert len(found) >= 0.99 * len(canaries.planted), sorted(set(canaries.planted) - set(found))[:9]
    assert seen.steps
    assert canaries.found_in(seen.sent()) == []
    seen.assert_whole()


class KeepAll(BaseCallbackHandler):
    """A LangChain handler that keeps every argument of every callback."""

    run_inline = True

    def __init__(self) -> None:
        self.kept: list[object] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_") or name == "on_stream_event":
            return super().__getattribute__(name)
        return lambda *args, **about: self.kept.append((repr(args), repr(about)))


class LeakyRetriever(BaseRetriever):
    found: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return self.found


def leaky_model(canaries: Canaries) -> GenericFakeChatModel:
    message = AIMessage(
        canaries.text(),
        additional_kwargs={"reasoning": canaries.word()},
        response_metadata={"finish_reason": canaries.text(), "logprobs": canaries.word(), "headers": {"x": canaries.word()}},
        tool_calls=[{"name": canaries.word(), "args": {"a": canaries.word()}, "id": canaries.word()}],
    )
    return GenericFakeChatModel(messages=iter([message]))


def leaky_chain(canaries: Canaries) -> Callable[[object], object]:
    def work(_: object) -> object:
        system, human = SystemMessage(canaries.text()), HumanMessage(canaries.word())
        leaky_model(canaries).invoke([system, human], {"metadata": {"inner": canaries.word()}}, stop=[canaries.word()])
        list(GenericFakeChatModel(messages=iter([AIMessage(canaries.text())])).stream(canaries.text()))
        document = Document(canaries.text(), metadata={"source": canaries.word()}, id=canaries.word())
        LeakyRetriever(found=[document]).invoke(canaries.text())
        answer = canaries.word()
        lookup = StructuredTool.from_function(lambda a: answer, name="lookup", description=canaries.text())
        lookup.invoke({"a": canaries.word()})
        return {"answer": canaries.word()}

    return work


def raise_leak(canaries: Canaries) -> object:
    raise LeakError(canaries)


def asks(canaries: Canaries) -> Any:
    graph = StateGraph(MessagesState)
    question = canaries.text()
    graph.add_node("ask", lambda state: interrupt(question))
    graph.add_edge(START, "ask")
    return graph.compile(checkpointer=MemorySaver())


def test_nothing_of_langchain_leaks(tracer: AgentTracer, seen: Seen) -> None:
    """Prompts, messages, tokens, documents, arguments, results, exceptions, interrupts, metadata and tags."""
    canaries, keeper = Canaries(), KeepAll()
    for number in range(ROUNDS):
        config: RunnableConfig = {
            "callbacks": [AgentTracerCallbackHandler(tracer), keeper],
            "metadata": {"text": canaries.text(), "user": canaries.word()},
            "tags": [canaries.text(), canaries.word()],
            "configurable": {"thread_id": str(number)},
        }
        RunnableLambda(leaky_chain(canaries)).invoke({"question": canaries.text()}, config)
        with pytest.raises(LeakError):
            RunnableLambda(lambda _: raise_leak(canaries)).invoke(canaries.word(), config)
        asks(canaries).invoke({"messages": [HumanMessage(canaries.text())]}, config)
    assert_nothing_leaked(canaries, seen=seen, kept=keeper.kept)


class KeepSpans(TracingProcessor):
    """A processor for the OpenAI Agents SDK that keeps what a trace or span exports, and what the exporter would not send."""

    def __init__(self) -> None:
        self.kept: list[object] = []

    def on_trace_start(self, trace: Any) -> None:
        self.kept.append((trace.export(), trace.metadata))

    def on_trace_end(self, trace: Any) -> None: ...

    def on_span_start(self, span: Any) -> None: ...

    def on_span_end(self, span: Any) -> None:
        error = sys.exception()
        cause = None if error is None else error.__cause__
        self.kept.append((span.export(), repr(error), repr(cause)))

    def shutdown(self) -> None: ...

    def force_flush(self) -> None: ...


class LeakyModel(Model):
    def __init__(self, canaries: Canaries, *items: Any, error: Exception | None = None) -> None:
        self.canaries = canaries
        self.items = list(items)
        self.error = error

    async def get_response(self, system_instructions: str | None, input: Any, *args: Any, **kwargs: Any) -> ModelResponse:  # noqa: A002 - the SDK's name
        sent = [{"role": "system", "content": system_instructions}, {"role": "user", "content": input}]
        with generation_span(input=sent, model="fake-1", model_config={"stop": self.canaries.word()}) as span:
            if self.error is not None:
                raise self.error
            item = self.items.pop(0)
            span.span_data.output = [item.model_dump(), {"finish_reason": self.canaries.text()}]
            span.span_data.usage = {"input_tokens": 1, "note": self.canaries.word()}
            return ModelResponse(output=[item], usage=Usage(), response_id=self.canaries.planted[0])

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


def tool_call(canaries: Canaries, name: str) -> ResponseFunctionToolCall:
    arguments = f'{{"a": "{canaries.word()}"}}'
    return ResponseFunctionToolCall(id="i", call_id=canaries.word(), name=name, arguments=arguments, type="function_call")


def answer(canaries: Canaries) -> ResponseOutputMessage:
    text = ResponseOutputText(text=canaries.text(), type="output_text", annotations=[])
    return ResponseOutputMessage(id="m", content=[text], role="assistant", status="completed", type="message")


async def leaky_agents(canaries: Canaries) -> None:
    @function_tool
    def lookup(a: str) -> str:
        """Look up."""
        return canaries.word()

    @function_tool(failure_error_function=None)
    def leak(a: str) -> str:
        """Fail."""
        raise LeakError(canaries)

    async def stop(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    def agent(model: Model, **more: Any) -> Agent[Any]:
        return Agent(name="Agent", instructions=canaries.text(), model=model, tools=[lookup, leak], **more)

    config = RunConfig(trace_metadata={"user": canaries.word()}, group_id=canaries.word())
    await Runner.run(
        agent(LeakyModel(canaries, tool_call(canaries, "lookup"), answer(canaries))), canaries.text(), run_config=config
    )
    made_up = tool_call(canaries, canaries.word())
    for model in (
        LeakyModel(canaries, error=LeakError(canaries)),
        LeakyModel(canaries, tool_call(canaries, "leak")),
        LeakyModel(canaries, made_up),
    ):
        with pytest.raises(Exception):  # noqa: B017, PT011 - of any class: what it carries is the point
            await Runner.run(agent(model), canaries.text(), run_config=config)
    with trace("Own", metadata={"user": canaries.word()}, group_id=canaries.word()):
        with custom_span("rank", data={"query": canaries.text(), "user": canaries.word()}) as span:
            span.set_error({"message": canaries.text(), "data": {"why": canaries.word()}})
        with mcp_tools_span(server=None, result=[canaries.word(), canaries.text()]):
            pass


def test_nothing_of_the_openai_agents_sdk_leaks(tracer: AgentTracer, seen: Seen) -> None:
    """Instructions, inputs, outputs, arguments, results, made-up tools, configuration, errors, trace metadata and group ids."""
    canaries, keeper = Canaries(), KeepSpans()
    set_trace_processors([AgentTracerTracingProcessor(tracer), keeper])
    set_tracing_disabled(False)
    try:
        for _ in range(ROUNDS):
            asyncio.run(leaky_agents(canaries))
    finally:
        set_trace_processors([])
    assert_nothing_leaked(canaries, seen=seen, kept=keeper.kept)


class KeepReadable(SpanProcessor):
    """A span processor for OpenTelemetry that keeps all that a span can be asked for."""

    def __init__(self) -> None:
        self.kept: list[object] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.kept.append(span.to_json())


OTEL_KEYS = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.prompt.0.content",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.call.id",
    "gen_ai.tool.description",
    "gen_ai.retrieval.query.text",
    "gen_ai.retrieval.documents",
    "gen_ai.conversation.id",
    "gen_ai.agent.description",
    "input.value",
    "output.value",
    "llm.input_messages.0.message.content",
    "llm.invocation_parameters",
    "retrieval.documents.0.document.content",
    "tool.parameters",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "traceloop.association.properties.user",
    "session.id",
    "user.id",
    "db.statement",
    "url.full",
    "http.target",
    "exception.message",
    "anything",
)


def test_nothing_of_opentelemetry_leaks(tracer: AgentTracer, seen: Seen) -> None:
    """Attributes outside the tables, unfit values inside them, names made of data, events, exceptions, descriptions and links."""
    canaries, keeper = Canaries(), KeepReadable()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(AgentTracerSpanProcessor(tracer))
    provider.add_span_processor(keeper)
    spans = provider.get_tracer("test")
    linked = SpanContext(trace_id=1, span_id=2, is_remote=True)
    for number in range(ROUNDS):
        with spans.start_as_current_span(f"ask {canaries.word()}"):
            attributes = {key: canaries.word() if number % 2 else canaries.text() for key in OTEL_KEYS}
            unfit = {key: canaries.text() for key in ("gen_ai.request.model", "gen_ai.system", "error.type", "llm.finish_reason")}
            link = Link(linked, {"why": canaries.word()})
            with spans.start_as_current_span(canaries.text(), attributes={**attributes, **unfit}, links=[link]) as span:
                span.add_event("gen_ai.content.prompt", {"gen_ai.prompt": canaries.text(), "user": canaries.word()})
                span.set_status(Status(StatusCode.ERROR, canaries.text()))
            with pytest.raises(ValueError, match="canary"), spans.start_as_current_span("raises"):
                raise ValueError(canaries.text())
    provider.shutdown()
    assert_nothing_leaked(canaries, seen=seen, kept=keeper.kept)
