"""Labelled runs as an instrumented agent would have told them, by each way in, and the store's tables that come of it.

The SDK, the OpenTelemetry SDK and JSON documents, each through its own door: the gateway's app on a log in memory, and the fold
in place of workers and database, which a test holds to them row for row. Variants say how much an instrumentation tells:

- `base`: an error that was raised is one, an error that a tool returned is not (frameworks without a word for it).
- `flag`: a tool that returned an error says so and no more (MCP's `isError`, LangChain's `ToolMessage.status`).
- `coded`: class, status or code of the returned error, and the reason of the end.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode, set_span_in_context
from pydantic import SecretStr

from agenttracer import AgentTracer
from agenttracer.testing import capture_events
from agenttracer.wire.envelope import VERSION, Producer, Record
from agenttracer.wire.events import Event, ReturnedError, RunFinished, StepFinished
from agenttracer.wire.vocabulary import EndReason, RunEnd
from producer_gateway.app import create_app
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from servicekit import codec
from servicekit.auth.keys import Scope
from servicekit.testing import MemoryKeys, cache_of
from stream_workers.core.fold import Tables, fold
from stream_workers.pipeline.decode import canonical_json

Facts = Mapping[str, Any]
WAYS: Final = ("sdk", "otlp", "doc")
VARIANTS: Final = ("base", "flag", "coded")
STOPS: Final = {
    "max_rounds": EndReason.LIMIT_STEPS,
    "max_steps": EndReason.LIMIT_STEPS,
    "max_replans": EndReason.LIMIT_STEPS,
    "max_time": EndReason.LIMIT_TIME,
}
_CODED: Final = {
    "not_found": "not_found",
    "conflict": "conflict",
    "invalid_input": "invalid_argument",
    "schema_invalid": "schema_invalid",
    "connection": "connection_error",
    "auth": "forbidden",
    "timeout": "timeout",
    "tool_not_found": "tool_not_found",
}
"""What an instrumentation says for a label. It proves nothing about codes."""
_OWN_CLASS: Final = frozenset({"bad_code", "http", "tool_unavailable"})


class Told(NamedTuple):
    """What an instrumentation says of an error that a tool returned."""

    error_class: str | None
    code: str | None
    http_status: int | None


class Replayed(NamedTuple):
    """A run, by which way, and under which id it is in the tables."""

    facts: Facts
    run_id: str


def read_facts(path: Path) -> list[Facts]:
    """All runs."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def told_of(step: Facts, variant: str) -> Told | None:
    """Of a step, in this variant."""
    said = step.get("r")
    if said is None or variant == "base":
        return None
    if variant == "flag":
        return None if said.get("soft") else Told(None, "tool_error", None)
    error_class = said.get("cls")
    code = None if error_class and said["code"] in _OWN_CLASS else _CODED.get(said["code"], "tool_error")
    return Told(error_class and error_class.rpartition(".")[2], code, said.get("http"))


def raised(said: Facts) -> Exception:
    """An exception with the class, the attributes and the form of message of the provider's client."""
    module, _, name = said["cls"].rpartition(".")
    kind: type[Exception] = type(name, (Exception,), {"__module__": module})
    if said["http"] is None:
        return kind("Connection error.")
    body = {"message": "m", "type": None, "param": "prompt", "code": said["code"]}
    error: Exception = kind(f"Error code: {said['http']} - {{'error': {body}}}")
    error.__dict__.update(status_code=said["http"], code=said["code"], body=body)
    return error


def replay(runs: Sequence[Facts], way: str, variant: str) -> tuple[list[Replayed], Tables]:
    """The runs by this way in this variant, and the tables that they make."""
    if way == "sdk":
        told = [_by_sdk(run, variant) for run in runs]
        return [Replayed(run, events[0].run_id) for run, events in zip(runs, told, strict=True)], fold(
            map(_record, runs, told), canonical_json
        )
    replayed, records = asyncio.run(_through_gateway(runs, way, variant))
    return replayed, fold(records, canonical_json)


def _record(run: Facts, events: Sequence[Event]) -> Record:
    producer = Producer(id="p", agent=f"{run['set']}-agent", agent_version="1")
    return Record(v=VERSION, project="default", producer=producer, received_at=1_790_000_000_000_000, events=tuple(events))


