"""The queue's counts and its two lanes."""

import threading
from types import SimpleNamespace

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agenttracer._events.sink import COMMON_ENTRIES, ENTRY_BYTES, EVENT_BYTES
from agenttracer._export.drop_reports import DropReports
from agenttracer._export.queue import Queue
from agenttracer._export.waiting import Wakeup
from agenttracer.wire.vocabulary import DropReason


def event(run_id: str = "run", entries: int = 0) -> SimpleNamespace:
    metadata = dict.fromkeys(map(str, range(entries)), 1) if entries else None
    return SimpleNamespace(run=SimpleNamespace(run_id=run_id), metadata=metadata)


def new_queue(*, max_events: int = 10, max_bytes: int = 10**9, wake_at: int = 5) -> tuple[Queue, DropReports, Wakeup]:
    lock, wakeup = threading.RLock(), Wakeup()
    drop_reports = DropReports(lock)
    queue = Queue(
        max_events=max_events,
        max_bytes=max_bytes,
        wake_at=wake_at,
        drop_reports=drop_reports,
        lock=lock,
        wakeup=wakeup,
        start_sender=lambda: None,
    )
    return queue, drop_reports, wakeup


def test_a_full_queue_drops_the_arriving_step() -> None:
    """The newest step goes first; the older ones stay in their order."""
    queue, drop_reports, _ = new_queue(max_events=3)
    events = [event() for _ in range(5)]
    for each in events:
        queue.put_step(each)
    assert queue.take(10) == events[:3]
    assert drop_reports.by_reason[DropReason.QUEUE_FULL] == 2


def test_control_events_push_out_the_newest_steps() -> None:
    """A run's start, failure and end get in as long as there is a step to give up for them."""
    queue, drop_reports, _ = new_queue(max_events=3)
    steps = [event("s") for _ in range(3)]
    for each in steps:
        queue.put_step(each)
    ends = [event("e") for _ in range(4)]
    for each in ends:
        queue.put_control(each)
    assert queue.take(10) == ends[:3]
    assert {(report.run_id, report.total) for report in drop_reports.take(limit=9)} == {("s", 3), ("e", 1)}


def test_bytes_bound_the_queue_too() -> None:
    """Steps with much metadata fill the queue before their number does."""
    each = EVENT_BYTES + (10 - COMMON_ENTRIES) * ENTRY_BYTES
    queue, drop_reports, _ = new_queue(max_events=100, max_bytes=3 * each)
    for _ in range(5):
        queue.put_step(event(entries=10))
    assert len(queue) == 3
    queue.take(1)
    queue.put_step(event(entries=10))
    assert len(queue) == 4
    assert sum(drop_reports.by_reason.values()) == 2


class Interrupted(SimpleNamespace):
    """An event whose size cannot be asked for without a signal's handler coming in between, and tracing."""

    @property
    def metadata(self) -> dict[str, int]:
        self.handler()
        return dict.fromkeys(map(str, range(COMMON_ENTRIES + 1)), 1)


def test_a_handler_comes_between_look_and_deed() -> None:
    """It may push out the very step that was to be pushed out, and changes sums while they are computed; nothing is lost."""
    queue, drop_reports, _ = new_queue(max_events=2)
    queue.put_step(event("s"))
    queue.put_control(event("r"))
    handled = iter(range(100))
    one = Interrupted(run=SimpleNamespace(run_id="i"), handler=lambda: next(handled) < 2 and queue.put_control(event("h")))
    queue.put_control(one)
    assert queue.totals()[0] == 5
    assert len(queue) == 2
    assert sum(drop_reports.by_reason.values()) == 3


