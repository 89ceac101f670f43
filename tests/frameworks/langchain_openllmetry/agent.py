"""An agent of LangChain 1 with middleware, instrumented by OpenLLMetry."""

from collections.abc import Callable

import scenario
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_tool_call
from langchain.tools.tool_node import ToolCallRequest
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from opentelemetry.instrumentation.langchain import LangchainInstrumentor
from telemetry import both, provider


@wrap_tool_call
def tell_the_model(request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage]) -> ToolMessage:
    """A tool's error is the model's to handle."""
    try:
        return handler(request)
    except TimeoutError as error:
        return ToolMessage(f"Error: {error}", tool_call_id=request.tool_call["id"], status="error")


def main() -> None:
    """Both runs."""
    LangchainInstrumentor().instrument(tracer_provider=provider())
    scripted = (scenario.search_policies, scenario.fetch_order, scenario.check_stock, scenario.check_price)
    agent = create_agent(
        ChatOpenAI(model=scenario.MODEL),
        tools=[*map(tool, scripted)],
        system_prompt=scenario.INSTRUCTIONS,
        middleware=[tell_the_model],
        name=scenario.AGENT,
    )
    both(lambda question: agent.invoke({"messages": [("user", question)]}))


if __name__ == "__main__":
    main()
