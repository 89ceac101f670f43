"""LangGraph's graphs, seen through the callback handler for LangChain."""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import RetryPolicy, interrupt

from agenttracer import AgentTracer
from agenttracer.integrations.langchain import AgentTracerCallbackHandler
from tests.unit.sdk.integrations.seen import Seen


class Numbers(TypedDict):
    x: Annotated[int, operator.add]


@tool
def lookup(order: int) -> str:
    """Look up an order."""
    return f"order {order} is on its way"


@tool
def broken(order: int) -> str:
    """Fail."""
    raise TimeoutError("too long")


@pytest.fixture
def config(tracer: AgentTracer) -> RunnableConfig:
    return {"callbacks": [AgentTracerCallbackHandler(tracer)], "configurable": {"thread_id": "1"}}


def calls(*names: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": {"order": 7}, "id": f"{n}"} for n, name in enumerate(names)])


def agent(*messages: AIMessage | str, handle_errors: bool = True) -> Any:
    model = GenericFakeChatModel(messages=iter(messages))
    graph = StateGraph(MessagesState)
    graph.add_node("agent", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode([lookup, broken], handle_tool_errors=handle_errors))
    graph.add_edge(START, "agent")
    graph.add_conditional_edges("agent", lambda state: "tools" if state["messages"][-1].tool_calls else END)
    graph.add_edge("tools", "agent")
    return graph.compile()


def test_a_react_agent_is_a_run_that_plans_calls_and_responds(seen: Seen, config: RunnableConfig) -> None:
    """Nodes are steps, with the model, the tools and the routing functions below them, in order."""
    agent(calls("lookup"), "it comes").invoke({"messages": [HumanMessage("where?")]}, config)
    assert seen.tree() == [
        "other:agent",
        "  plan:GenericFakeChatModel",
        "  other:RunnableCallable",
        "other:tools",
        "  tool:lookup",
        "other:agent",
        "  respond:GenericFakeChatModel",
        "  other:RunnableCallable",
    ]
    assert seen.starts[0].metadata["workflow"] == "LangGraph"
    assert [step.metadata.get("graph_step") for step in seen.steps if step.parent_step_id is None] == [1, 2, 3]
    seen.assert_whole()


def test_parallel_tool_calls_all_nest_in_the_tool_node(seen: Seen, config: RunnableConfig) -> None:
    """Five calls of one message run in five threads."""
    agent(calls(*["lookup"] * 5), "done").invoke({"messages": [HumanMessage("all")]}, config)
    node = seen.step("tools")
    assert [step.parent_step_id for step in seen.steps if step.name == "lookup"] == [node.step_id] * 5


def test_a_tool_error_that_the_graph_handles_leaves_the_run_partial(seen: Seen, config: RunnableConfig) -> None:
    """The tool's step carries the exception's class; node and run go on."""
    agent(calls("broken"), "sorry").invoke({"messages": [HumanMessage("where?")]}, config)
    evidence = seen.step("broken").evidence
    assert evidence is not None
    assert evidence.error_class == "TimeoutError"
    assert seen.step("tools").evidence is None
    assert seen.end.status == "partial"


def test_a_tool_error_that_leaves_the_graph_is_one_failure(seen: Seen, config: RunnableConfig) -> None:
    """Node and run name the tool's step as the cause, although the tool ran in another thread."""
    with pytest.raises(TimeoutError):
        agent(calls("broken"), handle_errors=False).invoke({"messages": [HumanMessage("where?")]}, config)
    cause = seen.step("broken").step_id
    assert seen.step("tools").cause_step_id == cause
    assert (seen.end.status, seen.end.cause_step_id) == ("failure", cause)


def test_async_graphs_run_side_by_side_as_runs_of_their_own(seen: Seen, config: RunnableConfig) -> None:
    """Twenty agents under `asyncio.gather` with one handler are twenty whole runs."""

    async def many() -> None:
        question = {"messages": [HumanMessage("where?")]}
        await asyncio.gather(*(agent(calls("lookup"), "it comes").ainvoke(question, config) for _ in range(20)))

    asyncio.run(many())
    assert len({start.run_id for start in seen.starts}) == len(seen.ends) == 20
    for end in seen.ends:
        own = sorted(step.name for step in seen.steps if step.run_id == end.run_id and step.kind in {"plan", "tool", "respond"})
        assert own == ["GenericFakeChatModel", "GenericFakeChatModel", "lookup"]
    seen.assert_whole()


def test_branches_of_a_graph_nest_side_by_side(seen: Seen, config: RunnableConfig) -> None:
    """Nodes that run at once are siblings."""
    graph = StateGraph(Numbers)
    for name in ("left", "right", "middle"):
        graph.add_node(name, lambda state: {"x": 1})
        graph.add_edge(START, name)
        graph.add_edge(name, "join")
    graph.add_node("join", lambda state: {"x": 0})
    assert graph.compile().invoke({"x": 0}, config)["x"] == 3
    assert sorted(seen.tree()) == ["other:join", "other:left", "other:middle", "other:right"]
    assert seen.steps[-1].name == "join"


def test_a_graph_in_a_graph_nests(seen: Seen, config: RunnableConfig) -> None:
    """A subgraph is a step of the node that it is."""
    inner = StateGraph(Numbers)
    inner.add_node("deep", lambda state: {"x": 1})
    inner.add_edge(START, "deep")
    outer = StateGraph(Numbers)
    outer.add_node("sub", inner.compile())
    outer.add_edge(START, "sub")
    outer.compile().invoke({"x": 0}, config)
    assert seen.step("deep").parent_step_id in {step.step_id for step in seen.steps}
    assert len(seen.starts) == 1


def test_a_retried_node_counts_attempts(seen: Seen, config: RunnableConfig) -> None:
    """LangGraph's retry policy says nothing in its callbacks; the same node after an error is the next attempt."""
    left = [ValueError("x")]

    def flaky(state: Numbers) -> dict[str, int]:
        if left:
            raise left.pop()
        return {"x": 1}

    graph = StateGraph(Numbers)
    graph.add_node("flaky", flaky, retry_policy=RetryPolicy(initial_interval=0, jitter=False, retry_on=ValueError))
    graph.add_edge(START, "flaky")
    graph.compile().invoke({"x": 0}, config)
    assert [(step.attempt, step.status) for step in seen.steps] == [(1, "error"), (2, "ok")]
    assert seen.end.status == "success"


def test_an_interrupt_is_no_error(seen: Seen, config: RunnableConfig) -> None:
    """A node that stops to ask a person ends well and says so; what it asks stays where it is."""
    graph = StateGraph(Numbers)
    graph.add_node("ask", lambda state: {"x": interrupt("may I?")})
    graph.add_edge(START, "ask")
    graph.compile(checkpointer=MemorySaver()).invoke({"x": 0}, config)
    assert seen.step("ask").evidence is None
    assert seen.step("ask").metadata == {"graph_step": 1, "interrupted": True}
    assert (seen.end.status, seen.end.end_reason) == ("partial", "interrupted")


def test_a_streamed_graph_is_the_same_run(seen: Seen, config: RunnableConfig) -> None:
    """Streaming the messages of a graph changes nothing but the time of the first token."""

    async def read() -> int:
        question = {"messages": [HumanMessage("where?")]}
        return len([part async for part in agent("it comes soon").astream(question, config, stream_mode="messages")])

    assert asyncio.run(read()) > 3
    assert seen.tree() == ["other:agent", "  respond:GenericFakeChatModel", "  other:chain"]  # async routing has no name
    assert "first_token_ms" in seen.step("GenericFakeChatModel").metadata
    seen.assert_whole()
