"""LangChain's runnables, models, tools and retrievers, seen through the callback handler."""

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.language_models.fake_chat_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import ToolException, tool

from agenttracer import AgentTracer
from agenttracer.integrations.langchain import AgentTracerCallbackHandler
from agenttracer.testing import capture_events
from agenttracer.wire.events import ReturnedError
from tests.unit.sdk.integrations.seen import Seen


class Shelf(BaseRetriever):
    documents: list[str]

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [Document(text) for text in self.documents]


class BrokenModel(FakeListChatModel):
    error: BaseException

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise self.error


class RateLimitError(Exception):
    status_code = 429
    code = "rate_limit_exceeded"


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool
def divide(a: int) -> float:
    """Divide one by it."""
    return 1 / a


@pytest.fixture
def config(tracer: AgentTracer) -> RunnableConfig:
    return {"callbacks": [AgentTracerCallbackHandler(tracer)]}


def model(*messages: str | AIMessage) -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter(messages))


def test_a_chain_is_a_run_and_its_parts_are_steps_in_order(seen: Seen, config: RunnableConfig) -> None:
    """The root chain is the run and no step; retriever and model are steps of it."""
    found = Shelf(documents=["a", "b"])
    chain = RunnableLambda(found.invoke) | RunnableLambda(str) | model("yes")
    chain.invoke("why?", config)
    assert seen.tree() == [
        "other:invoke",
        "  retrieve:Shelf",
        "other:str",
        "respond:GenericFakeChatModel",
    ]
    assert seen.starts[0].metadata == {"framework": "langchain", "workflow": "RunnableSequence"}
    assert seen.step("Shelf").metadata == {"result_count": 2}
    assert seen.end.status == "success"
    seen.assert_whole()


def test_an_empty_retrieval_is_said_as_a_count_of_none(seen: Seen, config: RunnableConfig) -> None:
    """A retriever alone is a run with one step, and 0 is a count."""
    Shelf(documents=[]).invoke("anything", config)
    assert seen.step("Shelf").metadata == {"result_count": 0}
    assert len(seen.starts) == len(seen.ends) == 1


def test_a_models_tokens_model_and_reason_are_kept(seen: Seen, config: RunnableConfig) -> None:
    """What providers put beside the answer is metadata; a message with tool calls makes the step a plan."""
    answer = AIMessage(
        "",
        tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "1"}],
        usage_metadata={
            "input_tokens": 3,
            "output_tokens": 4,
            "total_tokens": 7,
            "input_token_details": {"cache_read": 2},
            "output_token_details": {"reasoning": 1},
        },
        response_metadata={"finish_reason": "tool_calls", "model_name": "gpt-x"},
    )
    model(answer).invoke("hello", config)
    (step,) = seen.steps
    assert step.kind == "plan"
    assert step.metadata == {
        "model": "gpt-x",
        "provider": "genericfakechatmodel",
        "finish_reason": "tool_calls",
        "input_tokens": 3,
        "output_tokens": 4,
        "total_tokens": 7,
        "cache_read_tokens": 2,
        "reasoning_tokens": 1,
    }


def test_a_completion_model_responds(seen: Seen, config: RunnableConfig) -> None:
    """Models without messages are seen too."""
    FakeListLLM(responses=["text"]).invoke("prompt", config)
    assert seen.tree() == ["respond:FakeListLLM"]


def test_an_error_names_the_step_it_arose_in_and_ends_the_run(seen: Seen, config: RunnableConfig) -> None:
    """The model's error passes through the chain around it; the run's end names the model's step as the cause."""
    inner = RunnableLambda(lambda x: x).with_config(run_name="before") | BrokenModel(responses=[""], error=RateLimitError("no"))
    chain = RunnableLambda(inner.invoke).with_config(run_name="around") | RunnableLambda(str)
    with pytest.raises(RateLimitError):
        chain.invoke("x", config)
    broken = seen.step("BrokenModel")
    assert broken.evidence is not None
    assert (broken.evidence.error_class, broken.evidence.http_status) == ("RateLimitError", 429)
    assert broken.cause_step_id is None
    assert seen.step("around").cause_step_id == broken.step_id
    assert (seen.end.status, seen.end.cause_step_id) == ("failure", broken.step_id)
    seen.assert_whole()


