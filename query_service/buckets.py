"""How a window of statistics is cut into buckets of time. Pure: it knows which totals the store keeps, and reads none.

A bucket is made of whole totals. Days, and quarters of a day, begin at midnight of a zone; shorter buckets are the same in all
zones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from ddl import rollups
from ddl.rollups import Part, minute_of, moment
from query_service.errors import InputError

BUCKETS_MAX: Final = 750
"""More than a screen has room for, and two years of days."""


class BucketSize(StrEnum):
    """How long a bucket is."""

    AUTO = "auto"
    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    QUARTER = "15m"
    HOUR = "1h"
    SIX_HOURS = "6h"
    DAY = "1d"


_MINUTES: Final = {
    BucketSize.MINUTE: 1,
    BucketSize.FIVE_MINUTES: 5,
    BucketSize.QUARTER: 15,
    BucketSize.HOUR: 60,
    BucketSize.SIX_HOURS: 360,
    BucketSize.DAY: 1_440,
}
_LONGEST_WINDOW: Final = ((BucketSize.MINUTE, 120), (BucketSize.QUARTER, 1_440 + 15), (BucketSize.HOUR, 8 * 1_440))
"""In minutes, by the bucket that is chosen for it: about a hundred buckets each. Longer windows are cut into days."""
_TOO_MANY: Final = f"bucket is too short for the window: there are at most {BUCKETS_MAX} buckets"
_NOT_KEPT: Final = (
    "bucket is shorter than what is kept of this time: minutes for 2 days, quarters of an hour for 14 days, hours for 92 days, "
    "then days of UTC; days of a zone are made of hours or quarters"
)


@dataclass(frozen=True, slots=True)
class Buckets:
    """Buckets next to each other: each from its start to the next one's, the last up to `until`. `parts` are totals of all."""

    size: BucketSize
    starts: Sequence[datetime]
    until: datetime
    parts: Sequence[Part]

    @property
    def since(self) -> datetime:
        """The start of the first one."""
        return self.starts[0]


def cut(since: datetime, until: datetime, *, size: BucketSize, zone: ZoneInfo, now: datetime) -> Buckets:
    """The buckets that the window touches. Raises InputError where they are too many, or too short for what is kept."""
    if size is BucketSize.AUTO:
        size = _chosen(since, until, now=now)
    if (until - since) / timedelta(minutes=_MINUTES[size]) > BUCKETS_MAX + 1:
        raise InputError(_TOO_MANY, field="bucket")
    edges = list(_edges(since, until, size=size, zone=zone))
    if len(edges) > BUCKETS_MAX + 1:
        raise InputError(_TOO_MANY, field="bucket")
    if any(edge % rollups.shortest_kept(edge, now=minute_of(now)) for edge in edges):
        raise InputError(_NOT_KEPT, field="bucket")
    return Buckets(
        size=size,
        starts=[moment(edge) for edge in edges[:-1]],
        until=moment(edges[-1]),
        parts=list(_parts(edges, now=minute_of(now))),
    )


def _chosen(since: datetime, until: datetime, *, now: datetime) -> BucketSize:
    minutes = (until - since) / timedelta(minutes=1)
    kept = rollups.shortest_kept(minute_of(since), now=minute_of(now))
    fitting = (size for size, longest in _LONGEST_WINDOW if minutes <= longest and _MINUTES[size] >= kept)
    return next(fitting, BucketSize.DAY)


def _edges(since: datetime, until: datetime, *, size: BucketSize, zone: ZoneInfo) -> Iterator[int]:
    """The minutes at which buckets begin, and that at which the last one ends."""
    if size in {BucketSize.SIX_HOURS, BucketSize.DAY}:
        yield from _zoned_edges(since, until, hours=_MINUTES[size] // 60, zone=zone)
        return
    length = _MINUTES[size]
    edge = minute_of(since) // length * length
    yield edge
    while moment(edge) < until:
        edge += length
        yield edge


def _zoned_edges(since: datetime, until: datetime, *, hours: int, zone: ZoneInfo) -> Iterator[int]:
    """By the zone's clock: a day in which it is changed is an hour shorter or longer than others."""
    local = since.astimezone(zone).replace(minute=0, second=0, microsecond=0, tzinfo=None)
    local = local.replace(hour=local.hour // hours * hours)
    edge = _on_the_clock(local, zone)
    yield edge
    while moment(edge) < until:
        local += timedelta(hours=hours)
        edge = max(edge + 1, _on_the_clock(local, zone))
        yield edge


def _on_the_clock(local: datetime, zone: ZoneInfo) -> int:
    return minute_of(local.replace(tzinfo=zone).astimezone(UTC))


def _parts(edges: Sequence[int], *, now: int) -> Iterator[Part]:
    """Totals that make up all buckets, none of which reaches into the next. Parts of one span that meet are one."""
    open_part: Part | None = None
    for begin, end in pairwise(edges):
        for part in rollups.parts(begin, end, now=now):
            if open_part is not None and (open_part.span, open_part.until) == (part.span, part.since):
                open_part = open_part._replace(until=part.until)
                continue
            if open_part is not None:
                yield open_part
            open_part = part
    if open_part is not None:
        yield open_part
