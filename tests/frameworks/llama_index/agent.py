"""A FunctionAgent of LlamaIndex with a retriever, instrumented by OpenInference."""

import asyncio

import scenario
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from telemetry import both, provider


class Policies(BaseRetriever):
    """Finds what the scenario finds."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text=text), score=0.5) for text in scenario.DOCUMENTS]


def search_policies(query: str) -> str:
    """Search the policies."""
    return "\n".join(found.text for found in Policies().retrieve(query))


def main() -> None:
    """Both runs."""
    LlamaIndexInstrumentor().instrument(tracer_provider=provider())
    agent = FunctionAgent(
        name=scenario.AGENT,
        system_prompt=scenario.INSTRUCTIONS,
        llm=OpenAI(model=scenario.MODEL),
        streaming=False,  # streamed, it asks for no token counts
        tools=[
            *map(FunctionTool.from_defaults, (search_policies, scenario.fetch_order)),
            FunctionTool.from_defaults(async_fn=scenario.acheck_stock, name=scenario.STOCK),
            FunctionTool.from_defaults(async_fn=scenario.acheck_price, name=scenario.PRICE),
        ],
    )

    async def run(question: str) -> None:
        await agent.run(question)

    both(lambda question: asyncio.run(run(question)))


if __name__ == "__main__":
    main()
