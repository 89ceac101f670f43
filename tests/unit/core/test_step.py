"""Events become rows."""

import pytest

from agenttracer.wire.envelope import Producer, Record
from agenttracer.wire.events import (
    RUN_SCOPE_ID,
    AgentExecution,
    Cost,
    Evidence,
    FailureRecorded,
    ReturnedError,
    RunFinished,
    RunStarted,
    StepFinished,
)
from agenttracer.wire.vocabulary import EndReason, FailureType, RunEnd, RunKind, StepKind, StepStatus
from stream_workers.core.fold import Tables, fold
from stream_workers.core.rows import StepRow
from stream_workers.pipeline.decode import canonical_json

RUN = "0198c0de-0000-7000-8000-000000000001"
STEP = "00000000000000a1"
AT = 1_790_000_000_000_000
START_DIGEST = -7516531154515103159
END_DIGEST = 335948956605463637
"""Of release 0.1's first stores: `blake2b` of what those events said."""


def _step(**said: object) -> StepFinished:
    given = {
        "run_id": RUN,
        "seq": 1,
        "step_id": STEP,
        "kind": StepKind.TOOL,
        "name": "search",
        "started_at": AT,
        "duration_us": 10,
        "status": StepStatus.ERROR,
        "evidence": Evidence(error_class="TimeoutError"),
    }
    return StepFinished(**{**given, **said})


def _row(**said: object) -> StepRow:
    (row,) = _tables(_step(**said)).steps.values()
    return row


def _tables(*events: object) -> Tables:
    producer = Producer(id="p", agent="a", agent_version="1")
    return fold(
        [Record(v="1.1", project="d", producer=producer, received_at=AT, events=(event,)) for event in events], canonical_json
    )


def _failures(*events: object) -> list[tuple[str, str, str, int]]:
    producer = Producer(id="p", agent="a", agent_version="1")
    records = [Record(v="1.0", project="default", producer=producer, received_at=AT, events=(event,)) for event in events]
    found = fold(records, canonical_json).failures.values()
    return [(row.failure_id, row.failure_type, row.failure_code, row.failure_rank) for row, _ in found]


_RECORDED = FailureRecorded(
    run_id=RUN,
    seq=2,
    failure_id=STEP,
    occurred_at=AT,
    failure_type=FailureType.RETRIEVAL,
    failure_code="my_code",
    step_id=STEP,
)


def test_a_recorded_failure_replaces_the_one_found_in_its_step() -> None:
    """What the agent's own code says wins over classification, whichever comes first."""
    expected = [(STEP, "retrieval", "my_code", 0)]
    assert _failures(_step(), _RECORDED) == expected
    assert _failures(_RECORDED, _step()) == expected


def test_an_error_on_its_way_through_an_outer_step_is_one_failure() -> None:
    """A step that only passed a nested step's error on has no failure of its own; nor has the run's end."""
    outer = _step(step_id="00000000000000b2", cause_step_id=STEP)
    end = RunFinished(
        run_id=RUN,
        seq=3,
        ended_at=AT + 20,
        status=RunEnd.FAILURE,
        emitted=4,
        evidence=Evidence(error_class="TimeoutError"),
        cause_step_id=STEP,
    )
    assert _failures(outer, _step(), end) == [(STEP, "tool", "timeout", 1)]


def test_an_error_outside_any_step_is_the_runs() -> None:
    """Evidence of the end itself becomes a failure of the run."""
    end = RunFinished(
        run_id=RUN, seq=1, ended_at=AT, status=RunEnd.FAILURE, emitted=2, evidence=Evidence(error_class="RuntimeError")
    )
    assert _failures(end) == [(RUN_SCOPE_ID, "orchestration", "unhandled_exception", 2)]


def test_an_empty_retrieval_is_a_failure_though_nothing_was_raised() -> None:
    """A retrieval step that found nothing failed its run's purpose."""
    quiet = _step(kind=StepKind.RETRIEVE, status=StepStatus.OK, evidence=None, metadata={"result_count": 0})
    assert _failures(quiet) == [(STEP, "retrieval", "empty_retrieval", 1)]


