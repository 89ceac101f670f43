"""The OpenAI Agents SDK, seen through the tracing processor, with a model of the test's own."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    Runner,
    generation_span,
    set_trace_processors,
    trace,
)
from agents.exceptions import ModelBehaviorError
from agents.testing import ScriptedModel as ShippedModel
from agents.testing import assistant_message, function_call
from agents.tracing import custom_span, function_span, mcp_tools_span, response_span, set_tracing_disabled
from openai.types.responses import Response, ResponseUsage

from agenttracer import AgentTracer
from agenttracer.integrations.openai_agents import AgentTracerTracingProcessor
from tests.unit.sdk.integrations.scripted_agents import RateLimitError, ScriptedModel, add, agent, ask, said
from tests.unit.sdk.integrations.seen import Seen


@pytest.fixture(autouse=True)
def _processor(tracer: AgentTracer) -> Iterator[None]:
    """Instead of the default one, which would send traces to OpenAI."""
    set_trace_processors([AgentTracerTracingProcessor(tracer)])
    set_tracing_disabled(False)
    yield
    set_trace_processors([])


def test_an_agent_that_calls_a_tool_and_hands_over_is_one_run(seen: Seen) -> None:
    """Task, agents and turns nest; model calls that call tools or hand over plan, the last one responds."""
    other = Agent(name="Other agent", model=ScriptedModel("done"))
    first = agent(("add", '{"a": 1, "b": 2}'), ("transfer_to_other_agent", "{}"), handoffs=[other])
    assert ask(first) == "done"
    assert seen.tree() == [
        "other:Agent-workflow",
        "  other:Triage-agent",
        "    other:turn",
        "      plan:generation",
        "      tool:add",
        "    other:turn",
        "      plan:generation",
        "      other:handoff",
        "  other:Other-agent",
        "    other:turn",
        "      respond:generation",
    ]
    assert seen.starts[0].metadata == {"framework": "openai-agents", "workflow": "Agent-workflow"}
    assert seen.step("handoff").metadata == {"from_agent": "Triage-agent", "to_agent": "Other-agent"}
    assert seen.steps[-1].metadata == {"model": "fake-1", "input_tokens": 5, "output_tokens": 6, "total_tokens": 11}
    assert [step.metadata for step in seen.steps if step.name == "turn"] == [{"turn": 1}, {"turn": 2}, {"turn": 3}]
    assert seen.end.status == "success"
    seen.assert_whole()


def test_the_trace_id_is_the_run_id(seen: Seen) -> None:
    """A run is found in AgentTracer under the id by which OpenAI's own dashboard knows it; other ids get a new one."""
    with trace("workflow", trace_id="trace_0123456789abcdef0123456789abcdef"):
        pass
    with trace("workflow", trace_id="trace_mine"):
        pass
    assert seen.starts[0].run_id == "01234567-89ab-cdef-0123-456789abcdef"
    assert seen.starts[1].run_id != seen.starts[0].run_id


def test_a_models_error_is_known_by_its_class_and_status(seen: Seen) -> None:
    """The exception that unwinds the spans is read as evidence; its text is not, and every outer step names the model's."""
    with pytest.raises(RateLimitError):
        ask(agent(RateLimitError("secret")))
    broken = seen.step("generation")
    assert broken.evidence is not None
    assert (broken.evidence.error_class, broken.evidence.http_status) == ("RateLimitError", 429)
    assert {step.cause_step_id for step in seen.steps if step.name != "generation"} == {broken.step_id}
    assert (seen.end.status, seen.end.cause_step_id) == ("failure", broken.step_id)


def test_a_tool_error_that_the_model_is_told_of_is_known_by_a_code(seen: Seen) -> None:
    """The Agents SDK hides that exception; its own fixed message becomes a code, and the run is partial."""
    assert ask(agent(("moody", '{"a": 1}'), "sorry")) == "sorry"
    evidence = seen.step("moody").evidence
    assert evidence is not None
    assert evidence.error_code == "tool_error"
    assert seen.end.status == "partial"