# --- the SDK -----------------------------------------------------------------------------------------------------------------


def _by_sdk(run: Facts, variant: str, *, nested: bool = False) -> list[Event]:
    with capture_events() as events:
        tracer = AgentTracer(agent_id=run["set"], agent_version=variant)
        traced = tracer.start_run()
        error: Exception | None = None
        turn = None
        for step in run["steps"]:
            if nested and step["k"] != "tool":
                if turn is not None:
                    turn.end()
                turn = traced.start_step("other", "turn")
            begun = traced.start_step(step["k"], step["n"], parent=turn)
            begun.add_metadata(_metadata(step))
            error = raised(step["x"]) if "x" in step else None
            begun.end(error=error)
        if turn is not None:
            turn.end()
        if run["end"] != "cut":
            traced.end(error=error)
        tracer.shutdown(0)
    return [_completed(event, run, variant) for event in events if getattr(event, "run_id", None) == traced.run_id]


def _metadata(step: Facts) -> dict[str, Any]:
    said = {"i": step["i"], "output_chars": step.get("oc", 0)}
    return said | ({"finish_reason": step["fr"]} if "fr" in step else {}) | ({"result_count": step["rc"]} if "rc" in step else {})


def _completed(event: Event, run: Facts, variant: str) -> Event:
    """The event with what an integration says beside the block: the digest of the work, the returned error, the end's reason."""
    if isinstance(event, StepFinished) and "i" in event.metadata:
        step = next(
            one for one in run["steps"] if one["i"] == event.metadata["i"] and one["k"] == event.kind and one["n"] == event.name
        )
        told = told_of(step, variant)
        error = (
            None
            if told is None
            else ReturnedError(code=told.code or "error", http_status=told.http_status, error_class=told.error_class)
        )
        return replace(event, work_digest=_digest(step), returned_error=error)
    if isinstance(event, RunFinished) and variant == "coded" and run["end"] in STOPS:
        return replace(event, status=RunEnd.FAILURE, end_reason=STOPS[run["end"]])
    return event


def _digest(step: Facts) -> str | None:
    return step["h"].rjust(16, "0") if "h" in step else None


def replay_nested(runs: Sequence[Facts], *, nested: bool) -> tuple[list[Replayed], Tables]:
    """By the SDK in the variant `flag`, flat or with a step for each turn above its calls."""
    told = [_by_sdk(run, "flag", nested=nested) for run in runs]
    return [Replayed(run, events[0].run_id) for run, events in zip(runs, told, strict=True)], fold(
        map(_record, runs, told), canonical_json
    )


# --- the gateway's doors ------------------------------------------------------------------------------------------------------


async def _through_gateway(runs: Sequence[Facts], way: str, variant: str) -> tuple[list[Replayed], list[Record]]:
    replayed = []
    async with gateway() as (client, log):
        for run in runs:
            if way == "doc":
                answer = await client.post("/v1/runs", json=_document(run, variant))
                answer.raise_for_status()
                replayed.append(Replayed(run, answer.json()["run_id"]))
            else:
                trace_id, body = _spans(run, variant)
                answer = await client.post("/v1/traces", content=body, headers={"content-type": "application/x-protobuf"})
                answer.raise_for_status()
                replayed.append(Replayed(run, trace_id))
        return replayed, records_of(log)


@asynccontextmanager
async def gateway(*, read_errors: bool = True) -> AsyncIterator[tuple[httpx.AsyncClient, MemoryRecordLog]]:
    """The gateway's app on a log in memory, spoken to over ASGI. Digests need a secret, so it has one."""
    log, keys = MemoryRecordLog(), MemoryKeys()
    key, ring = keys.create(Scope.INGEST), cache_of(keys)
    settings = GatewaySettings(
        key_pepper=SecretStr("p" * 32), postgres_dsn=SecretStr("postgresql://127.0.0.1:1/none"), read_errors=read_errors
    )
    app = create_app(settings, log, keys=ring)
    await log.start()
    await ring.refresh()
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", headers=headers) as client:
        yield client, log


def records_of(log: MemoryRecordLog) -> list[Record]:
    """What was accepted."""
    return [codec.read_record(message.value)[0] for message in log.messages]


