"""Percentiles from the store's latency buckets. Pure; the buckets are defined in `ddl/migrations/0001_store.sql`.

Buckets 0 to 31 hold whole microseconds exactly. Above, every octave [2^e, 2^(e+1)) is cut into sixteen equal buckets.
A percentile is answered as the middle of the bucket in which it lies, so it is at most 1/32 (3.125 %) away from the exact
one, which is the nearest-rank percentile: the least value that at least p % of all values do not exceed.
"""

from collections.abc import Mapping
from typing import Final

NO_LATENCY: Final = -1
"""Bucket of what has no latency yet; it counts in no percentile."""
_EXACT: Final = 32
_PER_OCTAVE: Final = 16
_FIRST_OCTAVE: Final = 5


def edges_us(bucket: int) -> tuple[int, int]:
    """The least and the greatest whole microseconds of a bucket."""
    if bucket < _EXACT:
        return bucket, bucket
    octaves, part = divmod(bucket - _EXACT, _PER_OCTAVE)
    shift = _FIRST_OCTAVE + octaves - 4  # an octave is 2^4 buckets
    return (_PER_OCTAVE + part) << shift, ((_PER_OCTAVE + part + 1) << shift) - 1


def bucket_of(us: int) -> int:
    """The bucket of so many whole microseconds."""
    if us < _EXACT:
        return max(0, us)
    shift = us.bit_length() - 5  # an octave is 2^4 buckets
    return _EXACT + (us.bit_length() - 1 - _FIRST_OCTAVE) * _PER_OCTAVE + (us >> shift) - _PER_OCTAVE


def middle_us(bucket: int) -> float:
    """The middle of a bucket's whole microseconds."""
    return sum(edges_us(bucket)) / 2


def octave(bucket: int) -> int:
    """The power of two at which the octave of a bucket begins; 0 and 1 microsecond are in the first one."""
    return max(0, edges_us(bucket)[0].bit_length() - 1)


def percentile_us(counts: Mapping[int, int], percent: int) -> float | None:
    """The `percent`-th percentile (1 to 100) of values counted by bucket; None when there are no values."""
    buckets = sorted(bucket for bucket, count in counts.items() if bucket != NO_LATENCY and count > 0)
    rank = -(-percent * sum(counts[bucket] for bucket in buckets) // 100)  # rounded up
    for bucket in buckets:
        rank -= counts[bucket]
        if rank <= 0:
            return middle_us(bucket)
    return None
