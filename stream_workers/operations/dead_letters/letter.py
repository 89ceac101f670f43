"""Dead letters as the store has them: where the record is, why it could not be stored, how often it was tried. No content."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from ddl.migrate import SCHEMA
from servicekit import sql
from servicekit.postgres import open_connection

APPLICATION: Final = "agenttracer-dead-letters"
QUERIES: Final = sql.load(Path(__file__).with_name("queries.sql"))


class Letter(NamedTuple):
    """One dead letter. Operators name it by its `place`."""

    topic_id: UUID
    topic: str
    partition: int
    record_offset: int
    project: str | None
    reason: str
    field: str
    size_bytes: int
    keyed_hash: bytes | None
    dead_at: datetime
    attempts: int
    attempted_at: datetime | None
    retried_at: datetime | None

    @property
    def place(self) -> str:
        """Partition and offset, as `3/1042`."""
        return f"{self.partition}/{self.record_offset}"

    def document(self) -> dict[str, object]:
        """For JSON."""
        times = {name: at and at.isoformat() for name, at in self._asdict().items() if isinstance(at, datetime)}
        hashed = self.keyed_hash.hex() if self.keyed_hash else None
        return {**self._asdict(), **times, "topic_id": str(self.topic_id), "keyed_hash": hashed, "place": self.place}


async def find_letters(
    dsn: str,
    *,
    place: tuple[int, int] | None = None,
    reason: str | None = None,
    project: str | None = None,
    retried: bool = False,
    schema: str = SCHEMA,
) -> Sequence[Letter]:
    """The dead letters at a place, with a reason, of a project, or all; `retried` includes those that went through.

    Raises asyncpg's errors.
    """
    partition, offset = place or (None, None)
    asked = {"partition": partition, "record_offset": offset, "reason": reason, "project": project, "retried": retried}
    statement = QUERIES["dead_letters"].bind(**asked)
    async with open_connection(dsn, application_name=APPLICATION, search_path=schema) as connection:
        return [Letter(**row) for row in await connection.fetch(*statement)]