def test_a_returned_error_marks_its_step_and_nothing_else() -> None:
    """It has columns of its own; a step that went well stays one."""
    row = _row(status=StepStatus.OK, evidence=None, returned_error=ReturnedError(http_status=404, exit_status=-9))
    assert (row.returned_code, row.returned_http_status, row.returned_exit_status, row.returned_error_class) == (
        "error",
        404,
        -9,
        None,
    )
    assert (row.status, row.http_status, row.error_class) == ("ok", None, None)
    assert _row(returned_error=ReturnedError(code="timeout")).returned_code == "timeout"
    assert _row().returned_code is None


def test_what_a_step_says_since_1_1_has_columns() -> None:
    """Digests, the agent that it executes, its cost and what was redacted."""
    agent = AgentExecution(name="refund", version="2", end_reason=EndReason.LIMIT_TIME)
    row = _row(work_digest="a" * 16, agent=agent, cost=Cost(nano=123_000, currency="USD"), session_digest="b" * 32, redacted=2)
    assert (row.work_digest, row.session_digest, row.redacted) == ("a" * 16, "b" * 32, 2)
    assert (row.own_agent, row.own_agent_version, row.own_end_reason) == ("refund", "2", "limit_time")
    assert (row.cost_nano, row.cost_currency) == (123_000, "USD")
    assert (row.agent, row.agent_version) == ("a", "1"), "the producer's"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, (None, None, None)),
        ({"model": "gpt-4o", "input_tokens": 0, "output_tokens": 2**31 - 1}, ("gpt-4o", 0, 2**31 - 1)),
        ({"model": 4, "input_tokens": True, "output_tokens": 2.0}, (None, None, None)),
        ({"model": "m", "input_tokens": -1, "output_tokens": 2**31}, ("m", None, None)),
    ],
)
def test_models_and_tokens_are_copied_where_they_are_of_their_form(metadata: dict[str, object], expected: object) -> None:
    """Statistics read columns; metadata keeps what was said, whatever it was."""
    row = _row(metadata=metadata)
    assert (row.model, row.input_tokens, row.output_tokens) == expected
    assert (row.metadata is not None) == bool(metadata)


@pytest.mark.parametrize(
    ("status", "reason", "kept"),
    [
        (RunEnd.SUCCESS, EndReason.COMPLETED, "completed"),
        (RunEnd.PARTIAL, EndReason.COMPLETED, "completed"),
        (RunEnd.FAILURE, EndReason.LIMIT_STEPS, "limit_steps"),
        (RunEnd.PARTIAL, EndReason.CANCELLED, "cancelled"),
        (RunEnd.SUCCESS, EndReason.LIMIT_STEPS, None),
        (RunEnd.FAILURE, EndReason.COMPLETED, None),
        (RunEnd.FAILURE, None, None),
    ],
)
def test_a_reason_that_contradicts_its_status_is_left_out(status: RunEnd, reason: EndReason | None, kept: str | None) -> None:
    """Nobody knows which of the two is right; the status is what the contract required first."""
    ((state, _, _),) = _tables(
        RunFinished(run_id=RUN, seq=1, ended_at=AT, status=status, emitted=1, end_reason=reason)
    ).runs.values()
    assert state.end is not None
    assert (state.end.end_status, state.end.end_reason) == (status, kept)


def test_events_of_contract_1_0_keep_their_digests() -> None:
    """A stored run of before is equal to what the fold makes of its events now."""
    end = RunFinished(run_id=RUN, seq=1, ended_at=AT, status=RunEnd.SUCCESS, emitted=2)
    start = RunStarted(run_id=RUN, seq=0, started_at=AT)
    ((state, _, _),) = _tables(start, end).runs.values()
    assert state.start is not None
    assert state.end is not None
    assert (state.start.start_digest, state.end.end_digest) == (START_DIGEST, END_DIGEST)


def test_the_session_of_a_run_is_the_least_that_any_event_says() -> None:
    """Whether the start says it or a step, and in whichever order they come."""
    start = RunStarted(run_id=RUN, seq=0, started_at=AT, session_digest="b" * 32, kind=RunKind.TRACE)
    for events in ((start, _step(session_digest="a" * 32)), (_step(session_digest="a" * 32), start)):
        ((state, _, _),) = _tables(*events).runs.values()
        assert state.session_digest == "a" * 32
        assert state.start is not None
        assert state.start.declared_kind == "trace"
