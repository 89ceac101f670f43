"""Writes into the shadow, which has no readers yet: steps by COPY straight into their table, no rollups, no wait for the disk.

Most batches hold only steps that are new. Where one is not, COPY meets its key, the savepoint is rolled back, and the batch is
written as the workers write. Rollups are added up at the end (`shadow_schema.finish`), so their content does not matter until
then.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import asyncpg

from stream_workers.core.assemble import Rows
from stream_workers.core.rows import RUN_OF, StepRow
from stream_workers.operations.rebuild.plan import APPLICATION
from stream_workers.store.batch import WriteBatch
from stream_workers.store.copy import copy_rows
from stream_workers.store.insert_rows import Inserted, Shifts, StepsByRun
from stream_workers.store.postgres import PostgresStore
from stream_workers.store.store import Saved
from stream_workers.store.write_rows import write_rows

_EPOCH_2000_US: Final = 946_684_800_000_000  # PostgreSQL counts from there
_COUNTS: Final = ("project", "run_id", "steps", "error_steps", "failures", "recorded_failures")


class BulkStore(PostgresStore):
    """A `RunStore` for a schema without readers. A crash of the server may undo its last transactions, their ledger included."""

    application: ClassVar[str] = APPLICATION
    """Not the workers': its transactions may last longer than theirs, and no worker may end them."""
    server_settings: ClassVar[Mapping[str, str]] = {
        "synchronous_commit": "off",
        "idle_in_transaction_session_timeout": "60000",  # nothing waits for it, and a busy machine makes large batches slow
    }

    async def _prepare(self, connection: asyncpg.Connection) -> None:
        """Send times as integers of microseconds: making datetimes of them costs as much as sending the row."""
        await super()._prepare(connection)
        await connection.set_type_codec(
            "timestamptz",
            schema="pg_catalog",
            format="tuple",
            encoder=lambda us: (us - _EPOCH_2000_US,),
            decoder=lambda value: value[0] + _EPOCH_2000_US,
        )

    async def _ensure_partitions(self, connection: asyncpg.Connection, rows: Rows) -> None:
        await self._partitions.ensure_waiting(connection, rows)

    async def _write(self, connection: asyncpg.Connection, batch: WriteBatch) -> Saved:
        try:
            async with connection.transaction():
                return await write_rows(connection, batch.rows, insert_steps=_copy_steps)
        except asyncpg.UniqueViolationError:
            return await write_rows(connection, batch.rows)


async def _copy_steps(connection: asyncpg.Connection, rows: Sequence[StepRow], by_run: StepsByRun, _: Shifts) -> Inserted:
    if not rows:
        return Inserted()
    await copy_rows(connection, "steps", rows, columns=StepRow._fields)
    await copy_rows(connection, "stage_counts", list(_counts(rows, by_run)), columns=_COUNTS)
    return Inserted(len(rows))


def _counts(rows: Sequence[StepRow], by_run: StepsByRun) -> Iterator[tuple[Any, ...]]:
    errors = Counter(RUN_OF(row) for row in rows if row.status == "error")
    for key, steps in by_run.items():
        yield (*key, len(steps), errors[key], 0, 0)
