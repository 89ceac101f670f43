"""An agent of Strands with its own OpenTelemetry spans."""

import scenario
from strands import Agent, tool
from strands.models.openai import OpenAIModel
from telemetry import both, provider


def main() -> None:
    """Both runs."""
    provider()
    tools = [*map(tool, (scenario.search_policies, scenario.fetch_order, scenario.check_stock, scenario.check_price))]

    def run(question: str) -> None:
        model = OpenAIModel(model_id=scenario.MODEL)
        Agent(name=scenario.AGENT, model=model, system_prompt=scenario.INSTRUCTIONS, tools=tools, callback_handler=None)(question)

    both(run)


if __name__ == "__main__":
    main()
