"""What stuck is, and what it is not."""

import asyncio

from stream_workers.errors import TransientStoreError
from stream_workers.health.stall_detector import StallDetector
from stream_workers.settings import WorkerSettings


class _World:
    """A clock that a look moves by a second, and a store that answers or does not."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.away = False
        self.transactions = 0
        self.detector = StallDetector(self._answer, after_s=60, progress=lambda: self.transactions, clock_s=lambda: self.now)

    async def _answer(self) -> None:
        if self.away:
            raise TransientStoreError("08006")

    def stuck_after(self, seconds: int, *, lag: int = 5, moves: bool = False) -> int | None:
        """After how many of these seconds the worker is stuck, if it is."""
        for second in range(1, seconds + 1):
            self.now += 1
            position = int(self.now) if moves else 7
            if asyncio.run(self.detector.is_stalled({0: position, 1: None}, lag=lag)):
                return second
        return None


def test_lag_without_progress_for_the_time_is_stuck() -> None:
    """And not a second before it."""
    world = _World()
    assert world.stuck_after(5, moves=True) is None
    assert world.stuck_after(100) == 61, "the first look sees the last move"


def test_silence_is_not_stuck() -> None:
    """Nothing waits, for an hour."""
    assert _World().stuck_after(3_600, lag=0) is None


def test_progress_is_not_stuck() -> None:
    """Lag for an hour, and something is stored all the time."""
    assert _World().stuck_after(3_600, moves=True) is None


def test_a_store_that_is_away_is_waited_for() -> None:
    """An hour's outage; then the writer has nearly the whole time to find out that it is over."""
    world = _World()
    world.away = True
    assert world.stuck_after(3_600) is None
    world.away = False
    found = world.stuck_after(100)
    assert found is not None
    assert found > WorkerSettings(postgres_dsn="postgresql://nowhere/none").retry_max_s


def test_a_writer_that_gets_its_answers_is_not_stuck() -> None:
    """No partition moves for an hour, but every half minute a transaction ends: the store is slow, and the batch in pieces."""
    world = _World()
    for _ in range(120):
        assert world.stuck_after(30) is None
        world.transactions += 1
    assert world.stuck_after(100) is not None
