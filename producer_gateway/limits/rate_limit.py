"""How much a project may send a second: a token bucket for events and one for bytes. No I/O, no clock: times are arguments.

A bucket is asked before and charged after, so it may go below nothing by one request: a batch larger than the bucket is late, not
impossible, and what was charged is never given back. Each process counts for itself, with its share.
"""

from typing import Final

_FORGET_ABOVE: Final = 10_000
"""Buckets. Those that are full are then forgotten: a new one is as full."""


class RateLimit:
    """Buckets by project, which hold what `per_s` gives in `burst_s` seconds. 0: no limit. Times are monotonic seconds."""

    def __init__(self, *, per_s: float, burst_s: float) -> None:
        self._per_s = per_s
        self._most = per_s * burst_s
        self._burst_s = burst_s
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_s(self, project: str, *, now: float) -> float:
        """Seconds until the project may send again; 0 when it may now."""
        if not self._per_s:
            return 0.0
        left = self._left(project, now)
        return 0.0 if left > 0 else (1.0 - left) / self._per_s

    def charge(self, project: str, amount: float, *, now: float) -> None:
        """Take what was sent."""
        if self._per_s:
            if len(self._buckets) >= _FORGET_ABOVE:
                self._forget_full(now)
            self._buckets[project] = self._left(project, now) - amount, now

    def _left(self, project: str, now: float) -> float:
        left, since = self._buckets.get(project, (self._most, now))
        return min(self._most, left + (now - since) * self._per_s)

    def _forget_full(self, now: float) -> None:
        self._buckets = {name: bucket for name, bucket in self._buckets.items() if self._left(name, now) < self._most}
