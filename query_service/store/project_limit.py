"""How many reads one project may have open at once, so that it leaves connections to the others. No SQL here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from query_service.errors import ProjectBusyError


@dataclass(slots=True)
class _Project:
    slots: asyncio.Semaphore
    reads: int = 0
    """Open and waiting ones."""


class ProjectLimit:
    """Reads of one project wait for each other, in the order of their arrival, and for no other project's."""

    def __init__(self, *, at_once: int, wait_s: float) -> None:
        self._at_once = at_once
        self._wait_s = wait_s
        self._projects: dict[str, _Project] = {}

    @asynccontextmanager
    async def slot(self, project: str) -> AsyncIterator[None]:
        """Held while a read is open. Raises ProjectBusyError where no slot becomes free in time."""
        known = self._projects.setdefault(project, _Project(asyncio.Semaphore(self._at_once)))
        known.reads += 1
        try:
            await self._wait(known.slots)
            try:
                yield
            finally:
                known.slots.release()
        finally:
            known.reads -= 1
            if not known.reads:
                del self._projects[project]

    async def _wait(self, slots: asyncio.Semaphore) -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                await slots.acquire()
        except TimeoutError:
            raise ProjectBusyError from None
