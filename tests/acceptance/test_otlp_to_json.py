"""From OpenTelemetry's exporters to JSON of the query service, through real processes."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.support.pipeline import Pipeline, get_json
from tests.support.stacks import Stack, until
from tests.unit.gateway.otlp import spans as make
from tests.unit.gateway.otlp.spans import CHILD, LEAF, ROOT, Json

GOLDEN = Path(__file__).parents[1] / "golden" / "otlp"
REMOTE = 0x300
AGENT = {"gen_ai.operation.name": "invoke_agent"}
CHAT = {"gen_ai.operation.name": "chat"}


@dataclass(frozen=True)
class Told:
    """A run as the query service tells it: steps in order, nested by two blanks, failed ones marked; failures by the alphabet."""

    agent: str
    status: str
    steps: list[str]
    failures: list[str]


class Served:
    """Gateway, worker and query service."""

    def __init__(self, pipeline: Pipeline) -> None:
        pipeline.worker(wait=False)
        self.query = pipeline.query().url
        self.gateway = pipeline.gateway().url
        self.key = pipeline.local_key

    def post(self, body: bytes, content_type: str) -> None:
        headers = {"content-type": content_type, "x-api-key": self.key}
        answer = httpx.post(f"{self.gateway}/v1/traces", content=body, headers=headers, timeout=10)
        assert (answer.status_code, answer.content.strip(b"{}")) == (200, b""), answer.text

    def run(self, run_id: str, *, steps: int) -> dict[str, Any]:
        """The run, once so many steps of it are stored and it ended."""

        def found() -> dict[str, Any] | None:
            url = f"{self.query}/v1/runs/{run_id}"
            if httpx.get(url, timeout=10).status_code != 200 or len(self.steps(run_id)) != steps:
                return None
            run: dict[str, Any] = httpx.get(url, timeout=10).json()  # now, or it could be from before its last steps
            return run if run["status"] != "running" else None

        return until(found, timeout_s=60, what=f"the run has {steps} steps and an end", every_s=0.2)  # type: ignore[no-any-return]

    def steps(self, run_id: str) -> list[dict[str, Any]]:
        return get_json(f"{self.query}/v1/runs/{run_id}/steps")["steps"]  # type: ignore[no-any-return]

    def told(self, run_id: str, *, steps: int) -> Told:
        run, found = self.run(run_id, steps=steps), self.steps(run_id)
        names = {step["step_id"]: step["name"] for step in found}
        failures = get_json(f"{self.query}/v1/runs/{run_id}/failures")["failures"]
        return Told(
            agent=f"{run['agent_id']} {run['agent_version']}",
            status=run["status"],
            steps=[_line(step, found) for step in found],
            failures=sorted(f"{one['failure_type']} {one['failure_code']} in {names.get(one['step_id'])}" for one in failures),
        )


def _line(step: Mapping[str, Any], steps: list[dict[str, Any]]) -> str:
    parents = {one["step_id"]: one["parent_step_id"] for one in steps}
    depth, above = 0, step["parent_step_id"]
    while above in parents:
        depth, above = depth + 1, parents[above]
    return f"{'  ' * depth}{step['kind']} {step['name']}{' failed' if step['status'] == 'error' else ''}"


@pytest.fixture(scope="module")
def served(stack: Stack) -> Iterator[Served]:
    pipeline = Pipeline(stack)
    try:
        yield Served(pipeline)
    finally:
        pipeline.close()


# --- what exporters sent once

GOLDENS = {
    "agents_openinference": Told(
        agent="support-agent 1.4.2",
        status="success",
        steps=[
            "other Agent-workflow",
            "  other Refund-agent",
            "    other turn",
            "      respond generation",
            "      tool refund-api",
            "    other turn",
            "      respond generation",
        ],
        failures=[],
    ),
    "agents_openllmetry": Told(
        agent="support-agent 1.4.2",
        status="success",
        steps=["other Refund-agent", "  respond openai.response", "  tool refund-api", "  respond openai.response"],
        failures=[],
    ),
    "gen_ai": Told(
        agent="refund-agent 2.0",
        status="failure",
        steps=["plan chat", "retrieve orders", "tool refund-api failed", "  other POST failed"],
        failures=[
            "orchestration rate_limited in POST",
            "retrieval empty_retrieval in orders",
            "tool rate_limited in refund-api",
        ],
    ),
    "javascript": Told(
        agent="Refund-agent 1.4.2",
        status="failure",
        steps=["plan chat", "tool refund-api failed", "  other POST failed"],
        failures=["orchestration rate_limited in POST", "tool rate_limited in refund-api"],
    ),
    "langchain_openinference": Told(
        agent="refund-agent 1.4.2",
        status="failure",
        steps=[
            "retrieve R",
            "other RunnableSequence",
            "  other ChatPromptTemplate",
            "  respond FakeListChatModel",
            "tool refund-api failed",
        ],
        failures=["tool timeout in refund-api"],
    ),
    "langchain_openllmetry": Told(
        agent="refund-agent 1.4.2",
        status="failure",
        steps=[
            "retrieve R",
            "other RunnableSequence",
            "  other ChatPromptTemplate",
            "  respond FakeListChatModel.chat",
            "tool refund-api failed",
        ],
        failures=["tool timeout in refund-api"],
    ),
}


def _run_id(expected: Path) -> str:
    """The one run of a golden, as its events say."""
    (run_id,) = {event["run_id"] for record in json.loads(expected.read_text()) for event in record["events"]}
    return str(run_id)


@pytest.mark.parametrize("body", sorted([*GOLDEN.glob("*.pb"), *GOLDEN.glob("*.body.json")]), ids=lambda body: body.name)
def test_what_a_real_exporter_sent(served: Served, body: Path) -> None:
    """Each instrumentation's request comes out as a run of its agent, with ordered, nested and classified steps and failures."""
    expected = body.with_name(body.name.partition(".")[0] + ".json")
    served.post(body.read_bytes(), "application/x-protobuf" if body.suffix == ".pb" else "application/json")
    wanted = GOLDENS[expected.stem]
    assert served.told(_run_id(expected), steps=len(wanted.steps)) == wanted


