"""Writes into the shadow while nobody reads it: steps by COPY straight into their table, nothing added up, no wait for the disk.

Most batches hold only steps that are new. Where one is not, COPY meets its key, the savepoint is rolled back, and the batch
goes the workers' ordinary way. Rollups are added up at the end (`shadow.finish`), so what either way leaves in them does not
matter until then.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import asyncpg

from stream_workers.batch import Batch
from stream_workers.copying import copy_rows
from stream_workers.core.diagnosis import RunKey
from stream_workers.core.rows import RUN_OF, StepRow
from stream_workers.postgres import PostgresStore, StepsByRun, write_rows
from stream_workers.rebuild.plan import APPLICATION
from stream_workers.store import Saved

_EPOCH_2000_US: Final = 946_684_800_000_000  # PostgreSQL counts from there
_COUNTS: Final = ("project", "run_id", "steps", "error_steps", "failures", "recorded_failures")


class BulkStore(PostgresStore):
    """A `RunStore` for a schema that nobody reads yet. A crash of the server may undo its last transactions, ledger and all."""

    server_settings: ClassVar[Mapping[str, str]] = {
        "application_name": APPLICATION,  # its transactions may last longer than a worker's, and no worker ends them
        "synchronous_commit": "off",
        "idle_in_transaction_session_timeout": "60000",  # nobody waits for it, and a busy machine makes large batches slow
    }

    async def _prepare(self, connection: asyncpg.Connection) -> None:
        """Times are integers of microseconds here as everywhere: making datetimes of them costs as much as sending the row."""
        await super()._prepare(connection)
        await connection.set_type_codec(
            "timestamptz",
            schema="pg_catalog",
            format="tuple",
            encoder=lambda us: (us - _EPOCH_2000_US,),
            decoder=lambda value: value[0] + _EPOCH_2000_US,
        )

    async def _ensure_partitions(self, connection: asyncpg.Connection, steps: Sequence[StepRow]) -> None:
        await self._partitions.ensure_patiently(connection, steps)

    async def _write(self, connection: asyncpg.Connection, batch: Batch) -> Saved:
        try:
            async with connection.transaction():
                return await write_rows(connection, batch, write_steps=_copy_steps)
        except asyncpg.UniqueViolationError:
            return await write_rows(connection, batch)


async def _copy_steps(
    connection: asyncpg.Connection, rows: Sequence[StepRow], by_run: StepsByRun
) -> tuple[int, frozenset[RunKey]]:
    await copy_rows(connection, "steps", rows, columns=StepRow._fields)
    await copy_rows(connection, "stage_counts", list(_counts(rows, by_run)), columns=_COUNTS)
    return len(rows), frozenset()


def _counts(rows: Sequence[StepRow], by_run: StepsByRun) -> Iterator[tuple[Any, ...]]:
    errors = Counter(RUN_OF(row) for row in rows if row.status == "error")
    for key, steps in by_run.items():
        yield (*key, len(steps), errors[key], 0, 0)
