"""Latency buckets."""

from hypothesis import given
from hypothesis import strategies as st

from stream_workers.core.histogram import latency_bucket


@given(st.integers(0, 2**45), st.integers(0, 2**45))
def test_longer_is_never_in_a_lower_bucket(one: int, other: int) -> None:
    """Buckets are monotone."""
    short, long = sorted((one, other))
    assert latency_bucket(short) <= latency_bucket(long)


@given(st.integers(32, 2**45))
def test_a_bucket_is_narrow(duration_us: int) -> None:
    """A value and one that is 6.25 % longer are at most one bucket apart, and 6.26 % always leaves the bucket."""
    bucket = latency_bucket(duration_us)
    assert latency_bucket(duration_us + duration_us // 32) - bucket <= 1
    assert latency_bucket(duration_us + duration_us // 15) > bucket


def test_buckets_are_small_integers() -> None:
    """The longest duration of the contract still fits smallint."""
    assert latency_bucket(366 * 86_400 * 10**6) < 2**15
