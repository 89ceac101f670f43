"""A worker's spare time: compacts statistics every few seconds, on a connection of its own.

Statistics are right without it, and slower to read the longer it does not run. So whatever goes wrong is logged and tried again
with the next turn, and never ends the worker.
"""

import asyncio
import time
from typing import Final

import asyncpg

from ddl import rollups
from ddl.migrate import SCHEMA
from servicekit import postgres
from servicekit.logs import Log, error_class
from stream_workers.metrics import WorkerMetrics
from stream_workers.rollups import compaction

_APPLICATION: Final = "agenttracer-compaction"
_DELTAS_MAX: Final = 5_000
"""A transaction's share: to add it up keeps the worker from its batches for some hundredths of a second."""
_TRANSACTION_MS: Final = 30_000
_IDLE_MAX_MS: Final = 5_000
"""A worker that is stopped in the middle holds back whoever else compacts, deletes or swaps, until the server ends it."""
_CONNECT_TIMEOUT_S: Final = 5.0
_log = Log("worker.compactor")


class Compactor:
    """Compacts until cancelled. Several workers take turns, so it matters little how many there are."""

    def __init__(self, dsn: str, metrics: WorkerMetrics, *, every_s: float, schema: str = SCHEMA) -> None:
        self._dsn = dsn
        self._metrics = metrics
        self._every_s = every_s
        self._schema = schema
        self._expired: dict[str, int] = {}
        """The day on which a project's short spans were last removed."""

    async def run(self) -> None:
        """Never returns."""
        connection: asyncpg.Connection | None = None
        try:
            while True:
                await asyncio.sleep(self._every_s)
                if connection is None or connection.is_closed():
                    connection = await self._connect()
                if connection is not None and not await self._turn(connection):
                    connection.terminate()
        finally:
            if connection is not None:
                connection.terminate()

    async def _connect(self) -> asyncpg.Connection | None:
        settings = {
            **compaction.SETTINGS,
            "transaction_timeout": str(_TRANSACTION_MS),
            "idle_in_transaction_session_timeout": str(_IDLE_MAX_MS),
        }
        try:
            return await postgres.connect(
                self._dsn,
                application_name=_APPLICATION,
                search_path=self._schema,
                settings=settings,
                timeout_s=_CONNECT_TIMEOUT_S,
                command_timeout_s=_TRANSACTION_MS / 1000,
            )
        except Exception as error:  # noqa: BLE001 - see above: it must not end the worker
            self._note(error)
            return None

    async def _turn(self, connection: asyncpg.Connection) -> bool:
        """One pass over all projects. False if it failed: the connection's state is then unknown."""
        began = time.monotonic()
        try:
            await self.compact(connection, now=int(time.time()) // 60)
        except Exception as error:  # noqa: BLE001 - as above
            self._note(error)
            return False
        finally:
            self._metrics.compaction_seconds.inc(time.monotonic() - began)
        return True

    async def compact(self, connection: asyncpg.Connection, *, now: int) -> None:
        """All that is settled by the minute `now`, and once a day what is read no more. Raises asyncpg's errors."""
        for project in await compaction.projects(connection):
            done = await compaction.compact(connection, project, now=now, which=compaction.settled(now), deltas_max=_DELTAS_MAX)
            self._metrics.deltas_compacted.inc(done)
            if self._expired.get(project) != (today := rollups.day_of(now)):
                await compaction.expire_short_spans(connection, project, now=now)
                self._expired[project] = today
        self._metrics.deltas_waiting.set(await compaction.count_deltas(connection))

    def _note(self, error: BaseException) -> None:
        self._metrics.compaction_failures.inc()
        _log.warning("compaction_failed", error_class=error_class(error), sqlstate=postgres.sqlstate_of(error))
