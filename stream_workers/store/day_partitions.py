"""A partition for each day of steps, made ahead of time, near the time of receipt. No write waits for one.

Which days have one is never the sender's choice: a request with events of four hundred days makes none of them. Making one locks
the default partition, and the server waits only a moment for that lock, so that readers are not held up behind it. Steps of a day
without a partition lie in the default one, which is read alike; they move when the day's partition is made.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Final

import asyncpg

from servicekit.logs import Log
from stream_workers.core.assemble import Rows
from stream_workers.store.statements import QUERIES

DAY_US: Final = 86_400_000_000
_PAST: Final = 400  # days; records that were received before, as a rebuild may read them, make no partition
_AHEAD: Final = 2  # days; so midnight makes no partition, and a transaction that reads for hours delays none
_AGAIN_FIRST_S: Final = 2.0
_AGAIN_MAX_S: Final = 300.0
_WAITING_PAUSE_S: Final = 0.05
NOT_NOW: Final = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.QueryCanceledError)
"""Another transaction holds the steps, or the default partition was too large to look through while others wait."""
_EPOCH: Final = date(1970, 1, 1)
_log = Log("worker.partitions")


class DayPartitions:
    """The days that have a partition, as far as this worker knows."""

    def __init__(self, *, clock_s: Callable[[], float] = time.monotonic, wall_clock_s: Callable[[], float] = time.time) -> None:
        self._clock_s = clock_s
        self._wall_clock_s = wall_clock_s
        self._there: set[int] = set()
        self._pause_s = _AGAIN_FIRST_S
        self._again_s = clock_s()

    def forget(self) -> None:
        """Forget the days: the next connection may reach another store or schema."""
        self._there.clear()

    async def ensure(self, connection: asyncpg.Connection, rows: Rows) -> None:
        """Make partitions for the days of these steps on which runs were received, or the day after, and for the days to come.

        One that cannot be made now is tried again later.

        Call it outside of a transaction. Raises asyncpg's errors, except those in `NOT_NOW`.
        """
        missing = self._missing(rows)
        if not missing or self._clock_s() < self._again_s:
            return
        try:
            await self._make(connection, missing)
        except NOT_NOW as error:
            self._put_off(error)
        else:
            self._pause_s = _AGAIN_FIRST_S

    async def ensure_waiting(self, connection: asyncpg.Connection, rows: Rows) -> None:
        """As `ensure`, but wait for the lock: for a schema without readers."""
        while missing := self._missing(rows):
            try:
                await self._make(connection, missing)
            except NOT_NOW:
                await asyncio.sleep(_WAITING_PAUSE_S)

    async def _make(self, connection: asyncpg.Connection, days: Sequence[int]) -> None:
        for day in days:
            # Another session may have made it just now, after ours looked.
            with suppress(asyncpg.DuplicateTableError):
                async with connection.transaction():
                    await connection.execute(*QUERIES["limit_partition"].bind())
                    await connection.execute(*QUERIES["ensure_partition"].bind(day=_EPOCH + timedelta(days=day)))
            self._there.add(day)

    def _missing(self, rows: Rows) -> list[int]:
        return sorted(self._wanted(rows) - self._there)

    def _wanted(self, rows: Rows) -> set[int]:
        today = int(self._wall_clock_s() * 1_000_000) // DAY_US
        received = {run.last_received_at // DAY_US for run in rows.runs}
        near = {day for at in received for day in (at - 1, at) if today - _PAST <= day <= today}
        return near & {step.started_at // DAY_US for step in rows.steps} | set(range(today, today + _AHEAD + 1))

    def _put_off(self, error: asyncpg.PostgresError) -> None:
        _log.warning("partitions_put_off", reason=error.sqlstate, retry_in_s=self._pause_s)
        self._again_s = self._clock_s() + self._pause_s
        self._pause_s = min(2 * self._pause_s, _AGAIN_MAX_S)
