"""Which events were given up, of which run and for which reason, and what of that the gateway has yet to be told. Bounded."""

import threading
from collections import OrderedDict
from typing import Final

from agenttracer.wire.events import EventsDropped
from agenttracer.wire.vocabulary import DropReason

_REMEMBERED: Final = 10_000
"""Pairs of run and reason remembered; about 2 MiB. Beyond it the oldest is forgotten: totals stay right, its run is not told."""

_Totals = OrderedDict[tuple[str, DropReason], int]


class Losses:
    """Running totals. Shares the queue's lock, so that an event is always in exactly one of queue, losses and accepted."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._told: _Totals = OrderedDict()
        self._untold: _Totals = OrderedDict()
        self._telling = 0
        self.by_reason = dict.fromkeys(DropReason, 0)
        self.unreported = 0

    def add(self, run_id: str, reason: DropReason) -> None:
        """One sequenced event of a run is given up. On the agent's thread, and where the lock is held already by a signal's."""
        key = (run_id, reason)
        with self._lock:
            self.by_reason[reason] += 1
            told = self._told.pop(key, 0)
            self._untold[key] = self._untold.get(key, told) + 1
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
            self.unreported += self._untold.popitem(last=False)[1]

    @property
    def all_told(self) -> bool:
        """Whether no report waits or is being sent."""
        with self._lock:
            return not self._untold and not self._telling

    def reports(self, *, limit: int) -> list[EventsDropped]:
        """Up to `limit` reports to send, each to be followed by `told` or `tell_again`."""
        with self._lock:
            taken = [self._untold.popitem(last=False) for _ in range(min(limit, len(self._untold)))]
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
                    self._untold[key] = self._told.pop(key)