def _document(run: Facts, variant: str) -> dict[str, Any]:
    document: dict[str, Any] = {"agent_id": run["set"], "agent_version": variant, "status": "success", "steps": []}
    for step in run["steps"]:
        said: dict[str, Any] = {"kind": step["k"], "name": step["n"], "latency_ms": 100, "metadata": _metadata(step)}
        told = told_of(step, variant)
        if told is not None:
            said["returned_error"] = {name: value for name, value in told._asdict().items() if value is not None}
        if "x" in step:
            exception = {"error_class": step["x"]["cls"], "error_code": step["x"]["code"], "http_status": step["x"]["http"]}
            said |= {name: value for name, value in exception.items() if value is not None} | {"status": "error"}
            document["status"] = "failure"
        document["steps"].append(said)
    if variant == "coded" and run["end"] in STOPS:
        document |= {"status": "failure", "end_reason": STOPS[run["end"]].value}
    return document


_SECOND: Final = 10**9
_BEGAN: Final = 1_790_000_000 * _SECOND


def _spans(run: Facts, variant: str) -> tuple[str, bytes]:
    """By the OpenTelemetry SDK, as GenAI instrumentations (tau) or OpenInference's (the others) name their attributes.

    The step's index travels as a token count: no attribute of our own is kept.
    """
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": f"{run['set']}-otlp"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("replay")
    genai = run["set"].startswith("tau")
    root = tracer.start_span(
        "invoke_agent agent" if genai else "Agent", start_time=_BEGAN, attributes=_of_agent(run, genai=genai)
    )
    context = set_span_in_context(root)
    error: Exception | None = None
    for number, step in enumerate(run["steps"]):
        began = _BEGAN + (number + 1) * _SECOND
        name, attributes = _of_step(step, genai=genai)
        span = tracer.start_span(name, context=context, start_time=began, attributes=attributes)
        if "x" in step:
            error = raised(step["x"])
            span.record_exception(error, timestamp=began + 1)
            span.set_status(Status(StatusCode.ERROR, str(error)))
        told = told_of(step, variant)
        if told is not None:
            span.set_status(Status(StatusCode.ERROR))
            span.set_attribute("error.type", told.error_class or told.code or "_OTHER")
            if told.http_status:
                span.set_attribute("http.response.status_code", told.http_status)
        span.end(began + _SECOND // 2)
    if error is not None:
        root.record_exception(error)
        root.set_status(Status(StatusCode.ERROR, str(error)))
    if run["end"] != "cut":
        root.end(_BEGAN + (len(run["steps"]) + 1) * _SECOND)
    body: bytes = encode_spans(exporter.get_finished_spans()).SerializeToString()
    return str(uuid.UUID(int=root.get_span_context().trace_id)), body


def _of_agent(run: Facts, *, genai: bool) -> dict[str, Any]:
    name = f"{run['set']}-otlp"
    return (
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
        if genai
        else {"openinference.span.kind": "AGENT", "agent.name": name}
    )


def _of_step(step: Facts, *, genai: bool) -> tuple[str, dict[str, Any]]:
    if step["k"] == "tool":
        arguments = {"gen_ai.tool.call.arguments": step.get("h", "")} if genai else {"input.value": step.get("h", "")}
        if genai:
            said = {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": step["n"],
                "gen_ai.usage.total_tokens": step["i"],
            }
            return f"execute_tool {step['n']}", said | arguments
        return step["n"], {
            "openinference.span.kind": "TOOL",
            "tool.name": step["n"],
            "llm.token_count.total": step["i"],
        } | arguments
    if step["k"] in {"plan", "respond"}:
        if genai:
            reasons = {"gen_ai.response.finish_reasons": [step["fr"]]} if "fr" in step else {}
            said = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.total_tokens": step["i"]}
            return "chat gpt-4o", said | reasons
        return "ChatCompletion", {
            "openinference.span.kind": "LLM",
            "llm.model_name": "gpt-4o",
            "llm.token_count.total": step["i"],
        }
    return step["n"], {"openinference.span.kind": "CHAIN", "llm.token_count.total": step["i"]}


def index_of(metadata: str | None) -> int | None:
    """Which step of the run a stored step is, by what each way sends for it."""
    said = {} if metadata is None else json.loads(metadata)
    found = said.get("i", said.get("total_tokens"))
    return found if isinstance(found, int) else None
