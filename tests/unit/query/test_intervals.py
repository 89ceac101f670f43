"""Intervals and tests of differences against published examples, and on cohorts that are drawn at random."""

import math
import random
from collections import Counter

import pytest

from query_service.comparison.intervals import Rate, holm, quantile_difference, rate_difference, rate_p_value, wilson

EXACT = 1e-9


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(hits: int, n: int, low: float, high: float) -> None:
    """Newcombe 1998, Statistics in Medicine 17:857, table I, method 3, to its four digits."""
    assert wilson(Rate(hits, n)) == pytest.approx((low, high), abs=5.1e-5)


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_newcombe_as_published(a: tuple[int, int], b: tuple[int, int], low: float, high: float) -> None:
    """Newcombe 1998, Statistics in Medicine 17:873, table II, method 10: the first minus the second."""
    found = rate_difference(Rate(*b), Rate(*a))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5.1e-5)


@pytest.mark.parametrize(
    ("a", "b", "p_value"),
    [
        ((3, 4), (1, 4), 0.4857142857142857),  # Fisher's lady tasting tea: 34/70
        ((8, 10), (1, 6), 0.034965034965034965),  # (8 2; 1 5): 5/143
    ],
)
def test_fisher_as_published(a: tuple[int, int], b: tuple[int, int], p_value: float) -> None:
    """Small counts are tested exactly."""
    assert rate_p_value(Rate(*a), Rate(*b)) == pytest.approx(p_value, abs=EXACT)


def test_the_pooled_z_test_is_the_square_root_of_chi_squared() -> None:
    """Without correction for continuity, of 56/70 against 48/80."""
    a, b = Rate(56, 70), Rate(48, 80)
    hits, misses, n = 104, 46, 150
    chi_squared = n * (56 * 32 - 48 * 14) ** 2 / (hits * misses * 70 * 80)
    assert rate_p_value(a, b) == pytest.approx(math.erfc(math.sqrt(chi_squared / 2)), abs=EXACT)


def test_holm_as_published() -> None:
    """Holm 1979: each of the ordered values times how many are left, never below the one before, at most 1."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], abs=EXACT)
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (81, 263, 0.255288519878, 0.366209576983),
        (15, 148, 0.062386399531, 0.160487241723),
        (0, 20, 0.0, 0.161125158053),
        (1, 29, 0.006113214293, 0.171755218793),
    ],
)
def test_wilson_exactly(hits: int, n: int, low: float, high: float) -> None:
    """The same examples, by the closed form in fifty decimal digits."""
    assert wilson(Rate(hits, n)) == pytest.approx((low, high), abs=EXACT)


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [
        ((56, 70), (48, 80), 0.052431472402, 0.333872654037),
        ((9, 10), (3, 10), 0.170522723935, 0.809017973535),
        ((6, 7), (2, 7), 0.058227927482, 0.806249637524),
        ((5, 56), (0, 29), -0.038137147904, 0.192560013855),
        ((0, 10), (0, 20), -0.161125158053, 0.277532799863),
        ((0, 10), (0, 10), -0.277532799863, 0.277532799863),
        ((10, 10), (0, 20), 0.679086037142, 1.0),
        ((10, 10), (0, 10), 0.607509350431, 1.0),
    ],
)
def test_newcombe_exactly(a: tuple[int, int], b: tuple[int, int], low: float, high: float) -> None:
    """The same examples, by the closed form in fifty decimal digits."""
    found = rate_difference(Rate(*b), Rate(*a))
    assert (found.low, found.high) == pytest.approx((low, high), abs=EXACT)


def test_nothing_is_said_of_nothing() -> None:
    """A side without runs has no interval, and equal certainty on both sides no difference."""
    nothing = rate_difference(Rate(0, 0), Rate(1, 5))
    assert (nothing.low, nothing.p_value) == (None, None)
    assert rate_p_value(Rate(0, 50), Rate(0, 70)) == 1.0
    assert quantile_difference({}, {5: 1}, 0.5) is None


def test_a_quantile_differs_by_its_buckets() -> None:
    """Twice as slow is found, with an interval around the true difference; the same is not."""
    chosen = random.Random(7)
    fast = Counter(_bucket(chosen.lognormvariate(10, 0.5)) for _ in range(2_000))
    slow = Counter(_bucket(2 * chosen.lognormvariate(10, 0.5)) for _ in range(2_000))
    found = quantile_difference(fast, slow, 0.5)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < math.exp(10) < found.high
    assert found.p_value is not None
    assert found.p_value < 1e-9


def test_false_alarms_are_rare_and_real_differences_found() -> None:
    """Of 500 pairs of equal cohorts at most one in twenty differs; 5 points at n = 1,000 are found in nine of ten."""
    chosen = random.Random(11)

    def found(rate_a: float, rate_b: float, *, pairs: int) -> float:
        hits = 0
        for _ in range(pairs):
            a, b = (Rate(sum(chosen.random() < rate for _ in range(1_000)), 1_000) for rate in (rate_a, rate_b))
            hits += rate_p_value(a, b) < 0.05
        return hits / pairs

    assert found(0.1, 0.1, pairs=500) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 500)
    assert found(0.08, 0.13, pairs=100) >= 0.9


def _bucket(us: float) -> int:
    """As the store's `latency_bucket`."""
    whole = int(us)
    if whole < 32:
        return whole
    exponent = whole.bit_length() - 1
    return 32 + (exponent - 5) * 16 + ((whole >> (exponent - 4)) & 15)
