"""What is said of a run's losses."""

from dataclasses import replace

import pytest

from query_service.completeness import Completeness, CompletenessState, declared_losses, producer_completeness, run_completeness
from query_service.store.rows import ProducerAccount, StoredRun
from query_service.testing_rows import DEFAULT_RUN, NOON

RUN = StoredRun(
    run_id=DEFAULT_RUN,
    agent="a",
    agent_version="1",
    status="success",
    started_at=NOON,
    ended_at=NOON,
    latency_us=0,
    end_reason=None,
    session_digest=None,
    step_count=3,
    error_step_count=0,
    failure_count=4,
    recorded_failure_count=1,
    failure=None,
    parent_run_id=None,
    parent_step_id=None,
    metadata={},
    last_received_at=NOON,
    time_shift_us=0,
    start_seen=True,
    emitted=6,
    root_cause=None,
    shape=None,
    truncated=False,
    producers=(),
)
LOST_SOME = ProducerAccount(producer="p", emitted=None, stored=None, gaps=0, declared={"exit": 2})


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (RUN, Completeness(CompletenessState.COMPLETE, 0, 6)),
        (replace(RUN, emitted=8), Completeness(CompletenessState.LOST, 2, 6)),
        (replace(RUN, start_seen=False), Completeness(CompletenessState.LOST, 1, 5)),
        (replace(RUN, recorded_failure_count=0), Completeness(CompletenessState.LOST, 1, 5)),
        (replace(RUN, emitted=5), Completeness(CompletenessState.UNKNOWN, 0, 6)),
        (replace(RUN, emitted=0), Completeness(CompletenessState.UNKNOWN, 0, 6)),
        (replace(RUN, ended_at=None, emitted=None), Completeness(CompletenessState.UNKNOWN, 0, 5)),
        (replace(RUN, ended_at=None, emitted=None, producers=(LOST_SOME,)), Completeness(CompletenessState.LOST, 2, 5)),
    ],
)
def test_completeness_by_the_end(run: StoredRun, expected: Completeness) -> None:
    """Start, steps, recorded failures and end make up what was emitted; without an end, or with more, nothing is known."""
    assert run_completeness(run) == expected


def producer(emitted: int | None, stored: int, *, gaps: int = 0, **declared: int) -> ProducerAccount:
    """One that numbers its events."""
    return ProducerAccount(producer="p", emitted=emitted, stored=stored, gaps=gaps, declared=declared)


@pytest.mark.parametrize(
    ("said", "expected", "unexplained"),
    [
        (producer(6, 6), Completeness(CompletenessState.COMPLETE, 0, 6), 0),
        (producer(6, 6, gaps=2), Completeness(CompletenessState.COMPLETE, 0, 6), 0),  # steps that never ended emitted nothing
        (producer(8, 6, gaps=2), Completeness(CompletenessState.LOST, 2, 6), 2),
        (producer(8, 6, gaps=2, queue_full=2), Completeness(CompletenessState.LOST, 2, 6), 0),
        (producer(8, 6, queue_full=1), Completeness(CompletenessState.LOST, 2, 6), 1),
        (producer(None, 6, gaps=1), Completeness(CompletenessState.UNKNOWN, 0, 6), 0),
        (producer(None, 6, fork=3), Completeness(CompletenessState.LOST, 3, 6), 0),
        (producer(5, 6), Completeness(CompletenessState.UNKNOWN, 0, 6), 0),
    ],
)
def test_completeness_of_a_producer(said: ProducerAccount, expected: Completeness, unexplained: int) -> None:
    """What the end counted and is not there is lost, with what was declared as its reason; before the end only that is known."""
    (found,) = producer_completeness([said])
    assert found.completeness == expected
    assert found.unexplained == unexplained
    assert (found.gaps, found.declared) == (said.gaps, said.declared)


@pytest.mark.parametrize(
    ("producers", "expected"),
    [
        ((producer(6, 6), producer(3, 3)), Completeness(CompletenessState.COMPLETE, 0, 9)),
        ((producer(6, 6), producer(None, 3)), Completeness(CompletenessState.UNKNOWN, 0, 9)),
        ((producer(7, 6), producer(None, 3)), Completeness(CompletenessState.LOST, 1, 9)),
        ((producer(7, 6), producer(5, 3, exit=2)), Completeness(CompletenessState.LOST, 3, 9)),
        ((producer(6, 6), LOST_SOME), Completeness(CompletenessState.LOST, 2, 6)),
    ],
)
def test_a_run_of_several_producers(producers: tuple[ProducerAccount, ...], expected: Completeness) -> None:
    """Processes of one run (a fork) have a part each: the run is complete when all of them are."""
    assert run_completeness(replace(RUN, producers=producers)) == expected


def test_declared_losses_add_up_by_reason() -> None:
    """Of all producers together."""
    assert declared_losses([producer(1, 0, exit=1, fork=2), producer(1, 0, exit=3)]) == {"exit": 4, "fork": 2}
