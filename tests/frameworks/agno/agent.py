"""An agent of Agno, instrumented by OpenInference."""

import asyncio

import scenario
from agno.agent import Agent
from agno.models.openai import OpenAIChat
from openinference.instrumentation.agno import AgnoInstrumentor
from telemetry import both, provider


def main() -> None:
    """Both runs."""
    AgnoInstrumentor().instrument(tracer_provider=provider())

    async def run(question: str) -> None:
        agent = Agent(
            name=scenario.AGENT,
            model=OpenAIChat(id=scenario.MODEL),
            instructions=scenario.INSTRUCTIONS,
            tools=[scenario.search_policies, scenario.fetch_order, scenario.acheck_stock, scenario.acheck_price],
            telemetry=False,
        )
        await agent.arun(question)

    both(lambda question: asyncio.run(run(question)))


if __name__ == "__main__":
    main()
