"""Windows cut into buckets of time: whole totals each, by the clock of a zone, no more than fit."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from ddl.rollups import minute_of
from query_service.buckets import BUCKETS_MAX, BucketSize, cut
from query_service.errors import InputError

NOW = datetime(2026, 6, 30, 12, 7, 31, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("back", "size"),
    [
        (HOUR, BucketSize.MINUTE),
        (2 * HOUR, BucketSize.MINUTE),
        (3 * HOUR, BucketSize.QUARTER),
        (DAY, BucketSize.QUARTER),
        (7 * DAY, BucketSize.HOUR),
        (30 * DAY, BucketSize.DAY),
        (300 * DAY, BucketSize.DAY),
    ],
)
def test_a_size_is_chosen_for_the_window(back: timedelta, size: BucketSize) -> None:
    """About a hundred buckets."""
    found = cut(NOW - back, NOW, size=BucketSize.AUTO, zone=UTC_ZONE, now=NOW)
    assert found.size is size
    assert len(found.starts) <= 301


def test_an_old_hour_has_the_buckets_that_are_kept() -> None:
    """A window of an hour five days ago is cut into quarters, and one 30 days ago is an hour."""
    for back, size in ((5 * DAY, BucketSize.QUARTER), (30 * DAY, BucketSize.HOUR), (200 * DAY, BucketSize.DAY)):
        assert cut(NOW - back, NOW - back + HOUR, size=BucketSize.AUTO, zone=UTC_ZONE, now=NOW).size is size


@pytest.mark.parametrize("size", [size for size in BucketSize if size is not BucketSize.AUTO])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/New_York"])
def test_parts_make_up_the_buckets(size: BucketSize, zone: str) -> None:
    """They cover the window once and in order, and none holds a total that reaches into two buckets."""
    found = cut(NOW - 9 * HOUR, NOW, size=size, zone=ZoneInfo(zone), now=NOW)
    edges = [minute_of(at) for at in (*found.starts, found.until)]
    assert found.starts[0] <= NOW - 9 * HOUR
    assert found.until >= NOW
    assert [part.since for part in found.parts[1:]] == [part.until for part in found.parts[:-1]]
    assert (found.parts[0].since, found.parts[-1].until) == (edges[0], edges[-1])
    for part in found.parts:
        for edge in edges:
            assert not part.since < edge < part.until or (edge - part.since) % part.span == 0


def test_days_begin_at_midnight_of_the_zone() -> None:
    """The day in which clocks are put forward has 23 hours."""
    zone = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 3, 31, tzinfo=UTC)
    found = cut(datetime(2026, 3, 28, 12, tzinfo=UTC), now, size=BucketSize.DAY, zone=zone, now=now)
    assert {start.astimezone(zone).hour for start in found.starts} == {0}
    assert [(end - begin) // HOUR for begin, end in pairwise((*found.starts, found.until))] == [24, 23, 24, 24]


def test_what_is_not_kept_is_refused() -> None:
    """Minutes of last month, and days of a zone whose hours are gone; days of UTC are there."""
    for size, zone, back in (
        (BucketSize.MINUTE, "UTC", 30 * DAY),
        (BucketSize.DAY, "Europe/Berlin", 200 * DAY),
        (BucketSize.DAY, "Asia/Kolkata", 30 * DAY),
    ):
        with pytest.raises(InputError) as refused:
            cut(NOW - back, NOW - back + HOUR, size=size, zone=ZoneInfo(zone), now=NOW)
        assert refused.value.field == "bucket"
    assert cut(NOW - 200 * DAY, NOW, size=BucketSize.DAY, zone=UTC_ZONE, now=NOW).starts


def test_too_many_buckets_are_refused() -> None:
    """As many as are allowed are not."""
    window = timedelta(minutes=BUCKETS_MAX)
    whole = NOW.replace(second=0)
    assert len(cut(whole - window, whole, size=BucketSize.MINUTE, zone=UTC_ZONE, now=NOW).starts) == BUCKETS_MAX
    with pytest.raises(InputError):
        cut(whole - window, NOW, size=BucketSize.MINUTE, zone=UTC_ZONE, now=NOW)
