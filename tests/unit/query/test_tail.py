"""Runs as they start and finish: what a feed gives its readers over the fake store, and the route on a real socket."""

import asyncio
import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from query_service.api.live import tail
from query_service.app import create_app
from query_service.errors import ProjectBusyError, StoreBusyError, StoreUnreachableError
from query_service.live import feed as module
from query_service.live.feed import Feed, Feeds
from query_service.live.reader import EndReason, TailReader
from query_service.settings import QuerySettings
from query_service.store.store import EVERYTHING, RunFilter, RunSearch
from query_service.testing import FakeStore
from query_service.testing_rows import NOON, RunSeed, StepSeed
from servicekit.auth.keys import Scope
from servicekit.testing import MemoryKeys, cache_of
from tests.contract.run_readers import EVERY, SECOND, run_id
from tests.support.served import served
from tests.support.stacks import until

pytestmark = pytest.mark.anyio
ENDED: dict[str, Any] = {"end_status": "success", "ended_at": NOON}


def run(number: int, *, at: float, **columns: Any) -> RunSeed:
    """A run of which something was received so many seconds after noon."""
    return RunSeed(run_id=run_id(number), last_received_at=NOON + at * SECOND, **columns)


class Subject:
    """A feed with a clock that is set by hand."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.feed = Feed(self.store, "default", clock=lambda: self.now)
        self.now = NOON
        self.store.stored_to = NOON

    def reader(self, which: RunFilter = EVERY, search: RunSearch = EVERYTHING, *, queue_max: int = 100) -> TailReader:
        reader = TailReader(which, search, queue_max=queue_max)
        self.feed.readers.add(reader)
        return reader

    def put(self, *rows: RunSeed | StepSeed) -> None:
        """As the store has it: a run is one row."""
        new = {row.run_id for row in rows if isinstance(row, RunSeed)}
        self.store.rows = [row for row in self.store.rows if not (isinstance(row, RunSeed) and row.run_id in new)]
        self.store.rows += rows

    async def given(self, reader: TailReader) -> list[tuple[int, bool]]:
        await self.feed.look()
        return [(event.run.run_id.int - run_id(0).int, event.over) for event in reader.take()[1]]


@pytest.fixture
def subject() -> Subject:
    return Subject()


async def test_a_run_comes_when_it_starts_and_when_it_is_over(subject: Subject) -> None:
    """Not for each of its steps, and again when something of it comes after its end."""
    reader = subject.reader()
    assert await subject.given(reader) == []
    subject.put(run(1, at=1))
    assert await subject.given(reader) == [(1, False)]
    subject.put(run(1, at=2))
    assert await subject.given(reader) == []
    subject.put(run(1, at=3, **ENDED), run(2, at=2, **ENDED))
    assert await subject.given(reader) == [(2, True), (1, True)]
    assert await subject.given(reader) == []
    subject.put(run(1, at=4, **ENDED))
    assert await subject.given(reader) == [(1, True)]


async def test_rows_may_become_visible_late_and_in_any_order(subject: Subject) -> None:
    """All that the store does not yet call complete is looked at again; behind that nothing comes."""
    reader = subject.reader()
    subject.put(run(1, at=9))
    assert await subject.given(reader) == [(1, False)]
    subject.put(run(2, at=4, **ENDED))
    assert await subject.given(reader) == [(2, True)]
    subject.store.stored_to = NOON + 5 * SECOND
    assert await subject.given(reader) == []
    subject.put(run(3, at=4), run(4, at=6))
    assert await subject.given(reader) == [(4, False)]


async def test_readers_get_what_passes_their_filters(subject: Subject) -> None:
    """Those of steps and metadata too, by one look for all of them."""
    every, small = subject.reader(), subject.reader(RunFilter(), RunSearch(model="small"))
    failed = subject.reader(RunFilter(status="failure"))
    theirs = RunSeed(project="other", run_id=run_id(9), last_received_at=NOON + SECOND)
    subject.put(run(1, at=1), run(2, at=1, end_status="failure"), theirs, StepSeed(run_id=run_id(1), metadata={"model": "small"}))
    await subject.feed.look()
    given = [{event.run.run_id.int - run_id(0).int for event in reader.take()[1]} for reader in (every, small, failed)]
    assert given == [{1, 2}, {1}, {2}]


async def test_a_slow_reader_loses_the_oldest_and_is_told(subject: Subject) -> None:
    """Each run was given or counted, and the others' queues are their own."""
    slow, quick = subject.reader(queue_max=3), subject.reader()
    for number in range(10):
        subject.put(run(number, at=number + 1))
        await subject.feed.look()
        assert len(quick.take()[1]) == 1
    dropped, events = slow.take()
    assert (dropped, [event.run.run_id for event in events]) == (7, [run_id(7), run_id(8), run_id(9)])
    assert (slow.take(), slow.dropped_total) == ((0, []), 7)


