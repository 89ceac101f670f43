"""Says in the store up to which time of receipt each partition is stored, also while nothing comes.

Once a second the log is asked where this worker's partitions end. What is appended behind such an end comes later than the
question, and was received later than that less a margin. Once the ledger covers all before the end, the store says so; the
statement looks into the ledger itself, so whoever says it, late or twice, says the truth. The oldest record that was handed over
and is not stored tells the same of a backlog. A worker that stands still says nothing, and so the time stands still.

Nothing waits for this, and nothing ends because of it: what fails is logged and tried again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
from faust.types.tuples import TP

from ddl.migrate import SCHEMA
from servicekit import postgres, sql
from servicekit.logs import Log, error_class
from stream_workers.kafka.app_consumer import AppConsumer
from stream_workers.kafka.topic_log import TopicLog
from stream_workers.store.batch import Topic

_QUERIES: Final = sql.load(Path(__file__).with_name("queries.sql"))
_APPLICATION: Final = "agenttracer-worker-receipts"
_EVERY_S: Final = 1.0
_PAUSE_S: Final = 5.0  # after a failure: it makes its connections anew
_TIMEOUT_S: Final = 5.0
_MARKS_MAX: Final = 120
"""Of one partition: two minutes of them; of a longer backlog every second one is forgotten."""
OpenLog = Callable[[], AbstractAsyncContextManager[TopicLog]]
_log = Log("worker.receipts")


class Mark(NamedTuple):
    """Records from this offset on were appended at `at_s` (unix time) or later."""

    offset: int
    at_s: float


class Marks:
    """The marks of one partition that are not covered yet. Pure."""

    def __init__(self) -> None:
        self._open: list[Mark] = []

    def add(self, mark: Mark) -> None:
        """A mark that is younger than those before."""
        if self._open and self._open[-1].offset > mark.offset:
            self._open.clear()  # the log was cut at its end: what was said of offsets there is no longer so
        if self._open and self._open[-1].offset == mark.offset:
            self._open.pop()
        self._open.append(mark)
        if len(self._open) > _MARKS_MAX:
            del self._open[1:-1:2]

    def reached(self, stored: int) -> Mark | None:
        """The youngest mark before which all is stored. It is given once, and those before it never."""
        count = sum(mark.offset <= stored for mark in self._open)
        reached = self._open[count - 1] if count else None
        del self._open[:count]
        return reached


class Receipts:
    """Says it for one worker's partitions until cancelled. `margin_s`: see `WorkerSettings.complete_margin_s`."""

    def __init__(
        self,
        dsn: str,
        topic: Topic,
        consumer: AppConsumer,
        open_log: OpenLog,
        *,
        margin_s: float,
        schema: str = SCHEMA,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._dsn = dsn
        self._topic = topic
        self._consumer = consumer
        self._open_log = open_log
        self._margin_s = margin_s
        self._schema = schema
        self._clock_s = clock_s
        self._marks: dict[int, Marks] = {}

    async def run(self) -> None:
        """Never returns."""
        while True:
            try:
                async with self._open_log() as log:
                    await self._watch(log)
            except Exception as error:  # noqa: BLE001 - see above: it must not end the worker
                _log.warning("receipts_unknown", error_class=error_class(error), sqlstate=postgres.sqlstate_of(error))
            await asyncio.sleep(_PAUSE_S)

    async def _watch(self, log: TopicLog) -> None:
        """Raises whatever goes wrong."""
        connection = await postgres.connect(
            self._dsn,
            application_name=_APPLICATION,
            search_path=self._schema,
            timeout_s=_TIMEOUT_S,
            command_timeout_s=_TIMEOUT_S,
        )
        try:
            known: list[int] = []
            while True:
                if known != (found := log.partitions()):
                    await self._know(connection, found)
                    known = found
                await self._say(connection, await self._look(log))
                await asyncio.sleep(_EVERY_S)
        finally:
            connection.terminate()

    async def _know(self, connection: asyncpg.Connection, partitions: Sequence[int]) -> None:
        bound = {"topic_id": self._topic.id, "topic": self._topic.name, "partitions": list(partitions)}
        await connection.execute(*_QUERIES["know_partitions"].bind(**bound))

    async def _look(self, log: TopicLog) -> Mapping[int, Mark]:
        """The youngest mark of each partition before which all is stored, as far as this worker knows."""
        assigned = self._consumer.assigned()
        if not assigned:
            return {}
        asked_s = self._clock_s()
        ends = await log.ends([tp.partition for tp in assigned])
        self._marks = {tp.partition: self._marks.get(tp.partition) or Marks() for tp in assigned}
        found = {tp.partition: self._reached(tp, Mark(ends[tp.partition], asked_s)) for tp in assigned}
        return {partition: mark for partition, mark in found.items() if mark is not None}

    def _reached(self, tp: TP, end: Mark) -> Mark | None:
        marks = self._marks[tp.partition]
        marks.add(end)
        stored, oldest = self._consumer.stored_offset(tp), self._consumer.oldest(tp)
        if stored is None:
            return None
        reached = [] if (mark := marks.reached(stored)) is None else [mark]
        if oldest is not None and oldest.first_offset <= stored:
            reached.append(Mark(oldest.first_offset, oldest.at_s))
        return max(reached, key=lambda mark: mark.at_s, default=None)

    async def _say(self, connection: asyncpg.Connection, marks: Mapping[int, Mark]) -> None:
        if not marks:
            return
        said = {
            "partitions": list(marks),
            "first_open": [mark.offset for mark in marks.values()],
            "times": [datetime.fromtimestamp(mark.at_s, UTC) for mark in marks.values()],
        }
        bound = {"topic_id": self._topic.id, "topic": self._topic.name, "margin_s": self._margin_s}
        await connection.execute(*_QUERIES["mark_stored"].bind(**bound, **said))
