"""An LlmAgent of Google's ADK by way of LiteLLM, with ADK's own OpenTelemetry spans."""

import asyncio

import scenario
from google.adk.agents import LlmAgent
from google.adk.models.lite_llm import LiteLlm
from google.adk.plugins import ReflectAndRetryToolPlugin
from google.adk.runners import InMemoryRunner
from google.genai import types
from telemetry import both, provider


def main() -> None:
    """Both runs."""
    provider()
    agent = LlmAgent(
        name=scenario.AGENT,
        model=LiteLlm(model=f"openai/{scenario.MODEL}"),
        instruction=scenario.INSTRUCTIONS,
        tools=[scenario.search_policies, scenario.fetch_order, scenario.acheck_stock, scenario.acheck_price],
    )

    async def run(question: str) -> None:
        runner = InMemoryRunner(
            agent=agent, app_name="support", plugins=[ReflectAndRetryToolPlugin(max_retries=scenario.FAILURES)]
        )
        session = await runner.session_service.create_session(app_name="support", user_id="someone")
        asked = types.Content(role="user", parts=[types.Part(text=question)])
        async for event in runner.run_async(user_id="someone", session_id=session.id, new_message=asked):
            if event.error_code:
                raise RuntimeError(event.error_code)

    both(lambda question: asyncio.run(run(question)))


if __name__ == "__main__":
    main()
