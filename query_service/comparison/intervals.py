"""Intervals and tests of differences, from counts alone. Pure; each says where it is from.

Standard library: scipy would be 120 MB for a normal distribution and a few sums.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from query_service.percentiles import NO_LATENCY, edges_us, middle_us

CONFIDENCE: Final = 0.95
_Z: Final = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2)
_EXPECTED_MIN: Final = 5.0
"""Below this, in any cell, the normal approximation is poor (Cochran 1954), and Fisher's exact test takes its place."""
_SAME: Final = 1 + 1e-7
"""Tables as likely as the one that was seen, but for rounding, are among the extreme ones."""
_NOTHING: Final = 1e-17
"""Of a sum, what adds nothing to it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many of `n` were hit."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        """The share; 0 of none."""
        return self.hits / self.n if self.n else 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """B minus A, with its interval, and how likely one as large is where there is none. None where nothing is known."""

    value: float
    low: float | None
    high: float | None
    p_value: float | None


def wilson(rate: Rate) -> tuple[float, float]:
    """The score interval of a rate (Wilson 1927). From 0 to 1 where nothing was counted."""
    if not rate.n:
        return 0.0, 1.0
    n, p, z2 = rate.n, rate.value, _Z * _Z
    centre, width = p + z2 / (2 * n), _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return (centre - width) / (1 + z2 / n), (centre + width) / (1 + z2 / n)


def rate_difference(a: Rate, b: Rate) -> Difference:
    """B minus A: the hybrid score interval (Newcombe 1998, method 10), and the test of `rate_p_value`."""
    (low_a, high_a), (low_b, high_b) = wilson(a), wilson(b)
    value = b.value - a.value
    if not (a.n and b.n):
        return Difference(value, None, None, None)
    low, high = _mover(value, a=(a.value, low_a, high_a), b=(b.value, low_b, high_b))
    return Difference(value, low, high, rate_p_value(a, b))


def rate_p_value(a: Rate, b: Rate) -> float:
    """Two-sided: the pooled z test, or Fisher's exact test where an expected count is small."""
    hits, n = a.hits + b.hits, a.n + b.n
    misses = n - hits
    if not (hits and misses):
        return 1.0
    if min(a.n, b.n) * min(hits, misses) / n < _EXPECTED_MIN:
        return exact_p_value(a, b)
    pooled = hits / n
    z = (b.value - a.value) / math.sqrt(pooled * (1 - pooled) * (1 / a.n + 1 / b.n))
    return math.erfc(abs(z) / math.sqrt(2))


def exact_p_value(a: Rate, b: Rate) -> float:
    """Two-sided, exact for any counts (Fisher 1935): the sum of all tables with these margins that are no likelier than this one.

    Chances fall on both sides of the likeliest table, so only a tail on each side is added up, outward until nothing is added.
    """
    hits, n = a.hits + b.hits, a.n + b.n
    if not hits or hits == n or not (a.n and b.n):
        return 1.0
    if a.hits * n < hits * a.n:  # the tail of what was seen is the upper one
        a, b, hits = Rate(a.n - a.hits, a.n), Rate(b.n - b.hits, b.n), n - hits
    lowest, highest = max(0, hits - b.n), min(a.n, hits)

    def log_chance(hits_a: int) -> float:
        return _log_choose(a.n, hits_a) + _log_choose(b.n, hits - hits_a) - _log_choose(n, hits)

    def rising(hits_a: int) -> float:
        """How much likelier one hit more is than so many."""
        return (a.n - hits_a) * (hits - hits_a) / ((hits_a + 1) * (b.n - hits + hits_a + 1))

    def tail(hits_a: int, end: int) -> float:
        step = 1 if end > hits_a else -1
        found = chance = 1.0
        while hits_a != end and chance > found * _NOTHING:
            chance *= rising(hits_a) if step > 0 else 1 / rising(hits_a - 1)
            hits_a += step
            found += chance
        return found

    seen = log_chance(a.hits)
    upper = math.exp(seen) * tail(a.hits, highest)
    limit = seen + math.log(_SAME)
    likeliest = (a.n + 1) * (hits + 1) // (n + 2)
    other = bisect_right(range(lowest, min(a.hits, likeliest + 1)), limit, key=log_chance) + lowest - 1
    lower = math.exp(log_chance(other)) * tail(other, lowest) if other >= lowest else 0.0
    return min(1.0, upper + lower)


def quantile_difference(a: Mapping[int, int], b: Mapping[int, int], quantile: float) -> Difference | None:
    """B minus A of a quantile, in microseconds, from latency buckets; None where one has no latency.

    The interval of each is that of order statistics, widened to the borders of buckets; both are combined as in Newcombe's method
    (MOVER: Zou and Donner 2008). The test compares how many lie beyond the quantile of all (Mood's test at any quantile).
    """
    found_a, found_b = _quantile(a, quantile), _quantile(b, quantile)
    if found_a is None or found_b is None:
        return None
    value = found_b[0] - found_a[0]
    low, high = _mover(value, a=found_a, b=found_b)
    return Difference(value, low, high, _quantile_p_value(a, b, quantile))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values that hold for all of them together (Holm 1979), in the same order."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, floor = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = floor
    return corrected


def _mover(value: float, *, a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float]:
    """The interval of a difference from the intervals of both: each is (value, low, high)."""
    low = value - math.hypot(b[0] - b[1], a[2] - a[0])
    high = value + math.hypot(b[2] - b[0], a[0] - a[1])
    return low, high


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _quantile(histogram: Mapping[int, int], quantile: float) -> tuple[float, float, float] | None:
    """The middle of the quantile's bucket, and the interval from the border of one bucket to that of another."""
    buckets = _filled(histogram)
    n = sum(histogram[bucket] for bucket in buckets)
    if not n:
        return None
    width = _Z * math.sqrt(n * quantile * (1 - quantile))
    middle = _bucket_of(histogram, buckets, math.ceil(n * quantile))
    low = _bucket_of(histogram, buckets, max(1, math.floor(n * quantile - width)))
    high = _bucket_of(histogram, buckets, min(n, math.ceil(n * quantile + width) + 1))
    return middle_us(middle), edges_us(low)[0], edges_us(high)[1]


def _bucket_of(histogram: Mapping[int, int], buckets: Sequence[int], rank: int) -> int:
    """The bucket that holds the value of this rank, from 1."""
    for bucket in buckets:
        rank -= histogram[bucket]
        if rank <= 0:
            return bucket
    return buckets[-1]


def _quantile_p_value(a: Mapping[int, int], b: Mapping[int, int], quantile: float) -> float:
    both = {bucket: a.get(bucket, 0) + b.get(bucket, 0) for bucket in {*_filled(a), *_filled(b)}}
    buckets = _filled(both)
    border = _bucket_of(both, buckets, math.ceil(sum(both.values()) * quantile))
    beyond = [Rate(_count(each, above=border), _count(each, above=NO_LATENCY)) for each in (a, b)]
    return rate_p_value(*beyond)


def _count(histogram: Mapping[int, int], *, above: int) -> int:
    return sum(histogram[bucket] for bucket in _filled(histogram) if bucket > above)


def _filled(histogram: Mapping[int, int]) -> list[int]:
    return sorted(bucket for bucket, count in histogram.items() if bucket != NO_LATENCY and count > 0)
