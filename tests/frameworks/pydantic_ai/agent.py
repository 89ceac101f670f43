"""An agent of Pydantic AI with its own OpenTelemetry spans."""

import scenario
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.agent import InstrumentationSettings
from telemetry import both, provider


def fetch_order(order_id: str) -> str:
    """Fetch an order."""
    try:
        return scenario.fetch_order(order_id)
    except TimeoutError as error:
        raise ModelRetry(str(error)) from error


def main() -> None:
    """Both runs."""
    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider()))
    agent = Agent(f"openai:{scenario.MODEL}", name=scenario.AGENT, instructions=scenario.INSTRUCTIONS, retries=scenario.FAILURES)
    for tool in (scenario.search_policies, fetch_order, scenario.check_stock, scenario.check_price):
        agent.tool_plain(tool)
    both(agent.run_sync)


if __name__ == "__main__":
    main()
