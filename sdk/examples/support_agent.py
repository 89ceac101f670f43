"""A customer-support agent and its telemetry. The agent is a simulation without network or model; the telemetry is real.

Run `python sdk/examples/support_agent.py` while a gateway listens, then look at the runs of `support-agent`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from agenttracer import AgentTracer, Run

TICKETS = (
    "Where is order A-1001?",
    "Where is order A-1002?",  # the order service times out once: the retry answers
    "Where is order A-9999?",  # no such order: the agent says so
    "How do I return a blender?",
    "Do you sell submarines?",  # the knowledge base has nothing
    "I want to speak to your manager!",  # the agent hands over, and records why
)


# --- the agent's own functions: a stand-in for a model, a knowledge base and an order service ----------------------------


class OrderNotFoundError(Exception):
    """Like an HTTP client's error for a 404."""

    status_code = 404


ARTICLES = {"return": "Returns are free for 30 days.", "order": "Orders ship within two days."}
ORDERS = {"A-1001": "on its way", "A-1002": "delivered"}


async def model(ticket: str) -> str:
    """Find the customer's intent, as a language model would."""
    await asyncio.sleep(0.02)
    if "manager" in ticket:
        return "hand_over"
    return "order" if "order" in ticket else "question"


async def search(ticket: str) -> list[str]:
    """Find articles for a ticket."""
    await asyncio.sleep(0.01)
    return [article for word, article in ARTICLES.items() if word in ticket]


async def order_status(order: str, *, attempt: int) -> str:
    """Ask the order service."""
    await asyncio.sleep(0.015)
    if order == "A-1002" and attempt == 1:
        raise TimeoutError
    if order not in ORDERS:
        raise OrderNotFoundError
    return ORDERS[order]


# --- the agent, traced --------------------------------------------------------------------------------------------------


async def answer(tracer: AgentTracer, ticket: str) -> str:
    """One run: plan, retrieve, use tools, respond. Only names, numbers and timings leave this process."""
    async with tracer.start_run() as run:
        async with run.step("plan", "understand_ticket") as step:
            intent = await model(ticket)
            step.add_metadata({"model": "stand-in-1", "intent": intent})

        if intent == "hand_over":
            run.record_failure(failure_type="orchestration", failure_code="human_requested", message=ticket)
            return "A colleague will call you."

        async with run.step("retrieve", "search_kb") as step:
            articles = await search(ticket)
            step.add_metadata({"result_count": len(articles)})

        facts = await look_up_order(run, ticket) if intent == "order" else " ".join(articles)

        async with run.step("respond", "write_answer") as step:
            await asyncio.sleep(0.02)
            step.add_metadata({"output_tokens": 12, "finish_reason": "stop"})
        return facts or "I could not find anything about that."


async def look_up_order(run: Run, ticket: str) -> str:
    """Call the tool, again after a timeout. Each attempt is a step; the SDK counts the attempts."""
    order = ticket.rstrip("?").split()[-1]
    async with run.step("tool", "order_tool"):
        for attempt in (1, 2, 3):
            try:
                async with run.step("tool", "lookup_order"):
                    return f"Your order is {await order_status(order, attempt=attempt)}."
            except TimeoutError:
                continue
            except OrderNotFoundError:
                return "I do not know that order."
    return "The order service does not answer."


# --- the program --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportReport:
    """The agent's work, to be compared with the stored runs."""

    runs: int
    events: int
    failure_codes: frozenset[str]
    answers: Mapping[str, str]


async def main(api_url: str | None = None) -> SupportReport:
    """Answer all tickets at the same time."""
    tracer = AgentTracer(agent_id="support-agent", agent_version="1.4.0", api_url=api_url)
    answers = await asyncio.gather(*(answer(tracer, ticket) for ticket in TICKETS))
    await asyncio.to_thread(tracer.shutdown, 10)
    return SupportReport(
        runs=len(TICKETS),
        events=tracer.stats().emitted,
        failure_codes=frozenset({"timeout", "not_found", "empty_retrieval", "human_requested"}),
        answers=dict(zip(TICKETS, answers, strict=True)),
    )


if __name__ == "__main__":
    report = asyncio.run(main())
    for asked, answered in report.answers.items():
        print(f"{asked:36} {answered}")
    print(f"\n{report.runs} runs, {report.events} events")
