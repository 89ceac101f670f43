"""How much a key may send a second: a token bucket for events and one for bytes. No I/O, no clock: times are arguments.

A bucket is asked before and charged after, so it may go below nothing by one request: a batch larger than the bucket is late, not
impossible, and what was charged is never given back. Each process counts for itself.
"""

from typing import Final

_FORGET_ABOVE: Final = 10_000
"""Buckets. Those that are full are then forgotten: a new one is as full."""


class Rate:
    """Buckets by key, which hold what `per_s` gives in `burst_s` seconds. 0 a second: no limit. Times are monotonic seconds."""

    def __init__(self, *, per_s: float, burst_s: float) -> None:
        self._per_s = per_s
        self._most = per_s * burst_s
        self._burst_s = burst_s
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_s(self, key: str, *, now: float) -> float:
        """Seconds until the key may send again; 0 when it may now."""
        if not self._per_s:
            return 0.0
        left = self._left(key, now)
        return 0.0 if left > 0 else (1.0 - left) / self._per_s

    def charge(self, key: str, amount: float, *, now: float) -> None:
        """Take what was sent."""
        if self._per_s:
            if len(self._buckets) >= _FORGET_ABOVE:
                self._forget_full(now)
            self._buckets[key] = self._left(key, now) - amount, now

    def _left(self, key: str, now: float) -> float:
        left, since = self._buckets.get(key, (self._most, now))
        return min(self._most, left + (now - since) * self._per_s)

    def _forget_full(self, now: float) -> None:
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if self._left(key, now) < self._most}