async def test_what_is_remembered_is_bounded(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more is new than fits, the rest comes with later looks, and nothing is passed over."""
    monkeypatch.setattr(module, "_KNOWN_MAX", 6)
    monkeypatch.setattr(module, "_FRESH_MAX", 4)
    monkeypatch.setattr(module, "_PAGE", 3)
    reader = subject.reader()
    subject.put(*(run(number, at=number + 1, **(ENDED if number % 2 else {})) for number in range(20)))
    given: list[tuple[int, bool]] = []
    for _ in range(12):
        given += await subject.given(reader)
        assert len(subject.feed._known) <= 6
        subject.store.stored_to = NOON + 40 * SECOND
    assert sorted(given) == [(number, number % 2 == 1) for number in range(20)]


async def test_nothing_is_lost_while_the_store_is_away(subject: Subject) -> None:
    """The next look goes back as far."""
    reader = subject.reader()
    await subject.feed.look()
    subject.store.outage = StoreUnreachableError()
    subject.put(run(1, at=1))
    subject.now += timedelta(minutes=30)
    with pytest.raises(StoreUnreachableError):
        await subject.feed.look()
    subject.store.outage = None
    assert await subject.given(reader) == [(1, False)]


async def test_the_first_look_goes_back_a_little(subject: Subject) -> None:
    """A minute at most where the store is behind, ten seconds where nothing is known of that."""
    subject.put(run(1, at=-5), run(2, at=-30), run(3, at=-90))
    for stored_to, given in ((NOON - timedelta(hours=1), {1, 2}), (None, {1}), (NOON - 10 * SECOND, {1})):
        subject.feed.settled = None
        subject.feed._known.clear()
        subject.store.stored_to = stored_to
        reader = subject.reader()
        assert {number for number, _ in await subject.given(reader)} == given


def feeds(store: FakeStore, **options: Any) -> Feeds:
    return Feeds(store, clock=lambda: NOON, **{"readers_max": 4, "every_s": 0.0, **options})


async def test_a_reader_that_comes_back_misses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """From any event's id on; what is beyond the limit is counted."""
    store = FakeStore(*(run(number, at=number - 100) for number in range(30)))
    store.stored_to = NOON
    counted: list[int] = []
    all_feeds = feeds(store, dropped=counted.append)
    reader = all_feeds.join("default", EVERY, EVERYTHING)
    try:
        again = [event async for event in all_feeds.read_again("default", reader, after=NOON - 91 * SECOND)]
        assert [event.run.run_id for event in again] == [run_id(number) for number in range(10, 30)]
        resumed = module.EPOCH + again[5].resume_us * module.MICROSECOND
        rest = [event async for event in all_feeds.read_again("default", reader, after=resumed)]
        assert [event.run.run_id for event in rest] == [event.run.run_id for event in again[5:]]
        monkeypatch.setattr(module, "BACKLOG_MAX", 12)
        monkeypatch.setattr(module, "_PAGE", 5)
        few = [event async for event in all_feeds.read_again("default", reader, after=NOON - timedelta(hours=1))]
        assert (len(few), reader.take()[0], counted) == (12, 18, [18])
    finally:
        all_feeds.leave("default", reader)


def looking() -> int:
    """Tasks that follow a project."""
    return sum(getattr(task.get_coro(), "__qualname__", "") == "Feeds._follow" for task in asyncio.all_tasks())


async def test_projects_have_shares_and_one_look_each() -> None:
    """Half of all for one project; the last reader that leaves ends the looking."""
    all_feeds = feeds(FakeStore())
    mine = [all_feeds.join("mine", EVERY, EVERYTHING) for _ in range(2)]
    with pytest.raises(ProjectBusyError):
        all_feeds.join("mine", EVERY, EVERYTHING)
    theirs = [all_feeds.join("theirs", EVERY, EVERYTHING) for _ in range(2)]
    with pytest.raises(StoreBusyError):
        all_feeds.join("third", EVERY, EVERYTHING)
    assert looking() == 2
    for project, readers in (("mine", mine), ("theirs", theirs)):
        for reader in readers:
            all_feeds.leave(project, reader)
    assert all_feeds.readers == 0
    for _ in range(100):
        await asyncio.sleep(0)
    assert looking() == 0


async def test_a_mistake_of_ours_ends_its_tails(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come back by themselves, to a feed that looks again."""
    all_feeds = feeds(FakeStore())
    monkeypatch.setattr(Feed, "look", None)
    reader = all_feeds.join("default", EVERY, EVERYTHING)
    await reader.wait(10)
    assert (reader.ended, all_feeds.readers) == (EndReason.SERVICE_ENDING, 0)


class Stream:
    """One reader of the route."""

    def __init__(self, url: str, key: str, headers: dict[str, str], **params: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        self._connection.request("GET", f"/v1/tail?{urlencode(params)}", headers={"authorization": f"Bearer {key}", **headers})
        self.answer = self._connection.getresponse()

    def event(self) -> tuple[str, dict[str, Any], str | None]:
        """The next event: its kind, data and id. Comments are passed over."""
        said: dict[str, str] = {}
        while "data" not in said:
            line = self.answer.readline().decode()
            assert line, "the stream has ended"
            name, sign, value = line.rstrip("\n").partition(": ")
            if sign and name:
                said[name] = value
        return said["event"], json.loads(said["data"]), said.get("id")

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


class Service:
    """The route over a fake store whose runs are received now."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.store.stored_to = datetime.now(UTC)
        self.keys = MemoryKeys()
        self.key, self.ring = self.keys.create(Scope.READ), cache_of(self.keys)
        asyncio.run(self.ring.refresh())
        self.app = create_app(QuerySettings(tails_max=8), self.store, keys=self.ring)
        self.url = ""

    def put(self, number: int, **columns: Any) -> None:
        self.store.rows.append(RunSeed(run_id=run_id(number), last_received_at=datetime.now(UTC), **columns))

    @contextmanager
    def tail(self, *, last_seen: str | None = None, **params: str) -> Iterator[Stream]:
        stream = Stream(self.url, self.key, {} if last_seen is None else {"last-event-id": last_seen}, **params)
        try:
            yield stream
        finally:
            stream.close()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(tail.tail_router, "__kwdefaults__", {**(tail.tail_router.__kwdefaults__ or {}), "beat_s": 0.05})
    found = Service()
    with served(found.app) as found.url:
        yield found
        found.app.state.feeds.end()


def test_events_come_while_they_happen_and_resume(service: Service) -> None:
    """Each with an id that goes on behind it, by the header or the parameter."""
    with service.tail(status="running") as stream:
        assert stream.answer.getheader("content-type", "").startswith("text/event-stream")
        kind, _, _ = stream.event()
        assert kind == "ready"
        service.put(1)
        kind, said, event_id = stream.event()
        assert (kind, said["run_id"], said["change"], said["completeness"]["state"]) == (
            "run",
            str(run_id(1)),
            "started",
            "unknown",
        )
        assert event_id is not None
    service.put(2)
    for resuming in ({"last_seen": event_id}, {"last_event_id": event_id}):
        with service.tail(**resuming) as stream:
            stream.event()
            found = {stream.event()[1]["run_id"]}
            while str(run_id(2)) not in found:
                found.add(stream.event()[1]["run_id"])


def test_a_tail_ends_with_its_key_and_with_the_service(service: Service) -> None:
    """And says which."""
    with service.tail() as stream:
        stream.event()
        service.app.state.feeds.end()
        assert stream.event()[:2] == ("end", {"reason": "service_ending"})
        assert stream.answer.read().strip() == b""
    with service.tail() as stream:
        assert [stream.event()[0] for _ in range(2)] == ["ready", "end"], "later ones too"


def test_a_revoked_key_ends_its_tails(service: Service) -> None:
    """Within a beat of being known."""
    with service.tail() as stream:
        stream.event()
        service.keys.revoke(service.key)
        asyncio.run(service.ring.refresh())
        assert stream.event()[:2] == ("end", {"reason": "key_ended"})


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"since": "2026-01-31T12:00:00Z"}, 422, "unknown_parameter"),
        ({"metadata_range": "n:1..2"}, 422, "unknown_parameter"),
        ({"last_event_id": "x"}, 422, "invalid_parameter"),
        ({"last_event_id": "9" * 17}, 422, "invalid_parameter"),
    ],
)
def test_refused(service: Service, params: dict[str, str], status: int, code: str) -> None:
    """Windows have no meaning here, and an id is one that was given."""
    with service.tail(**params) as stream:
        assert (stream.answer.status, json.load(stream.answer)["error"]["code"]) == (status, code)
    with service.tail(last_seen="x") as stream:
        assert stream.answer.status == 422


def test_a_tail_too_many_is_refused(service: Service) -> None:
    """One project has half of them; a closed one leaves its place."""
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(service.tail()).event()
        with service.tail() as other:
            assert (other.answer.status, json.load(other.answer)["error"]["code"]) == (503, "project_busy")

    def taken() -> bool:
        with service.tail() as stream:
            return stream.answer.status == 200

    until(taken, timeout_s=30, what="a place is free again")
