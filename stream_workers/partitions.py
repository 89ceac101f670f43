"""A partition for each day of steps: made ahead of time, and never waited for.

Making one locks the default partition, and the server waits a moment at most for that: readers are not held up behind it. A day
without its own lies in the default partition, which is read alike; its steps move along later.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date, timedelta
from typing import Final

import asyncpg

from servicekit.logs import Log
from stream_workers.core.rows import StepRow
from stream_workers.statements import QUERIES

DAY_US: Final = 86_400_000_000
_PAST: Final = 400  # days; steps older than this, or from the future, lie in the default partition
_AHEAD: Final = 2  # days; midnight is not the moment, and whoever reads for hours is waited out
_AGAIN_FIRST_S: Final = 2.0
_AGAIN_MAX_S: Final = 300.0
_PATIENT_PAUSE_S: Final = 0.05
NOT_NOW: Final = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.QueryCanceledError)
"""Somebody holds the steps, or there was more to look through than others should wait for."""
_EPOCH: Final = date(1970, 1, 1)
_log = Log("worker.partitions")


class Partitions:
    """Which days have one, as far as a worker knows."""

    def __init__(self, *, clock_s: Callable[[], float] = time.monotonic, wall_clock_s: Callable[[], float] = time.time) -> None:
        self._clock_s = clock_s
        self._wall_clock_s = wall_clock_s
        self._there: set[int] = set()
        self._pause_s = _AGAIN_FIRST_S
        self._again_s = clock_s()

    def forget(self) -> None:
        """Another store may answer now, or another schema."""
        self._there.clear()

    async def ensure(self, connection: asyncpg.Connection, steps: Iterable[StepRow]) -> None:
        """One for each day of these steps, and for the days to come. What cannot be had now is tried again later.

        Call it outside of a transaction. Raises asyncpg's errors, but for those that say "not now".
        """
        missing = self._missing(steps)
        if not missing or self._clock_s() < self._again_s:
            return
        try:
            await self._make(connection, missing)
        except NOT_NOW as error:
            self._put_off(error)
        else:
            self._pause_s = _AGAIN_FIRST_S

    async def ensure_patiently(self, connection: asyncpg.Connection, steps: Iterable[StepRow]) -> None:
        """The same, but waits for whoever is in the way: for a schema that nobody reads yet."""
        while missing := self._missing(steps):
            try:
                await self._make(connection, missing)
            except NOT_NOW:
                await asyncio.sleep(_PATIENT_PAUSE_S)

    async def _make(self, connection: asyncpg.Connection, days: Iterable[int]) -> None:
        for day in days:
            # Somebody else may have made it just now, and our session not have heard of it when it looked.
            with suppress(asyncpg.DuplicateTableError):
                async with connection.transaction():
                    await connection.execute(QUERIES["limit_partition"])
                    await connection.execute(QUERIES["ensure_partition"], _EPOCH + timedelta(days=day))
            self._there.add(day)

    def _missing(self, steps: Iterable[StepRow]) -> list[int]:
        return sorted(self._wanted(steps) - self._there)

    def _wanted(self, steps: Iterable[StepRow]) -> set[int]:
        today = int(self._wall_clock_s() * 1_000_000) // DAY_US
        asked = {row.started_at // DAY_US for row in steps}
        return {day for day in asked if today - _PAST <= day <= today} | set(range(today, today + _AHEAD + 1))

    def _put_off(self, error: asyncpg.PostgresError) -> None:
        _log.warning("partitions_put_off", reason=error.sqlstate, retry_in_s=self._pause_s)
        self._again_s = self._clock_s() + self._pause_s
        self._pause_s = min(2 * self._pause_s, _AGAIN_MAX_S)
