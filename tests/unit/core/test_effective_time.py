"""The time that counts for a run whose sender's clock is far off."""

import itertools
from dataclasses import replace

import pytest

from agenttracer.wire.envelope import VERSION, Producer, Record
from agenttracer.wire.events import EventsDropped, RunFinished, RunStarted, StepFinished
from agenttracer.wire.vocabulary import DropReason, RunEnd, StepKind, StepStatus
from stream_workers.core.effective_time import FUTURE_MAX_US, PAST_MAX_US, FirstReceipt, earlier, receipt_of, time_shift_us
from stream_workers.core.fold import DAY_US, Tables, fold, started_at
from stream_workers.pipeline.decode import canonical_json

NOW = 1_796_083_200_000_000  # 2026-12-01
MINUTE = 60_000_000
RUN = "019ab0de-7c1e-7000-8000-0242ac120002"
PRODUCER = Producer(id="p1", agent="support", agent_version="1.0")


def _record(*events: RunStarted | StepFinished | RunFinished | EventsDropped, received_at: int = NOW) -> Record:
    return Record(v=VERSION, project="shop", producer=PRODUCER, received_at=received_at, events=events)


def _step(at: int, seq: int = 1) -> StepFinished:
    return StepFinished(
        run_id=RUN,
        seq=seq,
        step_id=f"{seq:016x}",
        kind=StepKind.TOOL,
        name="search",
        started_at=at,
        duration_us=1_000,
        status=StepStatus.ERROR,
    )


def _run(at: int) -> tuple[RunStarted, StepFinished, RunFinished]:
    end = RunFinished(run_id=RUN, seq=2, ended_at=at + MINUTE, status=RunEnd.FAILURE, emitted=3)
    return RunStarted(run_id=RUN, seq=0, started_at=at), _step(at + MINUTE // 2), end


def _start(tables: Tables) -> int:
    return started_at(tables.runs["shop", RUN][0])


@pytest.mark.parametrize("behind", [-FUTURE_MAX_US, -1, 0, MINUTE, PAST_MAX_US])
def test_a_clock_within_the_window_is_believed(behind: int) -> None:
    """Up to thirty days before the first receipt and ten minutes after it, both ends included."""
    assert time_shift_us(FirstReceipt(NOW, NOW - behind)) == 0


@pytest.mark.parametrize("behind", [-FUTURE_MAX_US - 1, PAST_MAX_US + 1, -70 * 365 * DAY_US, 26 * 365 * DAY_US])
def test_beyond_the_window_the_run_is_put_at_its_receipt(behind: int) -> None:
    """By one amount, whatever side it lies on."""
    assert time_shift_us(FirstReceipt(NOW, NOW - behind)) == behind


def test_of_a_record_the_time_nearest_to_its_receipt_decides() -> None:
    """One broken time beside sound ones moves nothing: the clock was right in the record."""
    century = 70 * 365 * DAY_US
    assert receipt_of(NOW, NOW - MINUTE, NOW + century) == (NOW, NOW - MINUTE)
    assert receipt_of(NOW, NOW - century, NOW - MINUTE) == (NOW, NOW - MINUTE)


def test_the_earliest_receipt_decides_in_any_order() -> None:
    """Whatever is sent again later, and in whatever order it is read, the first receipt is the same."""
    known = [FirstReceipt(NOW + 5, 1), FirstReceipt(NOW, 9), FirstReceipt(NOW, 7), None]
    for order in itertools.permutations(known):
        found = None
        for one in order:
            found = earlier(found, one)
        assert found == (NOW, 7)


@pytest.mark.parametrize(("off", "begins"), [(-3 * DAY_US, NOW), (45 * DAY_US, NOW - MINUTE)])
def test_order_and_durations_stay(off: int, begins: int) -> None:
    """Run, step statistics and failures move by the same amount; latency and the stored step are as they were sent."""
    tables = fold([_record(*_run(begins - off))], canonical_json)
    sound = fold([_record(*_run(begins), received_at=begins + MINUTE)], canonical_json)
    assert _start(tables) == _start(sound) == begins
    assert tables.run_rollups == sound.run_rollups
    assert tables.step_rollups == sound.step_rollups
    assert [row.occurred_at for row, _ in tables.failures.values()] == [row.occurred_at for row, _ in sound.failures.values()]
    assert [row.started_at + off for row in tables.steps.values()] == [row.started_at for row in sound.steps.values()]


@pytest.mark.parametrize("off", [0, -3 * DAY_US, 45 * DAY_US])
def test_a_batch_that_is_sent_on_two_days_is_one_row_each(off: int) -> None:
    """Keys never depend on receipt, nor does the time that counts move with the second one."""
    first = _record(*_run(NOW - MINUTE - off))
    again = replace(first, received_at=NOW + DAY_US)
    once, twice = fold([first], canonical_json), fold([again, first], canonical_json)
    assert (len(twice.runs), len(twice.steps), len(twice.failures)) == (1, 1, 1)
    assert (twice.steps, twice.failures, twice.run_rollups, twice.step_rollups) == (
        once.steps,
        once.failures,
        once.run_rollups,
        once.step_rollups,
    )
    assert _start(twice) == _start(once)


def test_later_records_of_a_run_do_not_move_it() -> None:
    """A long run stays where its first receipt has it, and a step of another century moves alone."""
    records = [_record(*_run(NOW - MINUTE)), _record(_step(NOW + 60 * 365 * DAY_US, seq=3), received_at=NOW + MINUTE)]
    assert _start(fold(records, canonical_json)) == NOW - MINUTE


def test_a_record_without_times_says_nothing_of_the_clock() -> None:
    """Losses alone have no time."""
    lost = _record(EventsDropped(run_id=RUN, reason=DropReason.QUEUE_FULL, total=2), received_at=NOW - DAY_US)
    [(state, _, _)] = fold([lost], canonical_json).runs.values()
    assert state.receipt is None
    assert time_shift_us(state.receipt) == 0
    assert _start(fold([lost, _record(*_run(NOW - 45 * DAY_US))], canonical_json)) == NOW - MINUTE