def test_a_tool_error_that_ends_the_run_is_one_failure(seen: Seen) -> None:
    """It arose in the tool's step and ended the run."""
    with pytest.raises(Exception, match="secret"):
        ask(agent(("fatal", '{"a": 1}')))
    assert (seen.end.status, seen.end.cause_step_id) == ("failure", seen.step("fatal").step_id)
    seen.assert_whole()


def test_a_tool_that_the_model_made_up_is_an_error_of_the_turn(seen: Seen) -> None:
    """The made-up name is content: it is nowhere."""
    with pytest.raises(ModelBehaviorError):
        ask(agent(("canary-tool", "{}")))
    evidence = seen.step("turn").evidence
    assert evidence is not None
    assert evidence.error_class == "ModelBehaviorError"
    assert b"canary" not in seen.sent()


def test_too_many_turns_fail_the_run(seen: Seen) -> None:
    """The loop's limit is an error of the agent's step."""
    with pytest.raises(MaxTurnsExceeded):
        ask(agent(("add", '{"a": 1, "b": 2}'), ("add", '{"a": 1, "b": 2}')), max_turns=1)
    assert seen.end.evidence is not None
    assert seen.end.evidence.error_class == "MaxTurnsExceeded"
    assert seen.step("turn").evidence is None


def test_a_guardrail_that_trips_says_so(seen: Seen) -> None:
    """The guardrail's step is well and triggered; what it stopped is an error."""

    async def no(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info="secret", tripwire_triggered=True)

    with pytest.raises(InputGuardrailTripwireTriggered):
        ask(agent("x", input_guardrails=[InputGuardrail(no)]))
    assert seen.step("no").metadata == {"triggered": True}
    assert seen.step("no").evidence is None
    assert seen.end.status == "failure"


def test_a_streamed_run_is_the_same_run(seen: Seen) -> None:
    """Streaming ends its spans in tasks of its own; the tree is whole all the same."""

    async def read() -> int:
        steps = [[function_call("add", {"a": 1, "b": 2}, call_id="c")], [assistant_message("done")]]
        shipped = Agent(name="Agent", model=ShippedModel(steps, emit_traces=True), tools=[add])
        return len([event async for event in Runner.run_streamed(shipped, "x").stream_events()])

    assert asyncio.run(read()) > 5
    # The shipped test model says nothing of its output, so calling a tool looks like answering.
    assert [step.kind for step in seen.steps if step.kind != "other"] == ["respond", "tool", "respond"]
    assert seen.end.status == "success"
    seen.assert_whole()


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ([{"type": "function_call"}], "plan"),
        ([{"role": "assistant", "tool_calls": [{"function": "secret"}]}], "plan"),
        ([{"object": "response", "output": [{"type": "message"}, {"type": "web_search_call"}]}], "plan"),
        ([{"object": "response", "output": [{"type": "message"}]}], "respond"),
        ([{"role": "assistant", "tool_calls": None}], "respond"),
        (None, "respond"),
    ],
)
def test_a_model_that_calls_tools_plans(seen: Seen, output: list[dict[str, Any]] | None, kind: str) -> None:
    """Items, chat completions' messages and whole responses are the three forms that the shipped models record."""
    with trace("Forms"), generation_span(output=output):
        pass
    assert [step.kind for step in seen.steps] == [kind]


def test_a_model_call_cancelled_in_time_has_the_error_that_its_span_says(seen: Seen) -> None:
    """The SDK's own timeout cancels the call and notes the reason on the span."""

    def cancelled() -> None:
        with trace("Slow"), generation_span() as span:
            span.set_error({"message": "Error getting response", "data": {"error": "secret"}})
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        cancelled()
    evidence = seen.step("generation").evidence
    assert evidence is not None
    assert evidence.error_code == "model_error"


