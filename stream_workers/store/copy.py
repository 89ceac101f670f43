"""COPY, by which rows come into the database: the one place where values of many rows meet asyncpg's encoders.

The encoders raise Python's own errors, which anywhere else mean a fault of ours and end the process. Here they mean that the
content cannot be stored, as a refusal of the server does.
"""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from stream_workers.errors import PermanentStoreError

NOT_ENCODABLE: Final = "22000"
"""Data exception: asyncpg reports an argument that it cannot encode with this SQLSTATE."""


async def copy_rows(
    connection: asyncpg.Connection, table: str, rows: Sequence[tuple[Any, ...]], *, columns: Sequence[str]
) -> None:
    """Append the rows to a table without defaults. Raises PermanentStoreError for a value that its column cannot hold.

    `rows` is a sequence and no generator: an error in making a row is not its content's fault. Columns that are null in all of
    the rows are not sent: that is most of a step's, and a null costs the encoder as much as a number.
    """
    values = list(zip(*rows, strict=True))
    used = [at for at, column in enumerate(values) if column[0] is not None or column.count(None) < len(rows)]
    records = zip(*map(values.__getitem__, used), strict=True)
    try:
        await connection.copy_records_to_table(table, records=records, columns=[columns[at] for at in used])
    except (OverflowError, ValueError, TypeError):
        raise PermanentStoreError(NOT_ENCODABLE) from None
