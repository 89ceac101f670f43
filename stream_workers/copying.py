"""COPY, by which rows come into the database: the one place where values of many rows meet asyncpg's encoders.

These raise Python's own errors, which anywhere else mean a fault of ours and end the process. Here it is the content that cannot
be stored, as when the server says so.
"""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from stream_workers.errors import PermanentStoreError

NOT_ENCODABLE: Final = "22000"
"""Data exception: what asyncpg says of an argument of a statement that it cannot encode."""


async def copy_rows(
    connection: asyncpg.Connection, table: str, rows: Sequence[tuple[Any, ...]], *, columns: Sequence[str]
) -> None:
    """Append the rows to a table. Raises PermanentStoreError for a value that its column cannot hold.

    `rows` are all there before, and no generator: an error in making one is not its content's fault.
    """
    try:
        await connection.copy_records_to_table(table, records=rows, columns=columns)
    except (OverflowError, ValueError, TypeError):
        raise PermanentStoreError(NOT_ENCODABLE) from None
