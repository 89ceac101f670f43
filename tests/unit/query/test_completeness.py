"""What is said of a run's losses."""

from dataclasses import replace

import pytest

from query_service.completeness import Completeness, Verdict, accounts_of, declared_of, judge
from query_service.stored import Producer, Run
from query_service.testing_rows import DEFAULT_RUN, NOON

RUN = Run(
    run_id=DEFAULT_RUN,
    agent="a",
    agent_version="1",
    status="success",
    started_at=NOON,
    ended_at=NOON,
    latency_us=0,
    step_count=3,
    error_step_count=0,
    failure_count=4,
    recorded_failure_count=1,
    failure=None,
    parent_run_id=None,
    metadata={},
    last_received_at=NOON,
    start_seen=True,
    emitted=6,
    root_cause=None,
    shape=None,
    truncated=False,
    producers=(),
)
LOST_SOME = Producer(producer="p", emitted=None, stored=None, gaps=0, declared={"exit": 2})


@pytest.mark.parametrize(
    ("run", "verdict"),
    [
        (RUN, Verdict(Completeness.COMPLETE, 0, 6)),
        (replace(RUN, emitted=8), Verdict(Completeness.LOST, 2, 6)),
        (replace(RUN, start_seen=False), Verdict(Completeness.LOST, 1, 5)),
        (replace(RUN, recorded_failure_count=0), Verdict(Completeness.LOST, 1, 5)),
        (replace(RUN, emitted=5), Verdict(Completeness.UNKNOWN, 0, 6)),
        (replace(RUN, emitted=0), Verdict(Completeness.UNKNOWN, 0, 6)),
        (replace(RUN, ended_at=None, emitted=None), Verdict(Completeness.UNKNOWN, 0, 5)),
        (replace(RUN, ended_at=None, emitted=None, producers=(LOST_SOME,)), Verdict(Completeness.LOST, 2, 5)),
    ],
)
def test_verdict_by_the_end(run: Run, verdict: Verdict) -> None:
    """Start, steps, recorded failures and end make up what was emitted; without an end, or with more, nothing is known."""
    assert judge(run) == verdict


def producer(emitted: int | None, stored: int, *, gaps: int = 0, **declared: int) -> Producer:
    """One that numbers its events."""
    return Producer(producer="p", emitted=emitted, stored=stored, gaps=gaps, declared=declared)


@pytest.mark.parametrize(
    ("said", "verdict", "unexplained"),
    [
        (producer(6, 6), Verdict(Completeness.COMPLETE, 0, 6), 0),
        (producer(6, 6, gaps=2), Verdict(Completeness.COMPLETE, 0, 6), 0),  # steps that never ended emitted nothing
        (producer(8, 6, gaps=2), Verdict(Completeness.LOST, 2, 6), 2),
        (producer(8, 6, gaps=2, queue_full=2), Verdict(Completeness.LOST, 2, 6), 0),
        (producer(8, 6, queue_full=1), Verdict(Completeness.LOST, 2, 6), 1),
        (producer(None, 6, gaps=1), Verdict(Completeness.UNKNOWN, 0, 6), 0),
        (producer(None, 6, fork=3), Verdict(Completeness.LOST, 3, 6), 0),
        (producer(5, 6), Verdict(Completeness.UNKNOWN, 0, 6), 0),
    ],
)
def test_account_of_a_producer(said: Producer, verdict: Verdict, unexplained: int) -> None:
    """What the end counted and is not there is lost, with what was declared as its reason; before the end only that is known."""
    (account,) = accounts_of([said])
    assert account.verdict == verdict
    assert account.unexplained == unexplained
    assert (account.gaps, account.declared) == (said.gaps, said.declared)


@pytest.mark.parametrize(
    ("producers", "verdict"),
    [
        ((producer(6, 6), producer(3, 3)), Verdict(Completeness.COMPLETE, 0, 9)),
        ((producer(6, 6), producer(None, 3)), Verdict(Completeness.UNKNOWN, 0, 9)),
        ((producer(7, 6), producer(None, 3)), Verdict(Completeness.LOST, 1, 9)),
        ((producer(7, 6), producer(5, 3, exit=2)), Verdict(Completeness.LOST, 3, 9)),
        ((producer(6, 6), LOST_SOME), Verdict(Completeness.LOST, 2, 6)),
    ],
)
def test_a_run_of_several_producers(producers: tuple[Producer, ...], verdict: Verdict) -> None:
    """Processes of one run (a fork) have a part each: the run is complete when all of them are."""
    assert judge(replace(RUN, producers=producers)) == verdict


def test_declared_losses_add_up_by_reason() -> None:
    """Of all producers together."""
    assert declared_of([producer(1, 0, exit=1, fork=2), producer(1, 0, exit=3)]) == {"exit": 4, "fork": 2}