def test_no_golden_is_forgotten() -> None:
    """Each has an expectation here."""
    assert {path.name.partition(".")[0] for path in GOLDEN.glob("*.json")} == GOLDENS.keys()


# --- the SDK, live


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_sdk_told_by_its_environment(served: Served, monkeypatch: pytest.MonkeyPatch, compression: str) -> None:
    """OpenTelemetry's SDK with nothing set but its own variables: children go out before their root, and a tool fails."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", served.gateway)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-api-key={served.key}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
    provider = TracerProvider(resource=Resource({"service.name": "support agent", "service.version": "1.4.2"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))  # each span in a request of its own, as it ends
    tracer = provider.get_tracer("test")
    with suppress(TimeoutError), tracer.start_as_current_span("invoke_agent", attributes=AGENT) as root:
        with tracer.start_as_current_span("chat m", attributes={"gen_ai.request.model": "m"}):
            pass
        said = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund-api", "gen_ai.tool.call.arguments": "canary"}
        with tracer.start_as_current_span("execute_tool refund-api", attributes=said), tracer.start_as_current_span("POST"):
            raise TimeoutError("canary")
    provider.shutdown()
    run_id = str(uuid.UUID(int=root.get_span_context().trace_id))
    assert served.told(run_id, steps=3) == Told(
        agent="support-agent 1.4.2",
        status="failure",
        steps=["respond chat", "tool refund-api failed", "  other POST failed"],
        # Each in a request of its own, so what passed through them is not seen; the run's first one is the tool's own child's.
        failures=["orchestration timeout in None", "orchestration timeout in POST", "tool timeout in refund-api"],
    )


# --- one trace, two services


def _two_services(trace_id: str) -> tuple[Json, Json]:
    """An agent, and the server of its tool, which got the agent's `traceparent`, and whose clock is behind."""
    agent = make.request(
        make.span(said=AGENT, traceId=trace_id),
        make.span(CHILD, ROOT, said={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund"}, traceId=trace_id),
    )
    early = {"startTimeUnixNano": str(make.START_NS - 5_000_000)}
    server = make.span(LEAF, CHILD, said={"mcp.method.name": "tools/call"}, flags=REMOTE, traceId=trace_id, **early)
    return agent, make.request(server, resource={"service.name": "billing-mcp"})


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["root first", "root last"])
def test_the_run_is_the_roots(served: Served, order: tuple[int, int]) -> None:
    """A server that an agent calls in the same trace does not give the run its name, whoever is stored first."""
    trace_id = uuid.uuid4().hex
    parts = _two_services(trace_id)
    run_id = str(uuid.UUID(trace_id))
    for sent, number in enumerate(order):
        served.post(json.dumps(parts[number]).encode(), "application/json")
        run = served.run(run_id, steps=1 + sent)  # stored, before the other part comes
    assert (run["agent_id"], run["agent_version"]) == ("support-agent", "1.4.2")
    assert run["started_at"] == get_json(f"{served.query}/v1/runs/{run_id}/steps")["steps"][1]["started_at"]
    assert served.told(run_id, steps=2).steps == ["  tool some-span", "tool refund"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "reversed"])
