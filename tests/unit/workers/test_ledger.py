"""Where reading begins."""

import asyncio
import uuid

import pytest
from faust.types.tuples import TP

from stream_workers.batch import Topic
from stream_workers.lease import Leases
from stream_workers.ledger import Beginning, Ledger, begin
from stream_workers.metrics import Metrics
from stream_workers.testing import MemoryStore

_TOPIC = Topic("t", uuid.UUID(int=1))
_TP = TP("t", 0)


@pytest.mark.parametrize(
    ("committed", "frontier", "earliest", "expected"),
    [
        (None, 0, 0, Beginning(0, None)),
        (50, 70, 0, Beginning(50, None)),
        (70, 50, 0, Beginning(50, None)),
        (70, 0, 0, Beginning(0, None)),
        (None, 30, 0, Beginning(30, None)),
        (70, 50, 60, Beginning(60, 50)),
        (None, 0, 10, Beginning(10, 0)),
        (5, 20, 10, Beginning(10, None)),
    ],
    ids=["new", "group-behind", "ledger-behind", "empty-store", "new-group", "log-cut", "log-cut-before-us", "covered-cut"],
)
def test_the_lower_of_group_and_ledger_wins(committed: int | None, frontier: int, earliest: int, expected: Beginning) -> None:
    """Reading begins at the lower, never before the log does, and what was lost is named exactly."""
    assert begin(committed=committed, frontier=frontier, earliest=earliest) == expected


class _Clock:
    """Monotonic seconds that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _ledger(*, earliest: int, clock: _Clock) -> tuple[Ledger, MemoryStore]:
    async def log_begins(tp: TP) -> dict[TP, int]:
        return {tp: earliest}

    store = MemoryStore()
    leases = Leases(store, _TOPIC, Metrics(), owner="w")
    return Ledger(store, _TOPIC, leases, earliest=log_begins, clock_s=clock), store


def test_a_hole_is_read_anew_and_never_given_up_early() -> None:
    """Chunks fetched before a rewind come after it, many of them: none of that makes an offset lost."""
    clock = _Clock()
    ledger, store = _ledger(earliest=0, clock=clock)
    assert [asyncio.run(ledger.resume_at(_TP, 10, found)) for found in range(20, 60)] == [10] * 40
    clock.now = 61
    assert asyncio.run(ledger.resume_at(_TP, 15, 30)) == 15, "the frontier moved: it can be read"
    assert asyncio.run(store.frontiers(_TOPIC, [0])) == {0: 0}


def test_offsets_that_nobody_can_read_for_a_minute_are_named_lost() -> None:
    """The log goes on behind them, again and again: they hold no records."""
    clock = _Clock()
    ledger, store = _ledger(earliest=0, clock=clock)
    for _ in range(6):
        asyncio.run(ledger.resume_at(_TP, 0, 7))
    clock.now = 61
    assert asyncio.run(ledger.resume_at(_TP, 0, 7)) == 7
    assert asyncio.run(store.frontiers(_TOPIC, [0])) == {0: 7}


def test_what_the_log_has_deleted_is_named_lost_at_once() -> None:
    """The log begins above the frontier: there is nothing to wait for."""
    ledger, store = _ledger(earliest=30, clock=_Clock())
    assert asyncio.run(ledger.resume_at(_TP, 0, 40)) == 30
    assert asyncio.run(store.frontiers(_TOPIC, [0])) == {0: 30}
