"""Sequence numbers by producer: what is there, in any order and however often said."""

import itertools
import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenttracer.wire.envelope import Producer, Record
from agenttracer.wire.events import Event, RunFinished, RunHeartbeat, RunStarted, StepFinished
from agenttracer.wire.vocabulary import RunEnd, StepKind, StepStatus
from stream_workers.core import sequence_ranges
from stream_workers.core.fold import fold
from stream_workers.core.sequence_ranges import ProducerRow, Ranges, merged, ranges_of, united
from stream_workers.pipeline.decode import canonical_json

RUN = "0198c0de-0000-7000-8000-000000000001"
AT = 1_790_000_000_000_000


def _step(seq: int) -> StepFinished:
    return StepFinished(
        run_id=RUN,
        seq=seq,
        step_id=f"{seq + 1:016x}",
        kind=StepKind.TOOL,
        name="search",
        started_at=AT,
        duration_us=1,
        status=StepStatus.OK,
    )


def _end(seq: int, emitted: int) -> RunFinished:
    return RunFinished(run_id=RUN, seq=seq, ended_at=AT, status=RunEnd.SUCCESS, emitted=emitted)


_START = RunStarted(run_id=RUN, seq=0, started_at=AT)


def _producers(*said: tuple[str, tuple[Event, ...]]) -> list[ProducerRow]:
    records = [
        Record(v="1.0", project="d", producer=Producer(id=name, agent="a", agent_version="1"), received_at=AT, events=events)
        for name, events in said
    ]
    return sorted(fold(records, canonical_json).producers.values())


def test_a_producer_is_known_by_its_numbers() -> None:
    """Records unite, whatever is between them; a heartbeat has no number."""
    beat = RunHeartbeat(run_id=RUN, at=AT)
    rows = _producers(("p", (_START, beat, _step(1))), ("p", (_step(5), _step(4))), ("p", (_step(4), _end(7, 6))))
    assert rows == [ProducerRow("d", RUN, "p", ((0, 2), (4, 6), (7, 8)), 6)]


def test_processes_of_one_run_have_an_account_each() -> None:
    """A forked child goes on with the numbers under a name of its own, and never ends the run."""
    rows = _producers(("parent", (_START, _step(1), _end(2, 3))), ("child", (_step(2), _step(3))))
    assert rows == [ProducerRow("d", RUN, "child", ((2, 4),), None), ProducerRow("d", RUN, "parent", ((0, 3),), 3)]


@pytest.mark.parametrize("events", [(_step(0),), (_START, _step(0), _end(0, 0)), (_START, _end(0, 0)), (_end(3, 0),)])
def test_who_does_not_number_has_no_account(events: tuple[Event, ...]) -> None:
    """Spans all have the number 0, and their end counts nothing."""
    assert _producers(("otlp", events)) == []


def test_a_start_that_is_said_twice_in_one_request_still_has_a_number() -> None:
    """The gateway puts all of a run's events of one request into one record, and a client may repeat itself within it."""
    rows = _producers(("p", (_START, _step(1), _START, _step(1), _step(2), _end(3, 4))))
    assert rows == [ProducerRow("d", RUN, "p", ((0, 4),), 4)]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_ranges_hold_exactly_the_numbers(numbers: list[int]) -> None:
    """Ascending, apart from each other, and nothing but what was given."""
    ranges = ranges_of(numbers)
    assert [number for first, end in ranges for number in range(first, end)] == sorted(set(numbers))
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ranges))


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=9), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_merging_is_blind_to_order_and_repetition(parts: list[list[int]], shuffle: random.Random) -> None:
    """Any order of parts, some of them twice, is all numbers together."""
    rows = [ProducerRow("d", RUN, "p", ranges_of(part), part[0] or None) for part in parts]
    delivered = [*rows, *shuffle.sample(rows, len(rows) // 2)]
    shuffle.shuffle(delivered)
    found = delivered[0]
    for row in delivered[1:]:
        found = merged([found, row])
    assert found.seen == united((number, number + 1) for part in parts for number in part)
    assert found.emitted == max((part[0] for part in parts if part[0]), default=None)


def test_numbers_of_many_records_unite_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A producer that lost every second event costs one union a batch, not one a record."""
    unions = []

    def counting(ranges: Iterable[tuple[int, int]]) -> Ranges:
        unions.append(1)
        return united(ranges)

    monkeypatch.setattr(sequence_ranges, "united", counting)
    rows = _producers(*(("p", (_step(2 * n),)) for n in range(1, 500)))
    assert rows[0].seen == tuple((2 * n, 2 * n + 1) for n in range(1, 500))
    assert len(unions) == 1
