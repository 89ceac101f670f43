"""Drop totals per run and reason, and the reports of them."""

import itertools
import threading
from collections.abc import Callable

import pytest

from agenttracer._export import drop_reports
from agenttracer._export.drop_reports import DropReports
from agenttracer.wire.vocabulary import DropReason


def test_reports_are_running_totals_and_reported_once() -> None:
    """A report holds the total so far; it is not repeated unless more events were dropped or it did not arrive."""
    dropped = DropReports(threading.RLock())
    dropped.add("a", DropReason.QUEUE_FULL)
    dropped.add("a", DropReason.QUEUE_FULL)
    dropped.add("a", DropReason.REFUSED)
    reports = dropped.take(limit=9)
    assert [(report.reason, report.total) for report in reports] == [("queue_full", 2), ("refused", 1)]
    assert dropped.take(limit=9) == []
    assert not dropped.all_reported
    dropped.add("a", DropReason.QUEUE_FULL)
    assert [report.total for report in dropped.take(limit=9)] == [3]
    dropped.report_again(reports)
    assert [(report.reason, report.total) for report in dropped.take(limit=9)] == [("queue_full", 3), ("refused", 1)]


class Interrupted(str):
    """A run's id at whose comparison a signal's handler comes in and loses an event of the same run."""

    __slots__ = ("handler",)
    handler: Callable[[], None]

    def __hash__(self) -> int:
        self.handler()
        return super().__hash__()


def test_a_signal_handler_drops_events_of_the_same_run() -> None:
    """Its drop is added, whenever it comes, and earlier reports are not forgotten."""
    dropped = DropReports(threading.RLock())
    for _ in range(5):
        dropped.add("run", DropReason.QUEUE_FULL)
    dropped.take(limit=9)
    for at in range(8):
        calls = itertools.count()
        run_id = Interrupted("run")
        run_id.handler = lambda calls=calls, at=at: dropped.add("run", DropReason.QUEUE_FULL) if next(calls) == at else None
        dropped.add(run_id, DropReason.QUEUE_FULL)
    lost = dropped.by_reason[DropReason.QUEUE_FULL]
    assert lost > 13
    assert [report.total for report in dropped.take(limit=9)] == [lost]


def test_runs_beyond_the_bound_are_counted_as_unreported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: reported ones are forgotten first, unreported ones are counted."""
    monkeypatch.setattr(drop_reports, "_PAIRS_MAX", 2)
    monkeypatch.setattr(drop_reports, "_place_of", lambda key: ord(key[0]))
    dropped = DropReports(threading.RLock())
    dropped.add("a", DropReason.EXIT)
    dropped.take(limit=1)
    dropped.add("b", DropReason.EXIT)
    dropped.add("c", DropReason.EXIT)
    assert dropped.unreported == 0
    dropped.add("d", DropReason.EXIT)
    assert dropped.unreported == 1
    assert {report.run_id for report in dropped.take(limit=9)} == {"c", "d"}
    assert dropped.by_reason[DropReason.EXIT] == 4


def test_a_forgotten_total_does_not_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would say less than was reported before: further drops of such a run are unreported ones."""
    monkeypatch.setattr(drop_reports, "_PAIRS_MAX", 1)
    dropped = DropReports(threading.RLock())
    monkeypatch.setattr(drop_reports, "_place_of", lambda key: ord(key[0]))
    for run_id in ("a", "a"):
        dropped.add(run_id, DropReason.EXIT)
    assert [(report.run_id, report.total) for report in dropped.take(limit=9)] == [("a", 2)]
    dropped.add("b", DropReason.EXIT)
    dropped.add("a", DropReason.EXIT)
    assert [(report.run_id, report.total) for report in dropped.take(limit=9)] == [("b", 1)]
    assert (dropped.unreported, dropped.by_reason[DropReason.EXIT]) == (1, 4)
