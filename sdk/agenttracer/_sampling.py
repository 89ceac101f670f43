"""Sampling: which runs are told, and what the others say until it is known whether they failed.

A run is told or not as a whole, and whoever knows its id decides the same: of the id's last 56 bits, which are random in
a UUIDv7, a share of `sample_rate` is kept. That is OpenTelemetry's rule for consistent probability sampling. A child run
follows its parent. A run that is not told is held back, and told after all when it does not end as a success.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from agenttracer._draft import RunEndDraft
from agenttracer._queue import size_of
from agenttracer.wire.vocabulary import RunEnd

if TYPE_CHECKING:
    import threading

    from agenttracer._draft import Draft, StepDraft
    from agenttracer._queue import Outlet
    from agenttracer._run import Run

HELD_MAX_STEPS: Final = 100
"""Of one run. The oldest go first: what happened last is nearest to why it failed."""
HELD_MAX_RESERVED: Final = 50
"""Starts and recorded failures of one run."""
_RANDOM: Final = 1 << 56


def is_kept(run_id: str, *, rate: float) -> bool:
    """Whether a run without a parent is told. The same in every process, and at a higher rate too."""
    return int(run_id.replace("-", "")[-14:], 16) >= round((1.0 - rate) * _RANDOM)


def is_told(run: "Run", *, rate: float) -> bool:
    """Whether a run is told from its start: as its parent is, where there is one, also where nobody knows of that.

    Ask only below a rate of 1: whoever wants everything gets it, whatever a caller's header says.
    """
    return is_kept(run.run_id, rate=rate) if run.origin is None else run.origin.sampled


class Allowance:
    """How much memory one tracer may hold back, over all its runs, and how many events it gave up so far."""

    def __init__(self, lock: "threading.RLock", *, max_bytes: int) -> None:
        self._lock = lock
        self._left_bytes = max_bytes
        self.sampled_out = 0

    def take(self, draft: "Draft") -> bool:
        """Room for one event; False when there is none."""
        size = size_of(draft)
        with self._lock:
            if self._left_bytes < size:
                return False
            self._left_bytes -= size
            return True

    def give_back(self, draft: "Draft") -> None:
        """The room of one event is free again."""
        size = size_of(draft)
        with self._lock:
            self._left_bytes += size

    def give_up(self, count: int = 1) -> None:
        """So many events will not be told."""
        with self._lock:
            self.sampled_out += count


class Holdback:
    """An outlet: keeps what a run says, within bounds. Used from any of the agent's threads."""

    def __init__(self, allowance: Allowance, lock: "threading.RLock") -> None:
        self._allowance = allowance
        self._lock = lock
        self._reserved: list[Draft] = []
        self._steps: deque[StepDraft] = deque()
        self._over = False

    def detail(self, draft: "StepDraft") -> None:
        """Keep a step; the run's oldest make room for it."""
        with self._lock:
            steps = self._steps
            if len(steps) >= HELD_MAX_STEPS:
                self._give_up_oldest()
            while not self._over:
                if self._allowance.take(draft):
                    steps.append(draft)
                    return
                if not steps:
                    break
                self._give_up_oldest()
            self._allowance.give_up()

    def _give_up_oldest(self) -> None:
        self._allowance.give_back(self._steps.popleft())
        self._allowance.give_up()

    def reserved(self, draft: "Draft") -> None:
        """Keep a start or failure."""
        with self._lock:
            if not self._over and len(self._reserved) < HELD_MAX_RESERVED and self._allowance.take(draft):
                self._reserved.append(draft)
            else:
                self._allowance.give_up()

    def end(self, end: RunEndDraft, outlet: "Outlet") -> bool:
        """The run is over. Whether it is told after all: then what was kept is in `outlet`, and its end counts just that."""
        with self._lock:
            reserved, steps = self._reserved, self._steps
            self._reserved, self._steps, self._over = [], deque(), True
        for draft in (*reserved, *steps):
            self._allowance.give_back(draft)
        count = len(reserved) + len(steps) + 1
        if end.status is RunEnd.SUCCESS:
            self._allowance.give_up(count)
            return False
        for draft in reserved:
            outlet.reserved(draft)
        for step in steps:
            outlet.detail(step)
        end.emitted = count
        outlet.reserved(end)
        return True

    def forsake(self) -> None:
        """In a forked child: what is held is the parent's to tell. Takes no lock, since a thread of the parent's may hold it."""
        self._reserved, self._steps = [], deque()

    def __del__(self) -> None:
        held = (*self._reserved, *self._steps)
        for draft in held:  # the agent lost hold of a run that had not ended
            self._allowance.give_back(draft)
        if held:
            self._allowance.give_up(len(held))
