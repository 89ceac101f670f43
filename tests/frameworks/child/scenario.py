"""What every agent of tests/frameworks does: its tools, and the truth that recordings are held against.

Loaded in the frameworks' environments too, so it needs the standard library alone. Every text that stands for content has the
word `canary` in it, in any case: none of it may be in a recording.
"""

import asyncio
import threading
import time
from typing import Final

AGENT: Final = "support_agent"
SERVICE: Final = "support-service"
VERSION: Final = "1.4.2"
MODEL: Final = "gpt-4o-mini"
MODEL_ANSWERED: Final = "gpt-4o-mini-2024-07-18"
INSTRUCTIONS: Final = "You are a canary of a support agent."
QUESTION: Final = "Canary: where is my order?"
FAILING_QUESTION: Final = "Canary: refund the refused order."
REFUSED: Final = "refuse"
"""In the second question: the model's second call is refused."""
ANSWER: Final = "Canary: it is on its way."
DOCUMENTS: Final = ("A canary of a document.", "Another canary.")
TOOL_ERROR: Final = "the order service timed out"
"""The words of the tool's exception: no content, since frameworks wrap them in words of their own, which are to be read."""
FAILURES: Final = 2
"""Of the tool that fails, before it works."""
SEARCH, FETCH, STOCK, PRICE = "search_policies", "fetch_order", "check_stock", "check_price"
ORDER: Final = {"order_id": "canary-4711"}
ITEM: Final = {"item": "canary-lamp"}
TURNS: Final[tuple[tuple[tuple[str, dict[str, str]], ...], ...]] = (
    ((SEARCH, {"query": "canary of a query"}),),
    ((FETCH, ORDER),),
    ((FETCH, ORDER),),
    ((FETCH, ORDER),),
    ((STOCK, ITEM), (PRICE, ITEM)),
)
"""What the model calls in each of its turns; then it answers."""
CACHED_TOKENS: Final = 64
REASONING_TOKENS: Final = 8


def input_tokens(turn: int) -> int:
    """Of the model's call in that turn, from 0."""
    return 100 + 10 * turn


def output_tokens(turn: int) -> int:
    """As `input_tokens`."""
    return 20 + turn


_fetched = 0
_meeting = threading.Barrier(2)
_MEETING_S: Final = 2.0
"""How long the parallel pair waits for each other: those of a framework that calls one after the other meet nobody."""


_WORK_S: Final = 0.02
"""What they take together, so that no clock is too coarse to see it."""


def begin() -> None:
    """A run begins: the tool is going to fail again."""
    global _fetched  # noqa: PLW0603 - frameworks call plain functions
    _fetched = 0


def search_policies(query: str) -> str:
    """Search the policies."""
    return "\n".join(DOCUMENTS)


def fetch_order(order_id: str) -> str:
    """Fetch an order."""
    global _fetched  # noqa: PLW0603 - as above
    _fetched += 1
    if _fetched <= FAILURES:
        raise TimeoutError(TOOL_ERROR)
    return "Canary: the order was sent."


def check_stock(item: str) -> str:
    """Check the stock of an item."""
    _meet()
    return "Canary: there are some."


def check_price(item: str) -> str:
    """Check the price of an item."""
    _meet()
    return "Canary: it is cheap."


async def acheck_stock(item: str) -> str:
    """Check the stock of an item."""
    await asyncio.to_thread(_meet)
    return "Canary: there are some."


async def acheck_price(item: str) -> str:
    """Check the price of an item."""
    await asyncio.to_thread(_meet)
    return "Canary: it is cheap."


acheck_stock.__name__, acheck_price.__name__ = STOCK, PRICE  # frameworks call a tool as its function is


def _meet() -> None:
    try:
        _meeting.wait(_MEETING_S)
        time.sleep(_WORK_S)
    except threading.BrokenBarrierError:
        _meeting.reset()
