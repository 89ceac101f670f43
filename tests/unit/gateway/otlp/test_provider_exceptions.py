"""Exceptions of well-known clients get the same code by the SDK and by OpenTelemetry, and the right one.

The classes are made up after the real ones: names, attributes and messages are those of the clients.
"""

import asyncio
import uuid
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agenttracer import AgentTracer
from agenttracer.testing import capture_events
from agenttracer.wire.envelope import VERSION, Producer, Record
from stream_workers.core.fold import Tables, fold
from stream_workers.pipeline.decode import canonical_json
from tests.benchmarks.labelled_replay import gateway, records_of


def made(name: str, message: str, **attributes: Any) -> Exception:
    """An exception of this class, `module.Name`, as its client raises it."""
    module, _, bare = name.rpartition(".")
    error = type(bare, (Exception,), {"__module__": module})(message)
    error.__dict__.update(attributes)
    return error


def openai(name: str, status: int, code: str | None, type_: str | None = None, words: str = "m") -> Exception:
    body = {"message": words, "type": type_, "param": None, "code": code}
    text = f"Error code: {status} - {{'error': {body}}}"
    return made(f"openai.{name}", text, status_code=status, code=code, type=type_, body=body)


def anthropic(name: str, status: int, type_: str, words: str) -> Exception:
    body = {"type": "error", "error": {"type": type_, "message": words}}
    return made(f"anthropic.{name}", f"Error code: {status} - {body}", status_code=status, body=body)


def bedrock(code: str, status: int, words: str) -> Exception:
    response = {"Error": {"Code": code, "Message": words}, "ResponseMetadata": {"HTTPStatusCode": status}}
    text = f"An error occurred ({code}) when calling the Converse operation: {words}"
    return made("botocore.exceptions.ClientError", text, response=response)


def gemini(name: str, status: int, state: str, words: str) -> Exception:
    body = {"error": {"code": status, "message": words, "status": state}}
    return made(f"google.genai.errors.{name}", f"{status} {state}. {body}", code=status, status=state)


