"""Which time counts for a run: what its events say, unless the clock that said it was far off. Pure, and a property of the run.

The first receipt of a run says how far its sender's clock is off. Within the window below the clock is believed. Outside of it
all times of the run move by one amount, which puts what was received first at its receipt: order and durations stay. Events keep
the times that they say, and keys are made of these, so a batch that is sent again on another day is the same rows.

The store's function `time_shift_us` says the same; a test holds both to each other.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from stream_workers.core.rows import RUN_OF, FailureRow

PAST_MAX_US: Final = 30 * 86_400 * 1_000_000
"""Older than this when it is received first: a sender may be offline for weeks."""
FUTURE_MAX_US: Final = 10 * 60 * 1_000_000
"""Ahead of its receipt by more than this: clocks of sound machines differ by seconds."""


class FirstReceipt(NamedTuple):
    """The record of a run that was received first, and the time in it that is nearest to its receipt. The least one wins."""

    first_received_at: int
    first_sent_at: int


def receipt_of(received_at: int, first: int, last: int) -> FirstReceipt:
    """The receipt of a record whose events lie between `first` and `last`."""
    return FirstReceipt(received_at, last if abs(received_at - last) <= abs(received_at - first) else first)


def earlier(one: FirstReceipt | None, other: FirstReceipt | None) -> FirstReceipt | None:
    """The one that counts of two. Commutative, associative, idempotent."""
    if one is None or other is None:
        return one or other
    return min(one, other)


def time_shift_us(receipt: FirstReceipt | None) -> int:
    """By how much the times of the run move: 0 of a clock that is believed, and where no event had a time."""
    if receipt is None:
        return 0
    behind = receipt.first_received_at - receipt.first_sent_at
    return 0 if -FUTURE_MAX_US <= behind <= PAST_MAX_US else behind


def listed(failure: FailureRow, shifts: Mapping[tuple[str, str], int]) -> FailureRow:
    """The failure as it is stored: by the time that counts for its run. `shifts` has those that are not 0, in microseconds."""
    shift = shifts.get(RUN_OF(failure), 0)
    return failure._replace(occurred_at=failure.occurred_at + shift) if shift else failure


def as_said(failure: FailureRow, shifts: Mapping[tuple[str, str], int]) -> FailureRow:
    """A stored failure with the time that its event said: the reverse of `listed`."""
    shift = shifts.get(RUN_OF(failure), 0)
    return failure._replace(occurred_at=failure.occurred_at - shift) if shift else failure
