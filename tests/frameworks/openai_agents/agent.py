"""An agent of OpenAI's Agents SDK on the Responses API, instrumented by OpenInference."""

import scenario
from agents import Agent, Runner, function_tool, set_trace_processors
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
from telemetry import both, provider


def main() -> None:
    """Both runs."""
    set_trace_processors([])  # the framework's own would send to its maker
    OpenAIAgentsInstrumentor().instrument(tracer_provider=provider())
    agent = Agent(
        name=scenario.AGENT,
        instructions=scenario.INSTRUCTIONS,
        model=scenario.MODEL,
        tools=[
            *map(
                function_tool,
                (scenario.search_policies, scenario.fetch_order, scenario.acheck_stock, scenario.acheck_price),
            )
        ],
    )
    both(lambda question: Runner.run_sync(agent, question))


if __name__ == "__main__":
    main()
