"""What one reader of a tail waits for: a bounded queue of runs, and what it was too slow for. No store here."""

import asyncio
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from query_service.store.rows import StoredRun
from query_service.store.store import RunFilter, RunSearch

BATCH_MAX: Final = 100
"""Runs that are given at once: some hundred kilobytes."""


class EndReason(StrEnum):
    """Why a tail ends."""

    SERVICE_ENDING = "service_ending"
    KEY_ENDED = "key_ended"


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A run that started or finished. Whoever has seen all up to `resume_us` (of receipt) misses nothing from here on."""

    run: StoredRun
    over: bool
    resume_us: int


class TailReader:
    """One reader. Where its queue is full the oldest run gives way, and is counted."""

    def __init__(self, which: RunFilter, search: RunSearch, *, queue_max: int) -> None:
        self.filters: Final = (which, search)
        self.dropped_total = 0
        self.ended: EndReason | None = None
        self._queue: deque[RunEvent] = deque()
        self._queue_max = queue_max
        self._dropped = 0
        self._news = asyncio.Event()

    def offer(self, event: RunEvent) -> bool:
        """Take a run. False: another one gave way for it."""
        full = len(self._queue) >= self._queue_max
        if full:
            self._queue.popleft()
            self.drop(1)
        self._queue.append(event)
        self._news.set()
        return not full

    def drop(self, runs: int) -> None:
        """Count runs that this reader does not get."""
        self._dropped += runs
        self.dropped_total += runs
        self._news.set()

    def end(self, reason: EndReason) -> None:
        """Give nothing more."""
        self.ended = self.ended or reason
        self._news.set()

    async def wait(self, timeout_s: float) -> None:
        """Until there is something, or the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return

    def take(self) -> tuple[int, list[RunEvent]]:
        """How many were dropped since the last call, and the next runs."""
        dropped, self._dropped = self._dropped, 0
        runs = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
        if not self._queue and self.ended is None:
            self._news.clear()
        return dropped, runs
