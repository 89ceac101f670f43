"""The queue's account and its two lanes."""

import threading
from types import SimpleNamespace

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agenttracer._losses import Losses
from agenttracer._patience import Bell
from agenttracer._queue import COMMON_ENTRIES, DRAFT_BYTES, ENTRY_BYTES, Queue
from agenttracer.wire.vocabulary import DropReason


def draft(run_id: str = "run", entries: int = 0) -> SimpleNamespace:
    metadata = dict.fromkeys(map(str, range(entries)), 1) if entries else None
    return SimpleNamespace(run=SimpleNamespace(run_id=run_id), metadata=metadata)


def new_queue(*, max_events: int = 10, max_bytes: int = 10**9, wake_at: int = 5) -> tuple[Queue, Losses, Bell]:
    lock, bell = threading.RLock(), Bell()
    losses = Losses(lock)
    queue = Queue(
        max_events=max_events, max_bytes=max_bytes, wake_at=wake_at, losses=losses, lock=lock, bell=bell, rouse=lambda: None
    )
    return queue, losses, bell


def test_a_full_queue_drops_the_arriving_step() -> None:
    """The newest step goes first; the older ones stay in their order."""
    queue, losses, _ = new_queue(max_events=3)
    drafts = [draft() for _ in range(5)]
    for each in drafts:
        queue.detail(each)
    assert queue.take(10) == drafts[:3]
    assert losses.by_reason[DropReason.QUEUE_FULL] == 2


def test_reserved_events_push_out_the_newest_steps() -> None:
    """A run's start, failure and end get in as long as there is a step to give up for them."""
    queue, losses, _ = new_queue(max_events=3)
    steps = [draft("s") for _ in range(3)]
    for each in steps:
        queue.detail(each)
    ends = [draft("e") for _ in range(4)]
    for each in ends:
        queue.reserved(each)
    assert queue.take(10) == ends[:3]
    assert {(report.run_id, report.total) for report in losses.reports(limit=9)} == {("s", 3), ("e", 1)}


def test_bytes_bound_the_queue_too() -> None:
    """Steps with much metadata fill the queue before their number does."""
    each = DRAFT_BYTES + (10 - COMMON_ENTRIES) * ENTRY_BYTES
    queue, losses, _ = new_queue(max_events=100, max_bytes=3 * each)
    for _ in range(5):
        queue.detail(draft(entries=10))
    assert len(queue) == 3
    queue.take(1)
    queue.detail(draft(entries=10))
    assert len(queue) == 4
    assert sum(losses.by_reason.values()) == 2


class Interrupted(SimpleNamespace):
    """A draft whose size cannot be asked for without a signal's handler coming in between, and tracing."""

    @property
    def metadata(self) -> dict[str, int]:
        self.handler()
        return dict.fromkeys(map(str, range(COMMON_ENTRIES + 1)), 1)


def test_a_handler_comes_between_look_and_deed() -> None:
    """It may push out the very step that was to be pushed out, and changes sums while they are computed; nothing is lost."""
    queue, losses, _ = new_queue(max_events=2)
    queue.detail(draft("s"))
    queue.reserved(draft("r"))
    handled = iter(range(100))
    one = Interrupted(run=SimpleNamespace(run_id="i"), handler=lambda: next(handled) < 2 and queue.reserved(draft("h")))
    queue.reserved(one)
    assert queue.account()[0] == 5
    assert len(queue) == 2
    assert sum(losses.by_reason.values()) == 3


def test_bytes_are_right_after_a_handler() -> None:
    """What a handler's draft takes beyond the usual is neither forgotten nor counted twice."""
    queue, _, _ = new_queue(max_bytes=DRAFT_BYTES * 4)
    handled = iter(range(100))
    large = COMMON_ENTRIES + DRAFT_BYTES // ENTRY_BYTES
    queue.detail(
        Interrupted(
            run=SimpleNamespace(run_id="i"), handler=lambda: next(handled) == 2 and queue.detail(draft("h", entries=large))
        )
    )
    assert len(queue.take(2)) == 2
    for _ in range(5):
        queue.detail(draft())
    assert queue.waiting == 4


def test_one_caller_starts_the_thread() -> None:
    """Of all who find the queue unattended; whoever asks afterwards is not told to, until the thread is gone."""
    queue, _, _ = new_queue()
    assert [queue.claim(), queue.claim(), queue.unattended] == [True, False, False]
    queue.unattended = True
    assert [queue.claim(), queue.claim()] == [True, False]


def test_reserved_events_leave_first_and_each_lane_in_order() -> None:
    """A batch begins with starts and ends, then steps."""
    queue, _, _ = new_queue()
    step, end = draft(), draft()
    queue.detail(step)
    queue.reserved(end)
    assert queue.take(1) == [end]
    assert queue.take(1) == [step]


def test_the_bell_rings_when_a_batch_is_full_and_not_before() -> None:
    """The sender is woken once per batch, not per event."""
    queue, _, bell = new_queue(max_events=20, wake_at=4)
    for _ in range(4):
        queue.detail(draft())
    assert not bell.wait(0)
    queue.detail(draft())
    assert bell.wait(0)
    queue.detail(draft())
    assert not bell.wait(0)


def test_a_position_is_past_when_everything_before_it_is_settled() -> None:
    """A flush waits for what was there, not for what came later."""
    queue, _, _ = new_queue()
    queue.detail(draft())
    queue.reserved(draft())
    position = queue.position()
    assert not queue.is_past(position)
    queue.take(10)
    queue.detail(draft())
    assert not queue.is_past(position)
    queue.accept(2)
    queue.settle()
    assert queue.is_past(position)
    assert not queue.is_past(queue.position())


def test_a_closed_queue_counts_what_it_gives_up_and_what_still_comes() -> None:
    """After the end nothing is kept and nothing is forgotten."""
    queue, losses, _ = new_queue()
    for _ in range(4):
        queue.detail(draft())
    queue.take(2)
    assert queue.close() == 4
    queue.reserved(draft())
    queue.detail(draft())
    queue.accept(2)
    assert len(queue) == 0
    assert losses.by_reason[DropReason.EXIT] == 6
    assert queue.account()[0] == queue.accepted + 6


class Account(RuleBasedStateMachine):
    """`emitted = accepted + dropped + queued`, whatever happens in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.queue, self.losses, _ = new_queue(max_events=7, max_bytes=8 * DRAFT_BYTES)
        self.flying = 0

    @rule(entries=strategies.integers(0, 12))
    def detail(self, entries: int) -> None:
        self.queue.detail(draft(entries=entries))

    @rule()
    def reserved(self) -> None:
        self.queue.reserved(draft())

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
        self.losses.reports(limit=3)

    @rule()
    def close(self) -> None:
        self.queue.close()
        self.flying = 0

    @invariant()
    def adds_up(self) -> None:
        assert self.queue.account()[0] == self.queue.accepted + sum(self.losses.by_reason.values()) + len(self.queue)
        assert self.queue.waiting <= 7


TestAccount = Account.TestCase
TestAccount.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
