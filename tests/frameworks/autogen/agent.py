"""An AssistantAgent of AutoGen, with AutoGen's own OpenTelemetry spans and OpenLLMetry on OpenAI's SDK below."""

import asyncio

import scenario
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from telemetry import both, provider


def main() -> None:
    """Both runs."""
    OpenAIInstrumentor().instrument(tracer_provider=provider())

    async def run(question: str) -> None:
        agent = AssistantAgent(
            scenario.AGENT,
            model_client=OpenAIChatCompletionClient(model=scenario.MODEL),
            system_message=scenario.INSTRUCTIONS,
            tools=[scenario.search_policies, scenario.fetch_order, scenario.check_stock, scenario.check_price],
            max_tool_iterations=len(scenario.TURNS) + 1,
        )
        await agent.run(task=question)

    both(lambda question: asyncio.run(run(question)))


if __name__ == "__main__":
    main()