def test_a_handled_error_leaves_the_run_partial(seen: Seen, config: RunnableConfig) -> None:
    """A tool that raises marks its step; a chain that goes on without it ends the run as partial."""

    def careful(x: int) -> str:
        try:
            return str(divide.invoke({"a": x}))
        except ZeroDivisionError:
            return "none"

    (RunnableLambda(careful) | RunnableLambda(str)).invoke(0, config)
    assert seen.step("divide").evidence is not None
    assert seen.step("careful").evidence is None
    assert seen.end.status == "partial"


def test_a_tool_error_that_becomes_a_message_still_marks_the_step(seen: Seen, config: RunnableConfig) -> None:
    """`handle_tool_error` hides the exception from everybody but says so in the message's status."""

    @tool
    def moody(a: int) -> int:
        """Refuse."""
        raise ToolException("not today")

    moody.handle_tool_error = True
    moody.invoke({"type": "tool_call", "id": "1", "name": "moody", "args": {"a": 1}}, config)
    assert seen.step("moody").evidence is None
    assert seen.step("moody").returned_error == ReturnedError(code="tool_error")
    assert (seen.end.status, seen.end.end_reason) == ("partial", "completed")


@pytest.mark.parametrize(
    ("result", "code"),
    [("Error: 404 Not Found", "not_found"), ({"error": "rate limit exceeded"}, "rate_limited"), ("sunny", None)],
)
def test_a_result_that_is_an_error_marks_the_step(seen: Seen, config: RunnableConfig, result: Any, code: str | None) -> None:
    """Its code is read in memory, and nothing else of it."""

    @tool
    def forecast(place: str) -> Any:
        """Say the weather."""
        return result

    forecast.invoke({"place": "Oslo"}, config)
    returned = seen.step("forecast").returned_error
    assert (None if returned is None else returned.code) == code
    assert seen.step("forecast").status == "ok"


def test_calls_of_a_tool_are_told_apart_by_their_arguments(seen: Seen, config: RunnableConfig) -> None:
    """Equal arguments are the same work, and the next attempt of it; the arguments themselves stay where they are."""
    answers = iter([ToolException("not today"), 1, 2, 3])

    @tool
    def moody(place: str) -> int:
        """Refuse once."""
        answer = next(answers)
        if isinstance(answer, ToolException):
            raise answer
        return answer

    moody.handle_tool_error = True

    def chain(_: object, config: RunnableConfig) -> int:
        for place in ("Oslo", "Bergen", "Oslo"):
            moody.invoke({"type": "tool_call", "id": "1", "name": "moody", "args": {"place": place}}, config)
        return 0

    RunnableLambda(chain).invoke(0, config)
    found = [step for step in seen.steps if step.name == "moody"]
    assert found[0].work_digest == found[2].work_digest != found[1].work_digest
    assert [step.attempt for step in found] == [1, 1, 2]
    assert seen.end.status == "success"
    assert b"Oslo" not in seen.sent()


def test_retries_are_attempts_of_one_step(seen: Seen, config: RunnableConfig) -> None:
    """`with_retry` says 1, 2, 3; the last one repairs the run."""
    left = [ValueError, ValueError]

    def flaky(x: int) -> int:
        if left:
            raise left.pop()
        return x

    flaky_twice = RunnableLambda(flaky).with_retry(wait_exponential_jitter=False, stop_after_attempt=3)
    flaky_twice.invoke(1, config)
    assert [(step.name, step.attempt, step.status) for step in seen.steps] == [
        ("flaky", 1, "error"),
        ("flaky", 2, "error"),
        ("flaky", 3, "ok"),
    ]
    assert seen.end.status == "success"


def test_of_a_stream_only_the_time_of_its_first_token_is_kept(seen: Seen, config: RunnableConfig) -> None:
    """Tokens pass by; the step says when the first one came, in ms."""
    assert len(list(model("one two three").stream("x", config))) == 5
    assert seen.steps[0].metadata.keys() == {"provider", "first_token_ms"}


def test_a_stream_that_is_not_read_on_is_no_error(seen: Seen, config: RunnableConfig) -> None:
    """Leaving the loop early is no failure: the run was cancelled."""
    stream = model("one two three").stream("x", config)
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator, typed as an iterator
    assert [step.status for step in seen.steps] == ["ok"]
    assert (seen.end.status, seen.end.end_reason) == ("partial", "cancelled")


