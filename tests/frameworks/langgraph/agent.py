"""A LangGraph graph of a model and its tools, instrumented by OpenInference."""

import scenario
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from openinference.instrumentation.langchain import LangChainInstrumentor
from telemetry import both, provider


class Policies(BaseRetriever):
    """Finds what the scenario finds."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [Document(text) for text in scenario.DOCUMENTS]


@tool
def search_policies(query: str) -> str:
    """Search the policies."""
    return "\n".join(found.page_content for found in Policies().invoke(query))


def main() -> None:
    """Both runs."""
    LangChainInstrumentor().instrument(tracer_provider=provider())
    tools = [search_policies, *map(tool, (scenario.fetch_order, scenario.check_stock, scenario.check_price))]
    model = ChatOpenAI(model=scenario.MODEL).bind_tools(tools)

    def call_model(state: MessagesState) -> dict[str, list[AIMessage]]:
        return {"messages": [model.invoke([("system", scenario.INSTRUCTIONS), *state["messages"]])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", call_model)
    graph.add_node("tools", ToolNode(tools, handle_tool_errors=True))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    agent = graph.compile(name=scenario.AGENT)
    both(lambda question: agent.invoke({"messages": [("user", question)]}))


if __name__ == "__main__":
    main()
