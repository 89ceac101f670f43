"""An Agent of Haystack in a pipeline, with Haystack's own OpenTelemetry spans."""

import scenario
from haystack import Pipeline, tracing
from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import create_tool_from_function
from haystack_integrations.tracing.opentelemetry import OpenTelemetryTracer
from opentelemetry import trace
from telemetry import both, provider


def main() -> None:
    """Both runs."""
    provider()
    tracing.tracer.is_content_tracing_enabled = True
    tracing.enable_tracing(OpenTelemetryTracer(trace.get_tracer("support")))
    scripted = (scenario.search_policies, scenario.fetch_order, scenario.check_stock, scenario.check_price)

    def run(question: str) -> None:
        agent = Agent(
            chat_generator=OpenAIChatGenerator(model=scenario.MODEL),
            system_prompt=scenario.INSTRUCTIONS,
            tools=[*map(create_tool_from_function, scripted)],
        )
        pipeline = Pipeline()
        pipeline.add_component(scenario.AGENT, agent)
        pipeline.run({scenario.AGENT: {"messages": [ChatMessage.from_user(question)]}})

    both(run)


if __name__ == "__main__":
    main()