EXCEPTIONS: dict[str, tuple[str, Exception]] = {
    "openai content filter": ("content_filtered", openai("BadRequestError", 400, "content_filter")),
    "openai context": ("context_overflow", openai("BadRequestError", 400, "context_length_exceeded", "invalid_request_error")),
    "openai quota": ("quota_exceeded", openai("RateLimitError", 429, "insufficient_quota", "insufficient_quota")),
    "openai rate": ("rate_limited", openai("RateLimitError", 429, "rate_limit_exceeded", "tokens")),
    "openai timeout": ("timeout", made("openai.APITimeoutError", "Request timed out.")),
    "openai connection": ("connection", made("openai.APIConnectionError", "Connection error.")),
    "openai 500": ("server_error", openai("InternalServerError", 500, "server_error")),
    "openai key": ("auth", openai("AuthenticationError", 401, "invalid_api_key")),
    "openai model": ("not_found", openai("NotFoundError", 404, "model_not_found")),
    "openai 413": ("context_overflow", openai("APIStatusError", 413, "rate_limit_exceeded")),
    "openai prompt flagged": (
        "content_filtered",
        openai("BadRequestError", 400, "invalid_prompt", words="your prompt was flagged"),
    ),
    "anthropic too long": (
        "context_overflow",
        anthropic("BadRequestError", 400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
    ),
    "anthropic credit": (
        "quota_exceeded",
        anthropic("BadRequestError", 400, "invalid_request_error", "Your credit balance is too low"),
    ),
    "anthropic rate": ("rate_limited", anthropic("RateLimitError", 429, "rate_limit_error", "This would exceed your rate limit")),
    "anthropic 529": ("server_error", anthropic("InternalServerError", 529, "overloaded_error", "Overloaded")),
    "anthropic overloaded in a stream": ("server_error", anthropic("APIStatusError", 200, "overloaded_error", "Overloaded")),
    "anthropic permission": ("auth", anthropic("PermissionDeniedError", 403, "permission_error", "x")),
    "bedrock throttling": ("rate_limited", bedrock("ThrottlingException", 429, "Too many tokens")),
    "bedrock too long": ("context_overflow", bedrock("ValidationException", 400, "Input is too long for requested model.")),
    "bedrock denied": ("auth", bedrock("AccessDeniedException", 403, "x")),
    "bedrock timeout": ("timeout", bedrock("ModelTimeoutException", 408, "x")),
    "bedrock read timeout": ("timeout", made("botocore.exceptions.ReadTimeoutError", 'Read timeout on endpoint URL: "x"')),
    "bedrock not ready": ("server_error", bedrock("ModelNotReadyException", 429, "x")),
    "gemini rate": ("rate_limited", gemini("ClientError", 429, "RESOURCE_EXHAUSTED", "Quota exceeded for metric")),
    "gemini context": (
        "context_overflow",
        gemini("ClientError", 400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed"),
    ),
    "gemini key": ("auth", gemini("ClientError", 400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")),
    "gemini 503": ("server_error", gemini("ServerError", 503, "UNAVAILABLE", "The model is overloaded")),
    "google quota": (
        "rate_limited",
        made("google.api_core.exceptions.ResourceExhausted", "429 Resource has been exhausted", code=429),
    ),
    "mistral 429": (
        "rate_limited",
        made(
            "mistralai.models.SDKError",
            'API error occurred: Status 429. Body: {"message":"Requests rate limit exceeded"}',
            status_code=429,
        ),
    ),
    "mistral 401": (
        "auth",
        made("mistralai.models.SDKError", 'API error occurred: Status 401. Body: {"detail":"Unauthorized"}', status_code=401),
    ),
    "cohere 429": (
        "rate_limited",
        made("cohere.errors.TooManyRequestsError", "status_code: 429, body: {'message': 'trial key limited'}", status_code=429),
    ),
    "cohere 401": (
        "auth",
        made("cohere.errors.UnauthorizedError", "status_code: 401, body: {'message': 'invalid api token'}", status_code=401),
    ),
    "groq tool use": (
        "schema_invalid",
        made(
            "groq.BadRequestError",
            "Error code: 400 - {'error': {'message': 'Failed to call a function', 'code': 'tool_use_failed'}}",
            status_code=400,
            body={"error": {"code": "tool_use_failed"}},
        ),
    ),
    "ollama missing": ("not_found", made("ollama.ResponseError", "model 'x' not found (status code: 404)", status_code=404)),
    "ollama refused": (
        "connection",
        made(
            "builtins.ConnectionError",
            "Failed to connect to Ollama. Please check that Ollama is downloaded, running and accessible.",
        ),
    ),
    "litellm context": (
        "context_overflow",
        made(
            "litellm.ContextWindowExceededError",
            "litellm.BadRequestError: This model's maximum context length is 9",
            status_code=400,
        ),
    ),
    "litellm budget": (
        "quota_exceeded",
        made("litellm.BadRequestError", "Budget has been exceeded! Current cost: 9", status_code=400),
    ),
    "mcp method": ("tool_not_found", made("mcp.McpError", "Error: Method not found")),
    "mcp closed": ("connection", made("mcp.McpError", "Connection closed")),
    "httpx status": (
        "not_found",
        made(
            "httpx.HTTPStatusError",
            "Client error '404 Not Found' for url 'http://x/'",
            response=type("R", (), {"status_code": 404, "headers": {}})(),
        ),
    ),
    "httpx connect": ("connection", made("httpx.ConnectError", "All connection attempts failed")),
    "httpx timeout": ("timeout", made("httpx.ReadTimeout", "")),
    "aiohttp": ("connection", made("aiohttp.client_exceptions.ClientConnectorError", "Cannot connect to host x:443 ssl:default")),
    "aiohttp 503": (
        "server_error",
        made("aiohttp.client_exceptions.ClientResponseError", "503, message='Service Unavailable', url='http://x'", status=503),
    ),
    "grpc": (
        "timeout",
        made(
            "grpc.aio.AioRpcError",
            "<AioRpcError of RPC that terminated with: status = StatusCode.DEADLINE_EXCEEDED>",
            code=type("C", (), {"name": "DEADLINE_EXCEEDED"}),
        ),
    ),
}


def _by_sdk(error: Exception) -> str:
    with capture_events() as events:
        run = AgentTracer(agent_id="a", agent_version="1").start_run()
        run.start_step("respond", "chat").end(error=error)
        run.end(error=error)
    producer = Producer(id="p", agent="a", agent_version="1")
    record = Record(v=VERSION, project="default", producer=producer, received_at=1_790_000_000_000_000, events=tuple(events))
    return _code(fold([record], canonical_json), run.run_id)


def _spans(error: Exception, *, event: bool) -> tuple[str, bytes]:
    """OpenInference's way, with an exception event, or that of GenAI's conventions, with the class as `error.type`."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("t")
    kinds = ({"openinference.span.kind": "AGENT"}, {"openinference.span.kind": "LLM"})
    if not event:
        said = {"gen_ai.operation.name": "chat", "error.type": type(error).__qualname__}
        kinds = ({"gen_ai.operation.name": "invoke_agent"}, said)
    with (
        pytest.raises(type(error)),
        tracer.start_as_current_span("agent", attributes=kinds[0], record_exception=event) as root,
        tracer.start_as_current_span("chat", attributes=kinds[1], record_exception=event),
    ):
        raise error
    body: bytes = encode_spans(exporter.get_finished_spans()).SerializeToString()
    return str(uuid.UUID(int=root.get_span_context().trace_id)), body


def _code(tables: Tables, run_id: str) -> str:
    return next((row.failure_code for row, _ in tables.failures.values() if row.run_id == run_id and row.step_id), "-")


def test_an_exception_has_one_code_by_every_way() -> None:
    """And it is the right one, for every client of the list."""

    async def work() -> dict[str, tuple[str, ...]]:
        ids = {}
        async with gateway() as (client, log):
            for name, (_, error) in EXCEPTIONS.items():
                told = [_spans(error, event=event) for event in (True, False)]
                for _, body in told:
                    answer = await client.post("/v1/traces", content=body, headers={"content-type": "application/x-protobuf"})
                    assert answer.status_code == 200
                ids[name] = [run_id for run_id, _ in told]
            tables = fold(records_of(log), canonical_json)
        return {name: (_by_sdk(EXCEPTIONS[name][1]), *(_code(tables, run_id) for run_id in ids[name])) for name in EXCEPTIONS}

    found = asyncio.run(work())
    assert {name: codes for name, codes in found.items() if len(set(codes)) > 1} == {}
    assert {name: codes for name, codes in found.items() if codes[0] != EXCEPTIONS[name][0]} == {}
