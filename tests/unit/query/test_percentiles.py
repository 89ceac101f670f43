"""Percentiles from buckets against exact ones."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_service.percentiles import NO_LATENCY, middle_us, percentile_us


def bucket_of(us: int) -> int:
    """The store's latency_bucket, written down once more."""
    if us < 32:
        return us
    exponent = us.bit_length() - 1
    return 32 + (exponent - 5) * 16 + ((us >> (exponent - 4)) & 15)


@given(st.integers(0, 2**53))
def test_middle_is_near(us: int) -> None:
    """The middle of a value's bucket is the value itself below 32 us, and at most 1/32 away above."""
    assert abs(middle_us(bucket_of(us)) - us) <= (0 if us < 32 else us / 32)


def test_buckets_join() -> None:
    """Buckets follow each other without a gap: each holds values, and its middle lies in it."""
    middles = [middle_us(bucket) for bucket in range(700)]
    assert middles == sorted(set(middles))
    assert [bucket_of(int(middle)) for middle in middles] == list(range(700))


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=200), st.sampled_from([1, 50, 95, 99, 100]))
def test_percentile_is_near_the_exact_one(values: list[int], percent: int) -> None:
    """A percentile from buckets is at most 3.2 % away from the exact nearest-rank percentile."""
    exact = sorted(values)[-(-percent * len(values) // 100) - 1]
    found = percentile_us(Counter(map(bucket_of, values)), percent)
    assert found is not None
    assert abs(found - exact) <= exact * 0.032


@pytest.mark.parametrize("counts", [{}, {NO_LATENCY: 5}, {100: 0}])
def test_no_values_no_percentile(counts: dict[int, int]) -> None:
    """Without a latency there is no percentile."""
    assert percentile_us(counts, 50) is None


def test_no_latency_counts_in_no_percentile() -> None:
    """What has no latency yet moves no percentile."""
    assert percentile_us({NO_LATENCY: 1_000, 5: 1, 9: 1}, 50) == 5.0
