"""Where reading begins."""

import asyncio
import uuid
from collections.abc import Iterable

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types.tuples import TP

from stream_workers.errors import LogOvertakenError
from stream_workers.metrics import WorkerMetrics
from stream_workers.pipeline.start_offsets import StartOffset, StartOffsets, start_offset
from stream_workers.store.batch import Topic
from stream_workers.store.lease import Leases
from stream_workers.testing import MemoryStore

_TOPIC = Topic("t", uuid.UUID(int=1))
_TP = TP("t", 0)


@pytest.mark.parametrize(
    ("committed", "frontier", "earliest", "expected"),
    [
        (None, 0, 0, StartOffset(0, None)),
        (50, 70, 0, StartOffset(50, None)),
        (70, 50, 0, StartOffset(50, None)),
        (70, 0, 0, StartOffset(0, None)),
        (None, 30, 0, StartOffset(30, None)),
        (70, 50, 60, StartOffset(60, 50)),
        (None, 0, 10, StartOffset(10, 0)),
        (5, 20, 10, StartOffset(10, None)),
    ],
    ids=["new", "group-behind", "ledger-behind", "empty-store", "new-group", "log-cut", "log-cut-before-us", "covered-cut"],
)
def test_the_lower_of_group_and_ledger_wins(committed: int | None, frontier: int, earliest: int, expected: StartOffset) -> None:
    """Reading begins at the lower, never before the log does, and what was lost is named exactly."""
    assert start_offset(committed=committed, frontier=frontier, earliest=earliest) == expected


class _Clock:
    """Monotonic seconds that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class _Log:
    """Has these offsets; raises what it is told to raise."""

    def __init__(self, offsets: Iterable[int] = (), error: Exception | None = None) -> None:
        self._offsets = sorted(offsets)
        self._error = error
        self.asked = 0

    async def first_record(self, partition: int, start: int, end: int) -> int:
        assert partition == _TP.partition
        self.asked += 1
        if self._error is not None:
            raise self._error
        return next((offset for offset in self._offsets if start <= offset < end), end)


def _ledger(*, earliest: int, clock: _Clock, log: _Log) -> tuple[StartOffsets, MemoryStore]:
    async def log_begins(_: TP) -> int:
        return earliest

    store = MemoryStore()
    leases = Leases(store, _TOPIC, WorkerMetrics(), owner="w")
    return StartOffsets(store, _TOPIC, leases, first_record=log.first_record, earliest=log_begins, clock_s=clock), store


def _resumed(ledger: StartOffsets, clock: _Clock, *, frontier: int, found: int, seconds: int) -> set[int]:
    """Where reading went on, the frontier having been due so long, ten times a second."""
    starts = set()
    for _ in range(seconds * 10):
        clock.now += 0.1
        starts.add(asyncio.run(ledger.resume_at(_TP, frontier, found)))
    return starts


def test_a_hole_is_read_anew_before_anybody_is_asked() -> None:
    """Chunks fetched before a rewind come after it, many of them."""
    clock, log = _Clock(), _Log()
    ledger, store = _ledger(earliest=0, clock=clock, log=log)
    assert [asyncio.run(ledger.resume_at(_TP, 10, found)) for found in range(20, 60)] == [10] * 40
    clock.now = 61
    assert asyncio.run(ledger.resume_at(_TP, 15, 30)) == 15, "the frontier moved: it can be read"
    assert (log.asked, asyncio.run(store.frontiers(_TOPIC, [0]))) == (0, {0: 0})


def test_no_time_makes_lost_what_the_log_has() -> None:
    """It is asked now and then, and reading begins at the frontier again and again."""
    clock, log = _Clock(), _Log(range(60))
    ledger, store = _ledger(earliest=0, clock=clock, log=log)
    assert _resumed(ledger, clock, frontier=0, found=7, seconds=120) == {0}
    assert 10 < log.asked < 25
    assert asyncio.run(store.frontiers(_TOPIC, [0])) == {0: 0}


@pytest.mark.parametrize(("offsets", "passed"), [((), 7), ((3, 4, 5, 6), 3)], ids=["none-before", "some-before"])
def test_offsets_without_records_are_named_lost(offsets: tuple[int, ...], passed: int) -> None:
    """Up to the log's next record, and no further, whatever came instead."""
    clock = _Clock()
    ledger, store = _ledger(earliest=0, clock=clock, log=_Log(offsets))
    assert _resumed(ledger, clock, frontier=0, found=7, seconds=6) >= {0, passed}
    assert asyncio.run(store.frontiers(_TOPIC, [0])) == {0: passed}


@pytest.mark.parametrize("error", [KafkaConnectionError(), TimeoutError(), LogOvertakenError()])
def test_a_log_that_does_not_answer_loses_nothing(error: Exception) -> None:
    """It is asked again later."""
    clock, log = _Clock(), _Log(error=error)
    ledger, store = _ledger(earliest=0, clock=clock, log=log)
    assert _resumed(ledger, clock, frontier=0, found=7, seconds=30) == {0}
    assert log.asked > 2
    assert asyncio.run(store.frontiers(_TOPIC, [0])) == {0: 0}


def test_what_the_log_has_deleted_is_named_lost_at_once() -> None:
    """The log begins above the frontier: there is nothing to wait for."""
    ledger, store = _ledger(earliest=30, clock=_Clock(), log=_Log())
    assert asyncio.run(ledger.resume_at(_TP, 0, 40)) == 30
    assert asyncio.run(store.frontiers(_TOPIC, [0])) == {0: 30}