def test_the_run_is_the_first_ones_where_the_root_never_comes(served: Served, order: tuple[int, int]) -> None:
    """Behind a proxy whose spans go elsewhere, the service that was called first gives the run its name."""
    trace_id = uuid.uuid4().hex
    late = {"startTimeUnixNano": str(make.START_NS + 1_000_000)}
    first = make.request(make.span(CHILD, ROOT, flags=REMOTE, traceId=trace_id))
    second = make.request(
        make.span(LEAF, CHILD, flags=REMOTE, traceId=trace_id, **late), resource={"service.name": "billing-mcp"}
    )
    run_id = str(uuid.UUID(trace_id))
    for sent, number in enumerate(order):
        served.post(json.dumps((first, second)[number]).encode(), "application/json")
        run = served.run(run_id, steps=1 + sent)
    assert run["agent_id"] == "support-agent"


@pytest.mark.parametrize("skew_s", [0, 5, -5])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["root first", "root last"])
def test_the_roots_own_end_decides(served: Served, skew_s: int, order: tuple[int, int]) -> None:
    """Whatever the clock of a tool's server says: status and length are the root's."""
    trace_id, long = uuid.uuid4().hex, 3_000_000_000
    root = make.span(said=AGENT, traceId=trace_id, **make.failed("openai.APIError"), endTimeUnixNano=str(make.START_NS + long))
    tool = make.span(CHILD, ROOT, said={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "x"}, traceId=trace_id)
    begin = make.START_NS + 1_000_000 + skew_s * 1_000_000_000
    times = {"startTimeUnixNano": str(begin), "endTimeUnixNano": str(begin + 1_000_000)}
    server = make.span(LEAF, CHILD, flags=REMOTE, traceId=trace_id, **times)
    parts = make.request(root, tool), make.request(server, resource={"service.name": "search"})
    run_id = str(uuid.UUID(trace_id))
    for sent, number in enumerate(order):
        served.post(json.dumps(parts[number]).encode(), "application/json")
        run = served.run(run_id, steps=1 + sent)
    assert (run["status"], run["latency_ms"], run["agent_id"]) == ("failure", 3_000, "support-agent")


@pytest.mark.parametrize("flags", [0, 0x101, REMOTE], ids=["absent", "known not to be remote", "remote"])
def test_a_run_ends_whose_root_is_traced_elsewhere(served: Served, flags: int) -> None:
    """Exporters that do not know that a parent is remote say nothing of it: the agent's end is the run's."""
    trace_id = uuid.uuid4().hex
    agent = make.span(CHILD, ROOT, flags=flags, said={**AGENT, "gen_ai.agent.name": "support"}, traceId=trace_id)
    chat = make.span(LEAF, CHILD, said=CHAT, traceId=trace_id)
    served.post(json.dumps(make.request(chat, agent)).encode(), "application/json")
    run = served.run(str(uuid.UUID(trace_id)), steps=2)
    assert (run["status"], run["agent_id"], run["ended_at"] is not None) == ("success", "support", True)


def test_a_span_told_twice_is_what_it_was_in_the_end(served: Served) -> None:
    """Told while it lasts, and again with its end, in either order: the longer one counts, once."""
    for order in ((0, 1), (1, 0)):
        trace_id = uuid.uuid4().hex
        said = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "x"}
        meanwhile = make.span(CHILD, ROOT, said=said, traceId=trace_id, endTimeUnixNano=str(make.START_NS + 1_000))
        final = make.span(CHILD, ROOT, said=said, traceId=trace_id, **make.failed("ReadTimeout"))
        beside = [make.span(f"00000000000000b{number}", ROOT, said=CHAT, traceId=trace_id) for number in (1, 2)]
        root = make.span(said=AGENT, traceId=trace_id)
        requests = make.request(meanwhile, beside[0]), make.request(final, root, beside[1])
        for number in order:
            served.post(json.dumps(requests[number]).encode(), "application/json")
        steps = served.told(str(uuid.UUID(trace_id)), steps=3).steps
        assert sorted(steps) == ["respond some-span", "respond some-span", "tool x failed"]
