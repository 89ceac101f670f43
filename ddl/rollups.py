"""How statistics are cut into periods, and how their latency histograms are packed. Pure; both sides of the store use it.

A writer appends *deltas* by minute. Compaction adds them to *totals* of each span in `SPANS`, so that a reader of any window adds
up few rows: whole days from totals by day, its edges from shorter spans, and what is not compacted yet from deltas. Totals of
short spans are kept for a while only; a window that begins before is widened to the shortest span that is kept for its time.

Times are whole minutes since 1970, UTC.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

SPANS: Final = (1, 15, 60, 1_440)
"""Minutes, shortest first; each is a multiple of the one before."""
DAY: Final = SPANS[-1]
_KEPT_DAYS: Final[Mapping[int, int]] = {1: 2, 15: 14, 60: 92}
"""For how many days totals of a span are read; of days for ever, as far as the project keeps statistics."""
_GRACE_DAYS: Final = 1
"""They are removed so much later: a reader that has chosen its parts finds them."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ENTRY: Final = struct.Struct(">hq")


class Part(NamedTuple):
    """A part of a window that totals of one span hold: from `since`, up to and not including `until`, in minutes."""

    span: int
    since: int
    until: int


def minute_of(moment: datetime) -> int:
    """The minute that an aware datetime lies in."""
    return (moment - _EPOCH) // timedelta(minutes=1)


def moment(minute: int) -> datetime:
    """When a minute begins."""
    return _EPOCH + timedelta(minutes=minute)


def day_of(minute: int) -> int:
    """The minute in which this one's day begins."""
    return _floor(minute, DAY)


def parts(since: int, until: int, *, now: int) -> list[Part]:
    """The totals that make up a window, oldest first. They cover all of it, and more where only longer spans are kept."""
    return list(_cut(_floor(since, shortest_kept(since, now=now)), _ceil(until, shortest_kept(until, now=now)), SPANS))


def shortest_kept(minute: int, *, now: int) -> int:
    """The shortest span that totals of this time are read by."""
    return next((span for span in SPANS if minute >= oldest_read(span, now=now)), DAY)


def oldest_read(span: int, *, now: int) -> int:
    """The minute from which on totals of this span are read, and hold everything. A day begins there."""
    return _oldest(span, now, grace_days=0)


def oldest_stored(span: int, *, now: int) -> int | None:
    """The minute before which totals of this span are not stored; None for days, which end with the project's statistics."""
    return None if span == DAY else _oldest(span, now, grace_days=_GRACE_DAYS)


def periods(minute: int, *, now: int) -> Iterator[tuple[int, int]]:
    """The totals that a delta of this minute is added to: each a span and the minute in which its period begins."""
    for span in SPANS:
        oldest = oldest_stored(span, now=now)
        if oldest is None or minute >= oldest:
            yield span, _floor(minute, span)


def pack(histogram: Mapping[int, int]) -> bytes:
    """A histogram by latency bucket as the store keeps it: ten bytes a bucket, buckets that count nothing left out."""
    return b"".join(_ENTRY.pack(bucket, count) for bucket, count in sorted(histogram.items()) if count)


def unpack(packed: bytes) -> dict[int, int]:
    """Packed histograms, one behind the other, added up by bucket. Counts of deltas can be negative."""
    found: dict[int, int] = {}
    counted = found.get  # a reader adds up a million entries: a Counter would take three times as long
    for bucket, count in _ENTRY.iter_unpack(packed):
        found[bucket] = counted(bucket, 0) + count
    return found


def _cut(since: int, until: int, spans: Iterable[int]) -> Iterator[Part]:
    *shorter, span = spans
    first, last = _ceil(since, span), _floor(until, span)
    if first >= last:  # none of these lies whole in it
        if shorter and since < until:
            yield from _cut(since, until, shorter)
        return
    if shorter:
        yield from _cut(since, first, shorter)
    yield Part(span, first, last)
    if shorter:
        yield from _cut(last, until, shorter)


def _oldest(span: int, now: int, *, grace_days: int) -> int:
    days = _KEPT_DAYS.get(span)
    return -(1 << 62) if days is None else _floor(now, DAY) - (days + grace_days) * DAY


def _floor(minute: int, span: int) -> int:
    return minute // span * span


def _ceil(minute: int, span: int) -> int:
    return -(-minute // span) * span
