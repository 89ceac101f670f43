"""What is said of a run's losses."""

from dataclasses import replace

import pytest

from query_service.completeness import Completeness, Verdict, judge
from query_service.stored import Run
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
    declared={},
)


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
    ],
)
def test_verdict(run: Run, verdict: Verdict) -> None:
    """Start, steps, recorded failures and end make up what was emitted; without an end, or with more, nothing is known."""
    assert judge(run) == verdict
