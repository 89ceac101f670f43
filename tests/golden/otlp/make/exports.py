"""Spans by real Python instrumentations, exported by OpenTelemetry's http/protobuf exporter to a sink in this process.

`python exports.py <name> <file>`, in an environment of its own (requirements/golden.txt): each instrumentation changes its
framework for good, so each has a process for itself. `python -m tests.golden.otlp.make` starts them.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

QUESTION = "a question in words"
WORDS = "a customer's own words"


class Sink(BaseHTTPRequestHandler):
    """Keeps the bodies that it gets."""

    bodies: list[bytes] = []  # noqa: RUF012 - of the one sink of this process

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def gen_ai(provider: TracerProvider) -> None:
    """By hand, after OpenTelemetry's GenAI conventions."""

    class RateLimitError(Exception):
        pass

    tracer = provider.get_tracer("demo")

    def span(name: str, **said: Any) -> Any:
        return tracer.start_as_current_span(name, attributes={key.replace("__", "."): value for key, value in said.items()})

    agent = {"gen_ai__operation__name": "invoke_agent", "gen_ai__agent__name": "refund agent", "gen_ai__agent__version": "2.0"}
    chat: dict[str, Any] = {
        "gen_ai__operation__name": "chat",
        "gen_ai__provider__name": "openai",
        "gen_ai__request__model": "gpt-4o",
        "gen_ai__response__finish_reasons": ["tool_calls"],
        "gen_ai__usage__input_tokens": 120,
        "gen_ai__usage__output_tokens": 9,
        "gen_ai__input__messages": f'["{WORDS}"]',
    }
    tool = {
        "gen_ai__operation__name": "execute_tool",
        "gen_ai__tool__name": "refund-api",
        "gen_ai__tool__call__arguments": '{"iban": "secret"}',
        "error__type": "rate_limit_exceeded",
    }
    call: dict[str, Any] = {
        "http__request__method": "POST",
        "url__full": "https://api.example.com/refunds?who=me",
        "http__response__status_code": 429,
        "error__type": "429",
    }
    from opentelemetry.trace import Status, StatusCode

    with span("invoke_agent refund", **agent):
        with span("chat gpt-4o", **chat):
            pass
        with span("retrieval orders", gen_ai__operation__name="retrieval", db__response__returned_rows=0):
            pass
        with span("execute_tool refund-api", **tool):
            with span("POST", **call) as failed:
                failed.set_status(Status(StatusCode.ERROR, "free text"))
            raise RateLimitError(WORDS)


def _langchain() -> None:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.language_models.fake_chat_models import FakeListChatModel
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import RunnableLambda
    from langchain_core.tools import tool

    class R(BaseRetriever):
        def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
            return [Document("words of a document"), Document("more words")]

    @tool("refund-api", description="refunds")
    def refund(order: str) -> str:
        raise TimeoutError(WORDS)

    chain = ChatPromptTemplate.from_template("{q}") | FakeListChatModel(responses=["an answer in words"])

    def agent(question: str) -> Any:
        R().invoke(question)
        chain.invoke({"q": question})
        return refund.invoke({"order": "x"})

    RunnableLambda(agent).with_config(run_name="refund-agent").invoke(QUESTION)


def langchain_openinference(provider: TracerProvider) -> None:
    """OpenInference on LangChain."""
    from openinference.instrumentation.langchain import LangChainInstrumentor

    LangChainInstrumentor().instrument(tracer_provider=provider)
    _langchain()


def langchain_openllmetry(provider: TracerProvider) -> None:
    """OpenLLMetry on the same."""
    from opentelemetry.instrumentation.langchain import LangchainInstrumentor

    LangchainInstrumentor().instrument(tracer_provider=provider)
    _langchain()


def _agents() -> None:
    from agents import Agent, Model, ModelResponse, Runner, Usage, function_tool, generation_span
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

    call = ResponseFunctionToolCall(id="i", call_id="c", name="refund-api", arguments='{"order":"words"}', type="function_call")
    text = ResponseOutputText(text="an answer in words", type="output_text", annotations=[])
    answer = ResponseOutputMessage(id="m", content=[text], role="assistant", status="completed", type="message")
    lines: list[Any] = [call, answer]

    class Scripted(Model):
        async def get_response(self, *_: Any, **__: Any) -> ModelResponse:
            with generation_span(model="fake-model-1") as span:
                span.span_data.usage = {"input_tokens": 11, "output_tokens": 5}
                return ModelResponse(output=[lines.pop(0)], usage=Usage(requests=1), response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
            raise NotImplementedError

    @function_tool(name_override="refund-api", description_override="refunds")
    def refund(order: str) -> str:
        return "a result in words"

    asyncio.run(Runner.run(Agent(name="Refund agent", model=Scripted(), tools=[refund]), QUESTION))


def agents_openinference(provider: TracerProvider) -> None:
    """OpenInference on OpenAI Agents."""
    from agents import set_trace_processors
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    set_trace_processors([])  # the framework's own would send to its maker
    OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)
    _agents()


def agents_openllmetry(provider: TracerProvider) -> None:
    """OpenLLMetry on the same."""
    from agents import set_trace_processors
    from opentelemetry.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    set_trace_processors([])  # as above
    OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)
    _agents()


MAKERS: dict[str, Callable[[TracerProvider], None]] = {
    each.__name__: each
    for each in (gen_ai, langchain_openinference, langchain_openllmetry, agents_openinference, agents_openllmetry)
}


def main(name: str, file: Path) -> None:
    """Write the one body that the named instrumentation exports."""
    with HTTPServer(("127.0.0.1", 0), Sink) as sink:
        Thread(target=sink.serve_forever, daemon=True).start()
        provider = TracerProvider(resource=Resource.create({"service.name": "support agent", "service.version": "1.4.2"}))
        exporter = OTLPSpanExporter(f"http://127.0.0.1:{sink.server_port}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter))
        try:
            MAKERS[name](provider)
        except Exception as error:
            if str(error) != WORDS:
                raise
        provider.shutdown()
        sink.shutdown()
    (body,) = Sink.bodies
    file.write_bytes(body)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
