"""An agent of Microsoft's Agent Framework with its own OpenTelemetry spans."""

import asyncio

import scenario
from agent_framework import Agent
from agent_framework.observability import enable_instrumentation
from agent_framework.openai import OpenAIChatCompletionClient
from telemetry import both, provider


def main() -> None:
    """Both runs."""
    provider()
    enable_instrumentation(enable_sensitive_data=True)

    async def run(question: str) -> None:
        agent = Agent(
            client=OpenAIChatCompletionClient(model=scenario.MODEL),
            name=scenario.AGENT,
            instructions=scenario.INSTRUCTIONS,
            tools=[scenario.search_policies, scenario.fetch_order, scenario.acheck_stock, scenario.acheck_price],
        )
        await agent.run(question)

    both(lambda question: asyncio.run(run(question)))


if __name__ == "__main__":
    main()
