"""Parts of windows, periods of deltas, and packed histograms."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ddl import rollups

NOW = rollups.DAY * 20_000 + 777
_NEAR = st.integers(NOW - 200 * rollups.DAY, NOW + 3 * rollups.DAY)
_LENGTHS = st.integers(1, 120 * rollups.DAY)


@given(since=_NEAR, length=_LENGTHS)
def test_parts_follow_each_other_and_cover_the_window(since: int, length: int) -> None:
    """No gap, no overlap; each begins and ends with a period of its span."""
    found = rollups.parts(since, since + length, now=NOW)
    assert found[0].since <= since
    assert found[-1].until >= since + length
    assert all(one.until == other.since for one, other in itertools.pairwise(found))
    assert all(one.since % one.span == one.until % one.span == 0 and one.since < one.until for one in found)


@given(since=_NEAR, length=_LENGTHS)
def test_a_window_is_widened_by_less_than_the_span_that_is_kept(since: int, length: int) -> None:
    """So the last two days are answered by the minute."""
    found = rollups.parts(since, since + length, now=NOW)
    assert since - found[0].since < rollups.shortest_kept(since, now=NOW)
    assert found[-1].until - (since + length) < rollups.shortest_kept(since + length, now=NOW)


@given(since=_NEAR, length=_LENGTHS, behind=st.integers(-rollups.DAY, rollups.DAY))
def test_every_part_is_stored(since: int, length: int, behind: int) -> None:
    """Also by a compaction whose clock is a day off: what was read by a span a moment ago is not removed yet."""
    for part in rollups.parts(since, since + length, now=NOW):
        oldest = rollups.oldest_stored(part.span, now=NOW + behind)
        assert oldest is None or part.since >= oldest


@given(since=_NEAR, length=_LENGTHS)
def test_a_window_has_few_parts(since: int, length: int) -> None:
    """At most two of every span but the longest: thirty days are some fifty periods and not 43,200."""
    assert len(rollups.parts(since, since + length, now=NOW)) <= 2 * len(rollups.SPANS) - 1


@given(minute=_NEAR)
def test_a_delta_is_added_to_the_period_of_every_span_that_holds_it(minute: int) -> None:
    """The day's always; those of shorter spans as long as they are stored."""
    found = dict(rollups.periods(minute, now=NOW))
    assert rollups.DAY in found
    for span in rollups.SPANS:
        oldest = rollups.oldest_stored(span, now=NOW)
        assert (span in found) == (oldest is None or minute >= oldest)
    assert all(period <= minute < period + span and period % span == 0 for span, period in found.items())


@given(st.dictionaries(st.integers(-1, 2**15 - 1), st.integers(-(2**63), 2**63 - 1)))
def test_a_packed_histogram_is_read_as_it_was(histogram: dict[int, int]) -> None:
    """Buckets that count nothing are left out."""
    assert rollups.unpack(rollups.pack(histogram)) == {bucket: count for bucket, count in histogram.items() if count}


@given(st.lists(st.dictionaries(st.integers(-1, 999), st.integers(-9, 9)), max_size=5))
def test_packed_histograms_add_up_where_they_are_joined(histograms: list[dict[int, int]]) -> None:
    """So SQL adds them by joining bytes."""
    joined = rollups.unpack(b"".join(map(rollups.pack, histograms)))
    buckets = {bucket for histogram in histograms for bucket in histogram}
    assert {bucket: joined.get(bucket, 0) for bucket in buckets} == {b: sum(one.get(b, 0) for one in histograms) for b in buckets}


def test_minutes_are_of_utc() -> None:
    """From a moment to its minute and back."""
    assert rollups.moment(rollups.minute_of(rollups.moment(123))) == rollups.moment(123)
    assert rollups.moment(0).isoformat() == "1970-01-01T00:00:00+00:00"
