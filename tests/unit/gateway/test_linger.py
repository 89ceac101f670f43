"""What waits for company leaves together, whatever partition it is for."""

import asyncio

import pytest

from producer_gateway.kafka.partition_batcher import Linger

pytestmark = pytest.mark.anyio


async def test_together() -> None:
    """Who joins later leaves with the first: their batches are in one request to the broker."""
    linger, departed, first = Linger(0.01), [], asyncio.Event()
    linger.wait_for(lambda: (departed.append("first"), first.set()))  # type: ignore[func-returns-value]
    await asyncio.sleep(0)
    linger.wait_for(lambda: departed.append("second"))
    await first.wait()
    assert departed == ["first", "second"]


async def test_next_wait() -> None:
    """A wait that is over begins anew with who comes next, also while the others are leaving, and nobody leaves twice."""
    linger, departed, done = Linger(0.001), [], asyncio.Event()
    linger.wait_for(lambda: (departed.append(1), linger.wait_for(lambda: (departed.append(2), done.set()))))  # type: ignore[func-returns-value]
    await done.wait()
    assert departed == [1, 2]
