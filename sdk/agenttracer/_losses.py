"""Which events were given up, of which run and for which reason, and what of that the gateway has yet to be told. Bounded."""

import threading
from collections import OrderedDict
from typing import Final

from agenttracer.wire.events import EventsDropped
from agenttracer.wire.vocabulary import DropReason

_REMEMBERED: Final = 10_000
"""Pairs of run and reason remembered; about 2 MiB. Beyond it the oldest is forgotten: totals stay right, its run is not told."""

_Key = tuple[str, DropReason]


class Losses:
    """Running totals. Shares the queue's lock, so that an event is always in exactly one of queue, losses and accepted."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._told: OrderedDict[_Key, int] = OrderedDict()
        self._untold: OrderedDict[_Key, list[int]] = OrderedDict()
        """Totals each alone in a list, so that adding to one is no call in which a signal's handler could add to it too."""
        self._telling = 0
        self.by_reason = dict.fromkeys(DropReason, 0)
        self.unreported = 0

    def add(self, run_id: str, reason: DropReason) -> None:
        """One sequenced event of a run is given up. On the agent's thread, and where the lock is held already by a signal's."""
        key = (run_id, reason)
        with self._lock:
            self.by_reason[reason] += 1
            total = self._untold.setdefault(key, [0])
            told = self._told.pop(key, 0)
            total[0] += told + 1
            if len(self._untold) + len(self._told) > _REMEMBERED:
                self._forget_one()

    def add_unknown(self, count: int, reason: DropReason) -> None:
        """Events are given up of which nobody knows the runs any more."""
        with self._lock:
            self.by_reason[reason] += count
            self.unreported += count

    def _forget_one(self) -> None:
        if self._told:
            self._told.popitem(last=False)
        else:
            self.unreported += self._untold.popitem(last=False)[1][0]

    @property
    def all_told(self) -> bool:
        """Whether no report waits or is being sent."""
        with self._lock:
            return not self._untold and not self._telling

    def reports(self, *, limit: int) -> list[EventsDropped]:
        """Up to `limit` reports to send, each to be followed by `told` or `tell_again`."""
        with self._lock:
            popped = [self._untold.popitem(last=False) for _ in range(min(limit, len(self._untold)))]
            taken = [(key, total[0]) for key, total in popped]
            self._told.update(taken)
            self._telling += len(taken)
        return [EventsDropped(run_id=run_id, reason=reason, total=total) for (run_id, reason), total in taken]

    def told(self, reports: list[EventsDropped]) -> None:
        """These reports arrived, or never will."""
        with self._lock:
            self._telling -= len(reports)

    def tell_again(self, reports: list[EventsDropped]) -> None:
        """These reports did not arrive."""
        with self._lock:
            self._telling -= len(reports)
            for report in reports:
                key = (report.run_id, report.reason)
                if key in self._told:
                    self._untold[key] = [self._told.pop(key)]
