"""Drop totals per run and reason, and the reports of them."""

import itertools
import threading
from collections.abc import Callable

import pytest

from agenttracer import _losses
from agenttracer._losses import Losses
from agenttracer.wire.vocabulary import DropReason


def test_reports_are_running_totals_and_told_once() -> None:
    """A report says how many so far; it is not repeated unless more were lost or it did not arrive."""
    losses = Losses(threading.RLock())
    losses.add("a", DropReason.QUEUE_FULL)
    losses.add("a", DropReason.QUEUE_FULL)
    losses.add("a", DropReason.REFUSED)
    reports = losses.reports(limit=9)
    assert [(report.reason, report.total) for report in reports] == [("queue_full", 2), ("refused", 1)]
    assert losses.reports(limit=9) == []
    assert not losses.all_told
    losses.add("a", DropReason.QUEUE_FULL)
    assert [report.total for report in losses.reports(limit=9)] == [3]
    losses.tell_again(reports)
    assert [(report.reason, report.total) for report in losses.reports(limit=9)] == [("queue_full", 3), ("refused", 1)]


class Interrupted(str):
    """A run's id at whose comparison a signal's handler comes in and loses an event of the same run."""

    __slots__ = ("handler",)
    handler: Callable[[], None]

    def __hash__(self) -> int:
        self.handler()
        return super().__hash__()


def test_a_handler_that_loses_of_the_same_run() -> None:
    """Its loss is added, whenever it comes, and what was told before is not forgotten over it."""
    losses = Losses(threading.RLock())
    for _ in range(5):
        losses.add("run", DropReason.QUEUE_FULL)
    losses.reports(limit=9)
    for at in range(8):
        calls = itertools.count()
        run_id = Interrupted("run")
        run_id.handler = lambda calls=calls, at=at: losses.add("run", DropReason.QUEUE_FULL) if next(calls) == at else None
        losses.add(run_id, DropReason.QUEUE_FULL)
    lost = losses.by_reason[DropReason.QUEUE_FULL]
    assert lost > 13
    assert [report.total for report in losses.reports(limit=9)] == [lost]


def test_runs_beyond_the_bound_are_counted_as_unreported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: told ones are forgotten first, untold ones are counted."""
    monkeypatch.setattr(_losses, "_REMEMBERED", 2)
    losses = Losses(threading.RLock())
    losses.add("a", DropReason.EXIT)
    losses.reports(limit=1)
    losses.add("b", DropReason.EXIT)
    losses.add("c", DropReason.EXIT)
    assert losses.unreported == 0
    losses.add("d", DropReason.EXIT)
    assert losses.unreported == 1
    assert {report.run_id for report in losses.reports(limit=9)} == {"c", "d"}
    assert losses.by_reason[DropReason.EXIT] == 4
