"""Latency buckets, mergeable by adding counts. The store has the same in SQL (`latency_bucket` in ddl/); a test compares them.

Values below 32 us have a bucket each; above, every octave has sixteen, so a bucket is at most 6.25 % wide.
"""

from typing import Final

_EXACT_BELOW_US: Final = 32
_SUB_BITS: Final = 4


def latency_bucket(duration_us: int) -> int:
    """The bucket of a duration of `duration_us` >= 0 microseconds."""
    if duration_us < _EXACT_BELOW_US:
        return duration_us
    octave = duration_us.bit_length() - 1
    sub = (duration_us >> (octave - _SUB_BITS)) & ((1 << _SUB_BITS) - 1)
    return _EXACT_BELOW_US + ((octave - _SUB_BITS - 1) << _SUB_BITS) + sub