def test_an_error_while_streaming_fails_the_run(seen: Seen) -> None:
    """The stream's reader gets the exception; the model's step has its class."""

    async def read() -> None:
        shipped = Agent(name="Agent", model=ShippedModel([RateLimitError("secret")], emit_traces=True))
        with pytest.raises(RateLimitError):
            _ = [event async for event in Runner.run_streamed(shipped, "x").stream_events()]

    asyncio.run(read())
    assert seen.step("generation").evidence is not None
    assert (seen.end.status, seen.end.cause_step_id) == ("failure", seen.step("generation").step_id)
    assert b"secret" not in seen.sent()


def test_runs_at_once_do_not_mix(seen: Seen) -> None:
    """Thirty agents under `asyncio.gather` are thirty whole runs."""

    async def many() -> None:
        await asyncio.gather(*(Runner.run(agent(("add", '{"a": 1, "b": 2}'), "done"), "x") for _ in range(30)))

    asyncio.run(many())
    assert len(seen.ends) == 30
    for end in seen.ends:
        own = [step for step in seen.steps if step.run_id == end.run_id]
        assert sorted(step.name for step in own if step.kind != "other") == ["add", "generation", "generation"]
        ids = {step.step_id for step in own}
        assert all(step.parent_step_id is None or step.parent_step_id in ids for step in own)
    seen.assert_whole()


def test_agents_in_one_trace_are_one_run(seen: Seen) -> None:
    """A workflow that the agent's own code opens holds all it runs."""

    async def two() -> None:
        with trace("Both"):
            await asyncio.gather(Runner.run(agent("a"), "x"), Runner.run(agent("b"), "y"))

    asyncio.run(two())
    assert len(seen.starts) == 1
    assert [step.kind for step in seen.steps].count("respond") == 2
    seen.assert_whole()


def test_inside_a_run_of_the_agent_a_trace_is_a_step(tracer: AgentTracer, seen: Seen) -> None:
    """No second run is started."""
    with tracer.start_run() as run, run.step("plan", "own"):
        ask(agent("done"))
    assert seen.tree()[:3] == ["plan:own", "  other:Agent-workflow", "    other:Agent-workflow"]
    assert len(seen.starts) == 1


def test_an_exception_handled_around_a_span_is_not_the_spans(seen: Seen) -> None:
    """An agent that answers inside an `except` block succeeded."""
    try:
        raise ValueError("before")  # noqa: TRY301 - the point is to be in its handler
    except ValueError:
        assert ask(agent("done")) == "done"
    assert seen.end.status == "success"
    assert all(step.evidence is None for step in seen.steps)


def test_the_other_kinds_of_spans_keep_counts_and_names(seen: Seen) -> None:
    """Custom data, MCP results and a response's output are left where they are."""
    usage = ResponseUsage.model_validate(
        {
            "input_tokens": 1,
            "output_tokens": 2,
            "total_tokens": 3,
            "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 2},
        }
    )
    response = Response.model_construct(
        id="r", model="gpt-x", status="completed", output=[said(("add", "{}"), number=1)], usage=usage, incomplete_details=None
    )
    with trace("Kinds"):
        with custom_span("rank", data={"secret": "secret"}), mcp_tools_span(server="files", result=["secret", "secret"]):
            pass
        with response_span(response):
            pass
        with function_span("remote", input="secret", output="secret") as remote:
            remote.span_data.mcp_data = {"server": "secret"}
    assert seen.tree() == ["other:rank", "  other:mcp_tools", "plan:response", "tool:remote"]
    assert seen.step("mcp_tools").metadata == {"server": "files", "tool_count": 2}
    assert seen.step("remote").metadata == {"mcp": True}
    assert seen.step("response").metadata == {
        "model": "gpt-x",
        "finish_reason": "completed",
        "input_tokens": 1,
        "output_tokens": 2,
        "total_tokens": 3,
        "cache_read_tokens": 1,
        "reasoning_tokens": 2,
    }
    assert b"secret" not in seen.sent()