def test_bytes_are_right_after_a_handler() -> None:
    """What a handler's event takes beyond the usual is neither forgotten nor counted twice."""
    queue, _, _ = new_queue(max_bytes=EVENT_BYTES * 4)
    handled = iter(range(100))
    large = COMMON_ENTRIES + EVENT_BYTES // ENTRY_BYTES
    queue.put_step(
        Interrupted(
            run=SimpleNamespace(run_id="i"), handler=lambda: next(handled) == 2 and queue.put_step(event("h", entries=large))
        )
    )
    assert len(queue.take(2)) == 2
    for _ in range(5):
        queue.put_step(event())
    assert queue.waiting == 4


def test_one_caller_starts_the_thread() -> None:
    """Of several callers that find the queue unattended, one starts it; later callers start none until the thread is gone."""
    queue, _, _ = new_queue()
    assert [queue.claim_start(), queue.claim_start(), queue.unattended] == [True, False, False]
    queue.unattended = True
    assert [queue.claim_start(), queue.claim_start()] == [True, False]


def test_control_events_leave_first_and_each_lane_in_order() -> None:
    """A batch begins with starts and ends, then steps."""
    queue, _, _ = new_queue()
    step, end = event(), event()
    queue.put_step(step)
    queue.put_control(end)
    assert queue.take(1) == [end]
    assert queue.take(1) == [step]


def test_the_sender_is_woken_when_a_batch_is_full_and_not_before() -> None:
    """The sender is woken once per batch, not per event."""
    queue, _, wakeup = new_queue(max_events=20, wake_at=4)
    for _ in range(4):
        queue.put_step(event())
    assert not wakeup.wait(0)
    queue.put_step(event())
    assert wakeup.wait(0)
    queue.put_step(event())
    assert not wakeup.wait(0)


def test_a_position_is_past_when_everything_before_it_is_settled() -> None:
    """A flush waits for what was there, not for what came later."""
    queue, _, _ = new_queue()
    queue.put_step(event())
    queue.put_control(event())
    position = queue.position()
    assert not queue.is_past(position)
    queue.take(10)
    queue.put_step(event())
    assert not queue.is_past(position)
    queue.accept(2)
    queue.settle()
    assert queue.is_past(position)
    assert not queue.is_past(queue.position())


def test_a_closed_queue_counts_what_it_gives_up_and_what_still_comes() -> None:
    """After the end nothing is kept and nothing is forgotten."""
    queue, drop_reports, _ = new_queue()
    for _ in range(4):
        queue.put_step(event())
    queue.take(2)
    assert queue.close() == 4
    queue.put_control(event())
    queue.put_step(event())
    queue.accept(2)
    assert len(queue) == 0
    assert drop_reports.by_reason[DropReason.EXIT] == 6
    assert queue.totals()[0] == queue.accepted + 6


class Account(RuleBasedStateMachine):
    """`emitted = accepted + dropped + queued`, whatever happens in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.queue, self.drop_reports, _ = new_queue(max_events=7, max_bytes=8 * EVENT_BYTES)
        self.flying = 0

    @rule(entries=strategies.integers(0, 12))
    def put_step(self, entries: int) -> None:
        self.queue.put_step(event(entries=entries))

    @rule()
    def put_control(self) -> None:
        self.queue.put_control(event())

    @rule(limit=strategies.integers(1, 5))
    def take(self, limit: int) -> None:
        self.flying += len(self.queue.take(limit))

    @rule()
    def accept(self) -> None:
        self.queue.accept(self.flying)
        self.flying = 0
        self.queue.settle()

    @rule()
    def drop(self) -> None:
        if self.flying:
            self.queue.drop("run", DropReason.REFUSED)
            self.flying -= 1

    @rule()
    def report(self) -> None:
        self.drop_reports.take(limit=3)

    @rule()
    def close(self) -> None:
        self.queue.close()
        self.flying = 0

    @invariant()
    def adds_up(self) -> None:
        assert self.queue.totals()[0] == self.queue.accepted + sum(self.drop_reports.by_reason.values()) + len(self.queue)
        assert self.queue.waiting <= 7


TestAccount = Account.TestCase
TestAccount.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
