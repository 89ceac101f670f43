"""A table held locked from outside, so that a worker can be met exactly where it waits."""

import asyncio
from types import TracebackType
from typing import Self

import asyncpg

from ddl.migrate import SCHEMA
from tests.support.pipeline import Pipeline
from tests.support.stacks import until

_WAITING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'agenttracer-worker' AND wait_event_type = 'Lock'
"""


class TableLock:
    """Writers of `table` wait while it is held; readers do not, unless `mode` says otherwise."""

    def __init__(self, pipeline: Pipeline, table: str, *, database: str, mode: str = "SHARE ROW EXCLUSIVE") -> None:
        self._dsn = pipeline.stack.dsn(database=database, role="agenttracer_owner")
        self._table = table
        self._mode = mode
        self._runner = asyncio.Runner()
        self._connection: asyncpg.Connection | None = None

    def __enter__(self) -> Self:
        self._connection = self._runner.run(asyncpg.connect(self._dsn, server_settings={"search_path": SCHEMA}))
        self._runner.run(self._connection.execute(f"BEGIN; LOCK TABLE {self._table} IN {self._mode} MODE"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()

    def wait_for_waiting(self) -> int:
        """The backend of a worker that waits for this lock."""
        return until(self._waiting, timeout_s=60, what=f"a worker waits for {self._table}")

    def cancel(self, backend: int) -> None:
        """Cancel that backend's statement: an error of the database in mid-transaction."""
        self._runner.run(self._connection.execute("SELECT pg_cancel_backend($1)", backend))
        until(lambda: self._waiting() != backend, timeout_s=60, what="the statement was cancelled")

    def _waiting(self) -> int | None:
        self._runner.run(self._connection.execute("SELECT pg_stat_clear_snapshot()"))  # else a transaction sees one moment
        return self._runner.run(self._connection.fetchval(_WAITING))
