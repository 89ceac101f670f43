"""Asks the store whether it answers, on a connection of its own: what a write waits for must not keep the question waiting."""

from typing import Final

import asyncpg

from ddl.migrate import SCHEMA
from stream_workers.batch import Topic
from stream_workers.bounded import within
from stream_workers.sqlstate import understood
from stream_workers.statements import QUERIES

_LIMIT_S: Final = 5.0  # to connect and ask; half of the time between two questions of `stuck`


class Question:
    """Can be asked again and again; each time it connects anew, as the writer would. Not for use by two tasks at once."""

    def __init__(self, dsn: str, topic: Topic, *, schema: str = SCHEMA, limit_s: float = _LIMIT_S) -> None:
        self._dsn = dsn
        self._topic = topic
        self._schema = schema
        self._limit_s = limit_s
        self._connection: asyncpg.Connection | None = None

    async def ask(self) -> None:
        """Return if the store says how far it is. Raises TransientStoreError if it does not within the limit."""
        try:
            await within(self._limit_s, self._ask(), break_off=self._hang_up)
        except BaseException as error:
            told = understood(error)
            if told is None:
                raise
            raise told from None
        finally:
            self._hang_up()

    async def _ask(self) -> None:
        settings = {"search_path": self._schema, "application_name": "agenttracer-worker-watch"}
        self._connection = await asyncpg.connect(self._dsn, server_settings=settings)
        await self._connection.fetch(QUERIES["frontiers"], self._topic.id, [])

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
