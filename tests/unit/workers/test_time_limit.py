"""A limit on work holds whatever the work does when it is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from stream_workers.store import time_limit
from stream_workers.store.time_limit import within


class _Line:
    """What work waits for, until it is broken off."""

    def __init__(self) -> None:
        self.broken = asyncio.Event()
        self.order: list[str] = []

    def break_off(self) -> None:
        self.order.append("broken off")
        self.broken.set()

    async def polite(self) -> None:
        """Ends only with the connection, as a ROLLBACK does."""
        while not self.broken.is_set():
            try:
                await self.broken.wait()
            except asyncio.CancelledError:
                self.order.append("cancelled")
        raise ConnectionError("the connection is gone")

    async def deaf(self) -> None:
        """Waits for something that has nothing to do with the connection."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.order.append("cancelled")
            raise

    async def immovable(self) -> None:
        """Ends for nobody."""
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if self.order[-1] == "let go":
                    raise
                self.order.append("cancelled")


def _run(story: Coroutine[Any, Any, None]) -> list[str]:
    """Run it; answers what the loop was told of errors that nobody looked at."""
    complaints: list[str] = []

    async def bounded_story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
        async with asyncio.timeout(30):  # for ever, to a test
            await story

    asyncio.run(bounded_story())
    return complaints


def test_work_in_time_answers() -> None:
    """Its answer or its error, and nothing is broken off."""

    async def story() -> None:
        line = _Line()

        async def fails() -> None:
            raise LookupError("an error of its own")

        assert await within(30, asyncio.sleep(0, "answer"), break_off=line.break_off) == "answer"
        with pytest.raises(LookupError):
            await within(30, fails(), break_off=line.break_off)
        assert line.order == []

    assert _run(story()) == []


@pytest.mark.parametrize("work", ["polite", "deaf", "immovable"])
def test_the_connection_goes_first(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit it is broken off before anything is awaited; work that ends for nobody is left, and no error is unheard."""
    monkeypatch.setattr(time_limit, "_ENDS_WITHIN_S", 0.05)

    async def story() -> None:
        line = _Line()
        with pytest.raises(TimeoutError):
            await within(0.01, getattr(line, work)(), break_off=line.break_off)
        assert line.order == ["broken off", "cancelled"]
        line.order.append("let go")

    assert _run(story()) == []


@pytest.mark.parametrize("work", ["polite", "deaf"])
def test_a_caller_that_is_told_to_end_does(work: str) -> None:
    """Cancelled long before the limit, it breaks off and is cancelled."""

    async def story() -> None:
        line = _Line()
        caller = asyncio.create_task(within(3_600, getattr(line, work)(), break_off=line.break_off))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert line.order[0] == "broken off"

    assert _run(story()) == []
