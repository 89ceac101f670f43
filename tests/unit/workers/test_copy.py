"""What COPY sends of rows."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from stream_workers.store.copy import copy_rows

if TYPE_CHECKING:
    import asyncpg


class Connection:
    """Keeps what is copied."""

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.records: list[tuple[Any, ...]] = []

    async def copy_records_to_table(self, _table: str, *, records: Iterable[tuple[Any, ...]], columns: Sequence[str]) -> None:
        self.columns, self.records = list(columns), list(records)


def test_columns_that_are_null_in_all_rows_are_not_sent() -> None:
    """A column with a value in any row is sent whole, wherever its value stands."""
    connection = Connection()
    rows = [("r1", None, None, 0, None), ("r2", None, 7, None, False)]
    asyncio.run(copy_rows(cast("asyncpg.Connection", connection), "stage", rows, columns=["id", "no", "late", "early", "flag"]))
    assert connection.columns == ["id", "late", "early", "flag"]
    assert connection.records == [("r1", None, 0, None), ("r2", 7, None, False)]
