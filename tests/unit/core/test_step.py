"""Events become rows."""

from agenttracer.wire.envelope import Producer, Record
from agenttracer.wire.events import RUN_SCOPE_ID, Evidence, FailureRecorded, RunFinished, StepFinished
from agenttracer.wire.vocabulary import FailureType, RunEnd, StepKind, StepStatus
from stream_workers.core.fold import fold
from stream_workers.decode import canonical_json

RUN = "0198c0de-0000-7000-8000-000000000001"
STEP = "00000000000000a1"
AT = 1_790_000_000_000_000


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
