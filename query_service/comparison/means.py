"""The difference of two means, from sums alone: Welch's interval and test. Pure."""

import math
from typing import Final

from query_service.comparison.intervals import CONFIDENCE, Difference
from query_service.store.rows import Moments

_TINY: Final = 1e-300
_SURE: Final = 1e-15
_STEPS_MAX: Final = 10_000
_HALVINGS: Final = 200


def mean_difference(a: Moments, b: Moments) -> Difference | None:
    """B minus A (Welch 1947). No interval where a side has fewer than two values or none of both varies; None without values."""
    if not (a.n and b.n):
        return None
    value = b.mean - a.mean
    of_a, of_b = a.variance / a.n, b.variance / b.n
    if min(a.n, b.n) < 2 or of_a + of_b == 0:  # noqa: PLR2004 - a variance needs two
        return Difference(value, None, None, None)
    freedom = (of_a + of_b) ** 2 / (of_a**2 / (a.n - 1) + of_b**2 / (b.n - 1))
    error = math.sqrt(of_a + of_b)
    width = error * _t_beyond(1 - CONFIDENCE, freedom)
    return Difference(value, value - width, value + width, t_p_value(value / error, freedom))


def t_p_value(t: float, freedom: float) -> float:
    """Two-sided, of Student's distribution: the regularised incomplete beta function (Abramowitz and Stegun 26.7.1)."""
    return _beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def _t_beyond(p_value: float, freedom: float) -> float:
    """The t that is exceeded with this chance, by halving."""
    low, high = 0.0, 1.0
    while t_p_value(high, freedom) > p_value:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if t_p_value(middle, freedom) > p_value else (low, middle)
        if high - low <= math.ulp(high):
            break
    return high


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, from the side on which its continued fraction converges."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Lentz's way to the continued fraction 26.5.8."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, _STEPS_MAX):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 / _not_zero(1 + step * d)
            c = _not_zero(1 + step / c)
            found *= c * d
        if abs(c * d - 1) <= _SURE:
            break
    return found


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
