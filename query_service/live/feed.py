"""Looks once a second which runs of a project started or finished, for all its readers together.

Rows become visible later than they were received, and in no order. So everything that was received after `settled` is looked at
each time, and told from what was seen already; `settled` follows the time up to which the store is complete. A run that is
looked at while it runs comes once, and again whenever it is over and something of it was received.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from query_service.errors import ProjectBusyError, StoreBusyError
from query_service.live.reader import EndReason, RunEvent, TailReader
from query_service.store.rows import RunChange
from query_service.store.store import ChangePosition, RunFilter, RunSearch, StoreReader
from servicekit.http.errors import UnavailableError
from servicekit.logs import Log, error_class

BACKLOG_MAX: Final = 10_000
"""Runs that are read again for a reader that comes back; further ones are counted."""
_KNOWN_MAX: Final = 100_000
"""Runs of one project that are remembered: some twenty megabytes."""
_FRESH_MAX: Final = 5_000
"""Runs of one look."""
_PAGE: Final = 5_000
_RUNS_AT_ONCE: Final = 500
_COUNTED_MAX: Final = 100_000
_UNKNOWN: Final = timedelta(seconds=10)
"""How far a look goes back while workers have not said up to when the store is complete."""
_BACK_MAX: Final = timedelta(minutes=1)
"""How far the first look goes back where the store is behind."""
_LAST: Final = UUID(int=2**128 - 1)
_LOG: Final = Log("query")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
Filters = tuple[RunFilter, RunSearch]


class Feed:
    """The runs of one project. Nothing is read while nobody reads."""

    def __init__(self, store: StoreReader, project: str, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._project = project
        self._clock = clock
        self._known: dict[UUID, RunChange] = {}
        self.readers: set[TailReader] = set()
        self.settled: datetime | None = None

    async def look(self) -> int:
        """Give every reader what is new; how many runs were dropped for it. Raises UnavailableError."""
        complete_to = await self._store.complete_to()  # before rows are read: what it promises is then among them
        if self.settled is None:
            now = self._clock()
            self.settled = now - _UNKNOWN if complete_to is None else max(complete_to, now - _BACK_MAX)
        fresh, read_to = await self._fresh(self.settled)
        dropped = 0
        for filters, readers in _by_filters(self.readers).items():
            async for event in events(self._store, self._project, fresh, filters, settled=self.settled):
                dropped += sum(not reader.offer(event) for reader in readers)
        self._known |= {change.run_id: change for change in fresh}
        self._settle(complete_to, read_to)
        return dropped

    async def _fresh(self, settled: datetime) -> tuple[Sequence[RunChange], datetime | None]:
        """Runs that started or finished since they were looked at, and up to when was read; None: to the end."""
        room = min(_FRESH_MAX, _KNOWN_MAX - len(self._known))
        fresh: list[RunChange] = []
        async for page in changes(self._store, self._project, after=settled):
            for change in page:
                if len(fresh) >= room:
                    return fresh, change.received_at - MICROSECOND
                known = self._known.get(change.run_id)
                if known is None or (change.over and change != known):
                    fresh.append(change)
        return fresh, None

    def _settle(self, complete_to: datetime | None, read_to: datetime | None) -> None:
        """Forget what will not be read again. Runs that are running are remembered for as long as there is room."""
        assert self.settled is not None
        limit = self._clock() - _BACK_MAX if complete_to is None else complete_to
        self.settled = max(self.settled, limit if read_to is None else min(limit, read_to))
        old = [change for change in self._known.values() if change.received_at <= self.settled]
        spare = max(0, len(self._known) - _KNOWN_MAX // 2)
        for place, change in enumerate(sorted(old, key=lambda one: not one.over)):
            if change.over or place < spare:
                del self._known[change.run_id]


def _by_filters(readers: set[TailReader]) -> Mapping[Filters, Sequence[TailReader]]:
    found: dict[Filters, list[TailReader]] = {}
    for reader in readers:
        found.setdefault(reader.filters, []).append(reader)
    return found


async def changes(store: StoreReader, project: str, *, after: datetime) -> AsyncIterator[Sequence[RunChange]]:
    """Pages of runs of which something was received after that time, in this order."""
    position = ChangePosition(received_at=after, run_id=_LAST)
    while page := await store.list_changes(project, after=position, limit=_PAGE):
        yield page
        if len(page) < _PAGE:
            return
        position = ChangePosition(received_at=page[-1].received_at, run_id=page[-1].run_id)


async def events(
    store: StoreReader, project: str, changed: Sequence[RunChange], filters: Filters, *, settled: datetime
) -> AsyncIterator[RunEvent]:
    """Those of the changed runs that pass the filters, in order."""
    for begin in range(0, len(changed), _RUNS_AT_ONCE):
        part = changed[begin : begin + _RUNS_AT_ONCE]
        found = {run.run_id: run for run in await store.pick_runs(project, [one.run_id for one in part], *filters)}
        for change in part:
            run = found.get(change.run_id)
            if run is not None:
                before = min(settled, change.received_at - MICROSECOND)
                yield RunEvent(run, over=change.over, resume_us=time_us(before))


def time_us(at: datetime) -> int:
    """Whole microseconds since 1970."""
    return (at - EPOCH) // MICROSECOND


class Feeds:
    """All feeds of one process, each with a task of its own while somebody reads it."""

    def __init__(
        self,
        store: StoreReader,
        *,
        clock: Callable[[], datetime],
        readers_max: int,
        queue_max: int = 1_000,
        every_s: float = 1.0,
        dropped: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._readers_max = readers_max
        self._queue_max = queue_max
        self._every_s = every_s
        self._dropped = dropped
        self._feeds: dict[str, tuple[Feed, asyncio.Task[None]]] = {}
        self._ending = False

    @property
    def readers(self) -> int:
        """Of all projects."""
        return sum(len(feed.readers) for feed, _ in self._feeds.values())

    def join(self, project: str, which: RunFilter, search: RunSearch) -> TailReader:
        """A new reader, until `leave`. Raises StoreBusyError, and ProjectBusyError beyond half of all for one project."""
        reader = TailReader(which, search, queue_max=self._queue_max)
        if self._ending:
            reader.end(EndReason.SERVICE_ENDING)
            return reader
        if self.readers >= self._readers_max:
            raise StoreBusyError
        if project not in self._feeds:
            feed = Feed(self._store, project, clock=self._clock)
            self._feeds[project] = feed, asyncio.create_task(self._follow(project, feed))
        feed, _ = self._feeds[project]
        if len(feed.readers) >= max(1, self._readers_max // 2):
            raise ProjectBusyError
        feed.readers.add(reader)
        return reader

    def leave(self, project: str, reader: TailReader) -> None:
        """It reads no more. Without readers the feed ends."""
        feed, task = self._feeds.get(project, (None, None))
        if feed is None or task is None:
            return
        feed.readers.discard(reader)
        if not feed.readers:
            task.cancel()
            del self._feeds[project]

    def end(self) -> None:
        """End every tail, now and later ones: the service is ending."""
        self._ending = True
        for reader in self._all():
            reader.end(EndReason.SERVICE_ENDING)

    async def read_again(self, project: str, reader: TailReader, *, after: datetime) -> AsyncIterator[RunEvent]:
        """What a reader that comes back has missed since then; what is beyond the limit is counted as dropped."""
        read = counted = 0
        async for page in changes(self._store, project, after=after):
            wanted = page[: max(0, BACKLOG_MAX - read)]
            read += len(wanted)
            async for event in events(self._store, project, wanted, reader.filters, settled=self._clock()):
                yield event
            counted += len(page) - len(wanted)
            if counted >= _COUNTED_MAX:
                break
        if counted:
            reader.drop(counted)
            self._dropped(counted)

    def _all(self) -> Iterator[TailReader]:
        for feed, _ in self._feeds.values():
            yield from feed.readers

    async def _follow(self, project: str, feed: Feed) -> None:
        """Until it is cancelled. While the store cannot be read nothing is lost: the next look goes back as far."""
        while True:
            try:
                dropped = await feed.look()
            except UnavailableError:
                dropped = 0  # the pool has logged it
            except Exception as error:  # noqa: BLE001 - it must not leave readers without an end
                _LOG.error("tail_failed", error_class=error_class(error))
                del self._feeds[project]
                for reader in feed.readers:
                    reader.end(EndReason.SERVICE_ENDING)
                return
            if dropped:
                self._dropped(dropped)
            await asyncio.sleep(self._every_s)