def test_parallel_branches_nest_in_their_own_parents(seen: Seen, config: RunnableConfig) -> None:
    """Branches run in other threads; each one's steps are below it."""
    branches = {
        f"branch{n}": RunnableLambda(lambda x: add.invoke({"a": x, "b": 1})).with_config(run_name=f"b{n}") for n in range(8)
    }
    chain = RunnableLambda(lambda x: x) | branches  # type: ignore[operator]  # LangChain makes a runnable of a dict
    chain.invoke(1, config)
    names = {step.step_id: step.name for step in seen.steps}
    adds = [step for step in seen.steps if step.name == "add"]
    assert sorted(names[step.parent_step_id or ""] for step in adds) == [f"b{n}" for n in range(8)]
    assert len(seen.ends) == 1
    seen.assert_whole()


def test_one_handler_serves_threads_and_tasks_without_mixing_runs(seen: Seen, config: RunnableConfig) -> None:
    """Forty invocations, half in threads and half in tasks of one loop, are forty runs with two steps each."""
    chain = RunnableLambda(lambda x: add.invoke({"a": x, "b": 1})) | RunnableLambda(str)

    async def many() -> None:
        await asyncio.gather(*(chain.ainvoke(n, config) for n in range(20)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: chain.invoke(n, config), range(20)))
    asyncio.run(many())
    assert len({start.run_id for start in seen.starts}) == len(seen.ends) == 40
    for end in seen.ends:
        own = [step for step in seen.steps if step.run_id == end.run_id]
        assert sorted(step.name for step in own) == ["RunnableLambda", "add", "str"]
        ids = {step.step_id for step in own}
        assert all(step.parent_step_id is None or step.parent_step_id in ids for step in own)
    seen.assert_whole()


def test_inside_a_run_of_the_agent_the_root_is_a_step(tracer: AgentTracer, seen: Seen, config: RunnableConfig) -> None:
    """What the framework does nests where the agent's own code is; no second run is started."""
    with tracer.start_run() as run, run.step("plan", "own"):
        (RunnableLambda(lambda x: x) | RunnableLambda(str)).with_config(run_name="chain").invoke(1, config)
    assert seen.tree() == ["plan:own", "  other:chain", "    other:RunnableLambda", "    other:str"]
    assert len(seen.starts) == 1
    seen.assert_whole()


def test_inside_a_run_of_another_tracer_the_root_is_its_child(seen: Seen, config: RunnableConfig) -> None:
    """Another tracer is another agent: a run of its own, linked to the step it was started in."""
    other = AgentTracer(agent_id="outer", agent_version="1")
    with other.start_run() as run, run.step("tool", "delegate") as step:
        add.invoke({"a": 1, "b": 2}, config)
    other.shutdown(0)
    child = seen.starts[1]
    assert (child.parent_run_id, child.parent_step_id) == (run.run_id, step.step_id)


def test_metadata_is_kept_under_the_keys_that_were_asked_for(tracer: AgentTracer, seen: Seen) -> None:
    """Without being asked, nothing of the invocation's metadata travels; a text never does."""
    config: RunnableConfig = {
        "callbacks": [AgentTracerCallbackHandler(tracer, metadata_keys=["tenant", "note", "tries_left"])],
        "metadata": {"tenant": "acme", "note": "two words", "tries_left": 2, "user": "alice"},
        "tags": ["blue"],
    }
    add.invoke({"a": 1, "b": 2}, config)
    assert seen.steps[0].metadata == {"tenant": "acme", "tries_left": 2}


def test_a_name_with_spaces_is_hyphened(seen: Seen, config: RunnableConfig) -> None:
    """Names are the developers' own; LangChain lets them be several words."""
    RunnableLambda(add.invoke).with_config(run_name="Look up").invoke({"a": 1, "b": 2}, config)
    assert seen.starts[0].metadata["workflow"] == "Look-up"


def test_a_switched_off_tracer_changes_nothing(seen: Seen) -> None:
    """The handler works with a disabled tracer, and LangChain's answer is the same."""
    tracer = AgentTracer(agent_id="agent", agent_version="1", disabled=True)
    with capture_events():
        assert add.invoke({"a": 1, "b": 2}, {"callbacks": [AgentTracerCallbackHandler(tracer)]}) == 3


def test_what_langchain_says_of_unknown_runs_changes_nothing(tracer: AgentTracer, seen: Seen) -> None:
    """An end without a start, as after attaching a handler late, is ignored."""
    handler = AgentTracerCallbackHandler(tracer)
    handler.on_chain_end({}, run_id=uuid.uuid4())
    handler.on_llm_new_token("x", run_id=uuid.uuid4())
    handler.on_retry(object(), run_id=uuid.uuid4())
    assert seen.events == []
