"""What a worker shows of itself, whatever its store does."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types.tuples import TP

from stream_workers.health import monitor
from stream_workers.health.monitor import Monitor
from stream_workers.health.stall_detector import StallDetector
from stream_workers.metrics import WorkerMetrics


class _Consumer:
    """Partitions of one topic, each with its highwater and what is stored of it; None: nothing was fetched yet."""

    def __init__(self, **partitions: tuple[int | None, int | None]) -> None:
        self.partitions = {TP("t", int(name[1:])): list(found) for name, found in partitions.items()}

    def assigned(self) -> list[TP]:
        return sorted(self.partitions)

    def highwater(self, tp: TP) -> int | None:
        return self.partitions[tp][0]

    def stored_offset(self, tp: TP) -> int | None:
        return self.partitions[tp][1]

    def oldest_s(self, tp: TP) -> float | None:
        return None

    def reached_s(self, tp: TP) -> float | None:
        return 1_000.0 if self.partitions[tp][1] else None


def _shown(metrics: WorkerMetrics, name: str) -> dict[str, float]:
    return {
        sample.labels.get("partition", ""): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == f"agenttracer_worker_{name}"
    }


def _monitor(consumer: _Consumer, metrics: WorkerMetrics, answers: Callable[[], Awaitable[object]]) -> Monitor:
    leases: Any = SimpleNamespace(fenced_for_s=lambda: 0.0)
    retention: Any = SimpleNamespace(look=lambda _: None)
    stalls = StallDetector(answers, after_s=0.06)
    return Monitor(cast("Any", consumer), metrics, stalls=stalls, leases=leases, retention=retention, fenced_max_s=60)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - metrics ring no bell
            await asyncio.sleep(0.01)


def test_lag_is_shown_while_the_store_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The question gets no answer, ever; records that come meanwhile are shown as lag all the same."""
    monkeypatch.setattr(monitor, "_EVERY_S", 0.01)
    asked = asyncio.Event()

    async def silent() -> None:
        asked.set()
        await asyncio.Event().wait()

    async def story() -> None:
        consumer, metrics = _Consumer(p0=(5, 2)), WorkerMetrics()
        running = asyncio.create_task(_monitor(consumer, metrics, silent).run())
        await _until(asked.is_set)
        assert _shown(metrics, "lag_records") == {"0": 3}
        consumer.partitions[TP("t", 0)][0] = 9
        await _until(lambda: _shown(metrics, "lag_records") == {"0": 7})
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(story())


def test_partitions_that_nobody_has_read_of_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither their lag nor their age is known; one of which something is stored, or in which nothing waits, is none of them."""
    monkeypatch.setattr(monitor, "_EVERY_S", 0.01)

    async def answers() -> None:
        pass

    async def story() -> None:
        consumer, metrics = _Consumer(p0=(5, 2), p1=(0, 0), p2=(None, 0), p3=(5, None), p4=(5, 0)), WorkerMetrics()
        running = asyncio.create_task(_monitor(consumer, metrics, answers).run())
        await _until(lambda: _shown(metrics, "unread_partitions") == {"": 3})
        assert _shown(metrics, "lag_records") == {"0": 3, "1": 0, "4": 5}
        consumer.partitions = {TP("t", number): [5, 5] for number in range(5)}
        await _until(lambda: _shown(metrics, "unread_partitions") == {"": 0})
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(story())
