"""Up to which time of receipt a partition is stored, as far as a worker can know it."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, cast
from uuid import UUID

from faust.types.tuples import TP
from hypothesis import given
from hypothesis import strategies as st

from stream_workers.health.receipts import _MARKS_MAX, Mark, Marks, Receipts
from stream_workers.kafka.watermark import OldestChunk
from stream_workers.store.batch import Topic

P0, P1 = TP("t", 0), TP("t", 1)


def test_a_mark_is_reached_once_all_before_it_is_stored() -> None:
    """The youngest one that is covered; it and those before it are then forgotten, and those behind it stay."""
    marks = Marks()
    for mark in (Mark(5, 1.0), Mark(9, 2.0), Mark(12, 3.0)):
        marks.add(mark)
    assert marks.reached(4) is None
    assert marks.reached(11) == (9, 2.0)
    assert marks.reached(11) is None
    assert marks.reached(12) == (12, 3.0)


def test_an_idle_partition_advances() -> None:
    """The end stays where it is, and each later question says more."""
    marks = Marks()
    marks.add(Mark(7, 1.0))
    marks.add(Mark(7, 2.0))
    assert marks.reached(7) == (7, 2.0)
    marks.add(Mark(7, 3.0))
    assert marks.reached(7) == (7, 3.0)


def test_a_log_that_was_cut_takes_its_marks_along() -> None:
    """Its offsets are given again: what was said of them held for other records."""
    marks = Marks()
    marks.add(Mark(9, 1.0))
    marks.add(Mark(4, 2.0))
    assert marks.reached(100) == (4, 2.0)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=400), st.integers(0, 900))
def test_no_mark_is_reached_too_early(grown: list[int], stored: int) -> None:
    """However long the backlog is and whatever of it is forgotten: it says no more than the marks did, and keeps few of them."""
    marks, end, said = Marks(), 0, {}
    for at, more in enumerate(grown):
        end += more
        said[float(at)] = end
        marks.add(Mark(end, float(at)))
    assert len(marks._open) <= _MARKS_MAX
    reached = marks.reached(stored)
    covered = [at for at, offset in said.items() if offset <= stored]
    if reached is not None:
        assert reached.offset == said[reached.at_s] <= stored
        assert reached.at_s <= max(covered)
    if len(grown) <= _MARKS_MAX:
        assert (reached.at_s if reached else None) == max(covered, default=None)


class _Consumer:
    """What a worker knows of its partitions: what is stored, and the oldest chunk that is not."""

    def __init__(self, stored: Mapping[TP, int | None], oldest: Mapping[TP, OldestChunk] | None = None) -> None:
        self._stored = stored
        self._oldest = oldest or {}

    def assigned(self) -> list[TP]:
        return sorted(self._stored)

    def stored_offset(self, tp: TP) -> int | None:
        return self._stored[tp]

    def oldest(self, tp: TP) -> OldestChunk | None:
        return self._oldest.get(tp)


class _Log:
    def __init__(self, ends: Mapping[int, int]) -> None:
        self._ends = ends

    async def ends(self, partitions: Iterable[int]) -> Mapping[int, int]:
        return {partition: self._ends[partition] for partition in partitions}


def _looked(consumer: _Consumer, ends: Mapping[int, int]) -> Mapping[int, Mark]:
    opened: Any = None
    receipts = Receipts("", Topic("t", UUID(int=1)), cast("Any", consumer), opened, margin_s=0, clock_s=lambda: 100.0)
    return asyncio.run(receipts._look(cast("Any", _Log(ends))))


def test_what_is_stored_to_its_end_is_complete_until_the_question() -> None:
    """Each partition for itself; one that has more in the log than is stored says nothing, and neither does an unknown one."""
    assert _looked(_Consumer({P0: 5, P1: 4}), {0: 5, 1: 6}) == {0: (5, 100.0)}
    assert _looked(_Consumer({P0: None}), {0: 5}) == {}
    assert _looked(_Consumer({}), {}) == {}


def test_a_backlog_is_complete_until_its_oldest_record() -> None:
    """Of the chunk that follows what is stored; not of one that was fetched before a rewind and lies further on."""
    assert _looked(_Consumer({P0: 5}, {P0: OldestChunk(5, 60.0)}), {0: 900}) == {0: (5, 60.0)}
    assert _looked(_Consumer({P0: 5}, {P0: OldestChunk(500, 90.0)}), {0: 900}) == {}
