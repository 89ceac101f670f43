"""How many questions one project may have open at once, so that one leaves connections to the others. No SQL here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from query_service.errors import ProjectBusyError


@dataclass(slots=True)
class _Project:
    turns: asyncio.Semaphore
    questions: int = 0
    """Open and waiting ones."""


class Turns:
    """One project's questions wait for each other, in the order in which they came, and for nobody else's."""

    def __init__(self, *, at_once: int, wait_s: float) -> None:
        self._at_once = at_once
        self._wait_s = wait_s
        self._projects: dict[str, _Project] = {}

    @asynccontextmanager
    async def turn(self, project: str) -> AsyncIterator[None]:
        """Held while a question is open. Raises ProjectBusyError where none came free in time."""
        known = self._projects.setdefault(project, _Project(asyncio.Semaphore(self._at_once)))
        known.questions += 1
        try:
            await self._wait(known.turns)
            try:
                yield
            finally:
                known.turns.release()
        finally:
            known.questions -= 1
            if not known.questions:
                del self._projects[project]

    async def _wait(self, turns: asyncio.Semaphore) -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                await turns.acquire()
        except TimeoutError:
            raise ProjectBusyError from None
