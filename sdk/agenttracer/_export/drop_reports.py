"""Totals of dropped events by run and reason, and which of them are still to be reported to the gateway. Bounded."""

import threading
from collections import OrderedDict
from typing import Final

from agenttracer.wire.events import EventsDropped
from agenttracer.wire.vocabulary import DropReason

_PAIRS_MAX: Final = 10_000
"""Pairs of run and reason kept; about 2 MiB. Beyond it the oldest is forgotten: totals stay right, its run is not reported."""
_PLACES: Final = 65_536
"""For pairs that were forgotten, by their hash: a total that began at 1 again would say less than before. A pair in the place of
another one counts as unreported, which harms no total."""

_Key = tuple[str, DropReason]


class DropReports:
    """Running totals. Shares the queue's lock, so that an event is always exactly one of queued, dropped and accepted."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._reported: OrderedDict[_Key, int] = OrderedDict()
        self._due: OrderedDict[_Key, list[int]] = OrderedDict()
        """Each total is alone in a list: adding to it in place is no call, so no signal handler can run in between."""
        self._forgotten: bytearray | None = None
        self._in_flight = 0
        self.by_reason = dict.fromkeys(DropReason, 0)
        self.unreported = 0

    def add(self, run_id: str, reason: DropReason) -> None:
        """Drop one sequenced event of a run. Also for the agent's thread, of which a signal handler may hold the lock."""
        key = (run_id, reason)
        with self._lock:
            self.by_reason[reason] += 1
            if self._forgotten is not None and self._was_forgotten(key):
                self.unreported += 1
                return
            total = self._due.setdefault(key, [0])
            reported = self._reported.pop(key, 0)
            total[0] += reported + 1
            if len(self._due) + len(self._reported) > _PAIRS_MAX:
                self._forget_one()

    def add_unknown(self, count: int, reason: DropReason) -> None:
        """Drop events whose runs are no longer known."""
        with self._lock:
            self.by_reason[reason] += count
            self.unreported += count

    def _forget_one(self) -> None:
        if self._reported:
            key, _ = self._reported.popitem(last=False)
        else:
            key, (total,) = self._due.popitem(last=False)
            self.unreported += total
        if self._forgotten is None:
            self._forgotten = bytearray(_PLACES)
        self._forgotten[_place_of(key)] = 1

    def _was_forgotten(self, key: _Key) -> bool:
        known = key in self._due or key in self._reported
        return not known and self._forgotten is not None and self._forgotten[_place_of(key)] == 1

    @property
    def all_reported(self) -> bool:
        """Whether no report waits or is being sent."""
        with self._lock:
            return not self._due and not self._in_flight

    def take(self, *, limit: int) -> list[EventsDropped]:
        """Up to `limit` reports to send; `settle` or `report_again` must follow for each."""
        with self._lock:
            popped = [self._due.popitem(last=False) for _ in range(min(limit, len(self._due)))]
            taken = [(key, total[0]) for key, total in popped]
            self._reported.update(taken)
            self._in_flight += len(taken)
        return [EventsDropped(run_id=run_id, reason=reason, total=total) for (run_id, reason), total in taken]

    def settle(self, reports: list[EventsDropped]) -> None:
        """These reports arrived, or never will."""
        with self._lock:
            self._in_flight -= len(reports)

    def report_again(self, reports: list[EventsDropped]) -> None:
        """These reports did not arrive."""
        with self._lock:
            self._in_flight -= len(reports)
            for report in reports:
                key = (report.run_id, report.reason)
                if key in self._reported:
                    self._due[key] = [self._reported.pop(key)]


def _place_of(key: _Key) -> int:
    return hash(key) % _PLACES
