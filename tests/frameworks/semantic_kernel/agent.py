"""A ChatCompletionAgent of Semantic Kernel with its own OpenTelemetry spans."""

import asyncio
import os

os.environ["SEMANTICKERNEL_EXPERIMENTAL_GENAI_ENABLE_OTEL_DIAGNOSTICS"] = "true"  # read when it is loaded

import scenario
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.functions import KernelPlugin, kernel_function
from telemetry import both, provider


def main() -> None:
    """Both runs."""
    provider()
    scripted = (scenario.search_policies, scenario.fetch_order, scenario.acheck_stock, scenario.acheck_price)
    plugin = KernelPlugin(name="orders", functions=[kernel_function(each) for each in scripted])

    async def run(question: str) -> None:
        agent = ChatCompletionAgent(
            service=OpenAIChatCompletion(ai_model_id=scenario.MODEL),
            name=scenario.AGENT,
            instructions=scenario.INSTRUCTIONS,
            plugins=[plugin],
        )
        await agent.get_response(question)

    both(lambda question: asyncio.run(run(question)))


if __name__ == "__main__":
    main()
