"""Asks the store whether it answers, on a connection of its own, so that the question does not wait for a write."""

from typing import Final

import asyncpg

from ddl.migrate import SCHEMA
from servicekit.postgres import connect
from stream_workers.store.batch import Topic
from stream_workers.store.statements import QUERIES
from stream_workers.store.store_errors import worker_error
from stream_workers.store.time_limit import within

_LIMIT_S: Final = 5.0  # to connect and ask; half of the time between two questions of the stall detector
_APPLICATION: Final = "agenttracer-worker-probe"


class StoreProbe:
    """May ask any number of times; each time it connects again, as the writer would. Not for use by two tasks at once."""

    _connection: asyncpg.Connection | None

    def __init__(self, dsn: str, topic: Topic, *, schema: str = SCHEMA, limit_s: float = _LIMIT_S) -> None:
        self._dsn = dsn
        self._topic = topic
        self._schema = schema
        self._limit_s = limit_s
        self._connection = None

    async def ask(self) -> None:
        """Return if the store answers within the limit. Raises TransientStoreError or StoreAccessError if it does not."""
        try:
            await within(self._limit_s, self._ask(), break_off=self._terminate)
        except BaseException as error:
            ours = worker_error(error)
            if ours is None:
                raise
            raise ours from None
        finally:
            self._terminate()

    async def _ask(self) -> None:
        self._connection = await connect(self._dsn, application_name=_APPLICATION, search_path=self._schema)
        await self._connection.fetch(*QUERIES["frontiers"].bind(topic_id=self._topic.id, partitions=[]))

    def _terminate(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
