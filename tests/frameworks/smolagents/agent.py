"""A ToolCallingAgent of smolagents, instrumented by OpenInference."""

import scenario
from openinference.instrumentation.smolagents import SmolagentsInstrumentor
from smolagents import OpenAIServerModel, Tool, ToolCallingAgent
from telemetry import both, provider


class Search(Tool):
    """Finds what the scenario finds."""

    name = scenario.SEARCH
    description = "Search the policies."
    inputs = {"query": {"type": "string", "description": "What to find."}}  # noqa: RUF012 - as the framework asks for it
    output_type = "string"

    def forward(self, query: str) -> str:
        """Search."""
        return scenario.search_policies(query)


class Fetch(Tool):
    """Fails twice."""

    name = scenario.FETCH
    description = "Fetch an order."
    inputs = {"order_id": {"type": "string", "description": "Which."}}  # noqa: RUF012 - as above
    output_type = "string"

    def forward(self, order_id: str) -> str:
        """Fetch."""
        return scenario.fetch_order(order_id)


class Stock(Tool):
    """One of the pair."""

    name = scenario.STOCK
    description = "Check the stock of an item."
    inputs = {"item": {"type": "string", "description": "Which."}}  # noqa: RUF012 - as above
    output_type = "string"

    def forward(self, item: str) -> str:
        """Check."""
        return scenario.check_stock(item)


class Price(Tool):
    """The other one."""

    name = scenario.PRICE
    description = "Check the price of an item."
    inputs = {"item": {"type": "string", "description": "Which."}}  # noqa: RUF012 - as above
    output_type = "string"

    def forward(self, item: str) -> str:
        """Check."""
        return scenario.check_price(item)


def main() -> None:
    """Both runs."""
    SmolagentsInstrumentor().instrument(tracer_provider=provider())
    model = OpenAIServerModel(model_id=scenario.MODEL)

    def run(question: str) -> None:
        tools = [Search(), Fetch(), Stock(), Price()]
        ToolCallingAgent(tools=tools, model=model, name=scenario.AGENT, description="Answers.", verbosity_level=0).run(question)

    both(run)


if __name__ == "__main__":
    main()
