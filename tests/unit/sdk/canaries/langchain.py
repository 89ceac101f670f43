"""Canaries where LangChain and LangGraph carry content: prompts, messages, tokens, documents, arguments, results, tags."""

import contextlib
import itertools
from collections.abc import Callable
from typing import Any, Final

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from agenttracer import AgentTracer
from agenttracer.integrations.langchain import AgentTracerCallbackHandler
from tests.support.firewall.canaries import Canaries
from tests.unit.sdk.canaries.leak import LeakError

_THREADS: Final = itertools.count()


def offer(tracer: AgentTracer, sing: Canaries) -> None:
    """A chain, one that raises, and a graph that asks."""
    config: RunnableConfig = {
        "callbacks": [AgentTracerCallbackHandler(tracer)],
        "metadata": {"text": sing.text(), "user": sing.token()},
        "tags": [sing.text(), sing.token()],
        "configurable": {"thread_id": str(next(_THREADS))},
    }
    RunnableLambda(leaky_chain(sing)).invoke({"question": sing.text()}, config)
    with contextlib.suppress(LeakError):
        RunnableLambda(lambda _: raise_leak(sing)).invoke(sing.token(), config)
    asks(sing).invoke({"messages": [HumanMessage(sing.text())]}, config)


class LeakyRetriever(BaseRetriever):
    found: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return self.found


def leaky_model(sing: Canaries) -> GenericFakeChatModel:
    message = AIMessage(
        sing.text(),
        additional_kwargs={"reasoning": sing.token()},
        response_metadata={"finish_reason": sing.text(), "logprobs": sing.token(), "headers": {"x": sing.token()}},
        tool_calls=[{"name": sing.token(), "args": {"a": sing.token()}, "id": sing.token()}],
    )
    return GenericFakeChatModel(messages=iter([message]))


def leaky_chain(sing: Canaries) -> Callable[[object], object]:
    def work(_: object) -> object:
        system, human = SystemMessage(sing.text()), HumanMessage(sing.token())
        leaky_model(sing).invoke([system, human], {"metadata": {"inner": sing.token()}}, stop=[sing.token()])
        list(GenericFakeChatModel(messages=iter([AIMessage(sing.text())])).stream(sing.text()))
        document = Document(sing.text(), metadata={"source": sing.token()}, id=sing.token())
        LeakyRetriever(found=[document]).invoke(sing.text())
        answer = sing.token()
        lookup = StructuredTool.from_function(lambda a: answer, name="lookup", description=sing.text())
        lookup.invoke({"a": sing.token()})
        return {"answer": sing.token()}

    return work


def raise_leak(sing: Canaries) -> object:
    raise LeakError(sing)


def asks(sing: Canaries) -> Any:
    graph = StateGraph(MessagesState)
    question = sing.text()
    graph.add_node("ask", lambda state: interrupt(question))
    graph.add_edge(START, "ask")
    return graph.compile(checkpointer=MemorySaver())
