"""A crew of one agent of CrewAI, instrumented by OpenInference with OpenAI's SDK below."""

import scenario
from crewai import Agent, Crew, Task
from crewai.tools import tool
from openinference.instrumentation.crewai import CrewAIInstrumentor
from openinference.instrumentation.openai import OpenAIInstrumentor
from telemetry import both, provider


def main() -> None:
    """Both runs."""
    provided = provider()
    CrewAIInstrumentor().instrument(tracer_provider=provided)
    OpenAIInstrumentor().instrument(tracer_provider=provided)
    scripted = (scenario.search_policies, scenario.fetch_order, scenario.check_stock, scenario.check_price)
    tools = [tool(each.__name__)(each) for each in scripted]

    def run(question: str) -> None:
        agent = Agent(
            role=scenario.AGENT,
            goal=scenario.INSTRUCTIONS,
            backstory=scenario.INSTRUCTIONS,
            tools=tools,
            llm=scenario.MODEL,
            max_retry_limit=0,
        )
        Crew(agents=[agent], tasks=[Task(description=question, expected_output="An answer.", agent=agent)]).kickoff()

    both(run)


if __name__ == "__main__":
    main()
