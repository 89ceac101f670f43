"""What a run's failures amount to, case by case."""

import random
from dataclasses import replace

import pytest

from agenttracer.wire.envelope import Producer, Record
from agenttracer.wire.events import RUN_SCOPE_ID, Event, Evidence, FailureRecorded, ReturnedError, RunFinished, StepFinished
from agenttracer.wire.vocabulary import EndReason, FailureType, RunEnd, StepKind, StepStatus
from stream_workers.core.diagnosis import FailureVerdict, RunVerdict
from stream_workers.core.fingerprint import ROUND_MAX, collapsed
from stream_workers.core.fold import fold
from stream_workers.core.loop_detection import IN_A_ROW, SAME_WORK
from stream_workers.pipeline.decode import canonical_json

RUN = "0198c0de-0000-7000-8000-000000000001"
AT = 1_790_000_000_000_000
TIMEOUT = Evidence(error_class="TimeoutError")


def step(
    number: int, name: str = "search", *, parent: int | None = None, error: Evidence | None = None, **said: object
) -> StepFinished:
    """The `number`-th step of the run, one second long, a second after the one before."""
    given = {
        "run_id": RUN,
        "seq": number,
        "step_id": f"{number:016x}",
        "parent_step_id": None if parent is None else f"{parent:016x}",
        "kind": StepKind.TOOL,
        "name": name,
        "started_at": AT + number * 1_000_000,
        "duration_us": 1_000_000,
        "status": StepStatus.OK if error is None else StepStatus.ERROR,
        "evidence": error,
    }
    return StepFinished(**{**given, **said})


def end(status: RunEnd = RunEnd.FAILURE, **said: object) -> RunFinished:
    """The run's end, long after its steps."""
    return RunFinished(run_id=RUN, seq=99, ended_at=AT + 10**12, status=status, emitted=0, **said)


def diagnosed(*events: Event, agent: str = "a") -> tuple[RunVerdict, dict[str, FailureVerdict]]:
    """The fold's verdicts by failure id."""
    producer = Producer(id="p", agent=agent, agent_version="1")
    tables = fold([Record(v="1.0", project="d", producer=producer, received_at=AT, events=events)], canonical_json)
    return tables.runs["d", RUN][2], {row.failure_id: verdict for row, verdict in tables.failures.values()}


def outcomes(*events: Event) -> dict[int, str | None]:
    """By number of the step."""
    return {int(failure_id, 16): verdict.outcome for failure_id, verdict in diagnosed(*events)[1].items()}


def test_a_failure_that_a_later_try_got_over_is_recovered() -> None:
    """The same kind and name at the same place ended well afterwards."""
    assert outcomes(step(1, error=TIMEOUT), step(2, attempt=2)) == {1: "recovered"}


def test_a_place_is_kinds_and_names_and_no_ids() -> None:
    """Turns and nodes are entered again and again: what a later one did makes good what an earlier one failed at."""
    turns = [step(1, "turn", kind=StepKind.OTHER), step(2, parent=1, error=TIMEOUT)]
    again = [step(3, "turn", kind=StepKind.OTHER), step(4, parent=3)]
    assert outcomes(*turns, *again) == outcomes(step(2, error=TIMEOUT), step(4)) == {2: "recovered"}
    assert outcomes(*turns, step(3, "other-turn", kind=StepKind.OTHER), step(4, parent=3)) == {2: "unrecovered"}


def test_a_fan_out_is_no_retry() -> None:
    """Ten parallel fetches of which five fail: the run is partial, and nothing was recovered."""
    fetched = [
        step(number, "fetch", started_at=AT, duration_us=number * 1_000, error=TIMEOUT if number % 2 else None)
        for number in range(10)
    ]
    standing, verdicts = diagnosed(*fetched, end(RunEnd.SUCCESS))
    assert standing.status == "partial"
    assert [verdict.outcome for verdict in verdicts.values()] == ["unrecovered"] * 5


def test_known_work_must_be_done_again_itself() -> None:
    """Another argument is another thing."""
    failed = step(1, error=TIMEOUT, work_digest="a" * 16)
    assert outcomes(failed, step(2, work_digest="b" * 16)) == {1: "unrecovered"}
    assert outcomes(failed, step(2, work_digest="a" * 16)) == {1: "recovered"}


def test_an_outcome_agrees_with_the_status() -> None:
    """Nothing is fatal but in a run that failed; an end that is told stays unless it said success."""
    events = [step(1, error=TIMEOUT), step(2, "lookup")]
    found = {}
    for status in (None, *RunEnd):
        standing, verdicts = diagnosed(*events, *(() if status is None else (end(status),)))
        found[status] = (standing.status, verdicts[f"{1:016x}"].outcome, standing.root is not None)
    assert found == {
        None: (None, "unrecovered", True),
        RunEnd.SUCCESS: ("partial", "unrecovered", True),
        RunEnd.PARTIAL: ("partial", "unrecovered", True),
        RunEnd.FAILURE: ("failure", "fatal", True),
    }


def test_a_returned_error_marks_its_step_and_not_the_run() -> None:
    """It is a failure with a code of its own, can be made good, and a success stays one, without a root cause."""
    returned = step(1, returned_error=ReturnedError(code="not_found", http_status=404))
    standing, verdicts = diagnosed(returned, end(RunEnd.SUCCESS))
    assert (standing.status, standing.root) == ("success", None)
    assert verdicts[f"{1:016x}"].outcome == "unrecovered"
    assert outcomes(returned, step(2)) == {1: "recovered"}
    assert outcomes(step(1, error=TIMEOUT), step(2, returned_error=ReturnedError())) == {1: "unrecovered", 2: "unrecovered"}


def test_a_limit_is_a_failure_of_the_run() -> None:
    """Whatever was raised for it, the end's reason names it."""
    standing, verdicts = diagnosed(step(1), end(RunEnd.FAILURE, end_reason=EndReason.LIMIT_STEPS))
    assert standing.root is not None
    assert (standing.root.failure_code, standing.status) == ("step_limit_exceeded", "failure")
    assert [verdict.outcome for verdict in verdicts.values()] == ["fatal"]
    cancelled, none = diagnosed(step(1), end(RunEnd.PARTIAL, end_reason=EndReason.CANCELLED))
    assert (cancelled.status, none) == ("partial", {})


@pytest.mark.parametrize(
    "other",
    [
        step(0),  # before it
        step(2, "lookup"),  # of another name
        step(2, kind=StepKind.RETRIEVE),  # of another kind
        step(2, parent=8),  # inside another step
        step(2, kind=StepKind.TOOL, error=TIMEOUT, attempt=2),  # failed again
    ],
)
def test_what_is_no_later_success_of_the_same_recovers_nothing(other: StepFinished) -> None:
    """Then the failure is fatal to a run that failed."""
    around = step(8, "flow", kind=StepKind.OTHER)
    assert outcomes(step(1, error=TIMEOUT), other, around, end())[1] == "fatal"


def test_a_second_try_that_found_nothing_is_no_success() -> None:
    """An empty retrieval ended well, and is a failure all the same."""
    empty = {"kind": StepKind.RETRIEVE, "metadata": {"result_count": 0}}
    assert outcomes(step(1, error=TIMEOUT, kind=StepKind.RETRIEVE), step(2, **empty)) == {1: "unrecovered", 2: "unrecovered"}
    found = step(3, kind=StepKind.RETRIEVE, metadata={"result_count": 4})
    assert outcomes(step(1, **empty), step(2, **empty), found) == {1: "recovered", 2: "recovered"}


def test_a_failure_is_recovered_when_what_it_broke_was_done_again() -> None:
    """The error passed through the step above, and that one was tried again with success."""
    above = step(1, "plan", error=TIMEOUT, cause_step_id=f"{2:016x}")
    inner = step(2, parent=1, error=TIMEOUT)
    assert outcomes(above, inner) == {2: "unrecovered"}
    assert outcomes(above, inner, step(3, "plan")) == {2: "recovered"}
    absorbed = replace(above, status=StepStatus.OK, evidence=None, cause_step_id=None)
    assert outcomes(absorbed, inner, step(3, "plan")) == {2: "unrecovered"}


def test_a_failure_of_a_step_that_is_not_there_is_not_judged() -> None:
    """It was recorded in a step that was lost, or has not arrived."""
    recorded = FailureRecorded(
        run_id=RUN,
        seq=3,
        failure_id=f"{7:016x}",
        occurred_at=AT,
        failure_type=FailureType.TOOL,
        failure_code="mine",
        step_id=f"{7:016x}",
    )
    assert outcomes(recorded) == {7: None}
    assert outcomes(recorded, step(7)) == {7: "unrecovered"}


@pytest.mark.parametrize(
    ("status", "outcome"), [(RunEnd.SUCCESS, "recovered"), (RunEnd.PARTIAL, "unrecovered"), (RunEnd.FAILURE, "fatal")]
)
def test_a_failure_without_a_step_is_what_its_run_makes_of_it(status: RunEnd, outcome: str) -> None:
    """Recovered when the run ended in success all the same."""
    recorded = FailureRecorded(
        run_id=RUN, seq=3, failure_id=RUN_SCOPE_ID, occurred_at=AT, failure_type=FailureType.MODEL, failure_code="mine"
    )
    assert outcomes(recorded) == {0: "unrecovered"}
    assert outcomes(recorded, end(status)) == {0: outcome}


def test_the_root_cause_is_where_the_cascade_began() -> None:
    """A tool's error reached the step above and the run's end; spans said apart do not say so themselves."""
    inner = step(3, parent=2, error=TIMEOUT, started_at=AT + 2_100_000, duration_us=100)
    middle = step(2, "agent", parent=1, error=Evidence(error_class="asyncio.TimeoutError"), kind=StepKind.OTHER)
    outer = step(1, "workflow", error=Evidence(), kind=StepKind.OTHER, duration_us=9_000_000)
    standing, verdicts = diagnosed(inner, middle, outer, end(evidence=TIMEOUT))
    assert standing.root is not None
    assert (standing.root.failure_id, standing.root.failure_code) == (f"{3:016x}", "timeout")
    assert {verdict.caused_by for failure_id, verdict in verdicts.items() if failure_id != f"{3:016x}"} == {f"{3:016x}"}
    assert len(verdicts) == 4


def test_an_error_of_another_class_is_another_failure() -> None:
    """What the step above raised is not what came from within."""
    standing, verdicts = diagnosed(
        step(2, parent=1, error=TIMEOUT), step(1, error=Evidence(error_class="KeyError"), duration_us=9_000_000)
    )
    assert {verdict.caused_by for verdict in verdicts.values()} == {None}
    assert standing.root is not None
    assert standing.root.failure_id == f"{2:016x}"


def test_what_was_got_over_is_no_root_cause() -> None:
    """The first failure was recovered, so the run failed of the second; without one it failed of nothing."""
    recovered = [step(1, error=TIMEOUT), step(2)]
    assert diagnosed(*recovered)[0].root is None
    standing, _ = diagnosed(*recovered, step(3, "lookup", error=TIMEOUT))
    assert standing.root is not None
    assert standing.root.failure_id == f"{3:016x}"


def test_parents_in_a_ring_end() -> None:
    """Ids that were said wrongly lead nowhere, and nothing hangs."""
    _, verdicts = diagnosed(step(1, parent=2, error=TIMEOUT), step(2, parent=1, error=TIMEOUT))
    assert set(verdicts) == {f"{1:016x}", f"{2:016x}"}


def _loops(*events: Event) -> list[tuple[str, str | None]]:
    """Codes of root causes' failures that were derived, and their outcome."""
    return [
        (verdict.outcome or "", verdict.fingerprint) for key, verdict in diagnosed(*events)[1].items() if int(key, 16) > 10**6
    ]


WORK = "a" * 16


def test_the_same_work_three_times_is_a_loop() -> None:
    """Wherever it stands; its number does not change with further calls, and the suspect is the tool."""
    calls = [
        event
        for n in range(1, 6)
        for event in (step(10 * n, "turn", kind=StepKind.OTHER), step(10 * n + 1, "page_down", parent=10 * n, work_digest=WORK))
    ]
    assert diagnosed(*calls[: 2 * (SAME_WORK - 1)])[1] == {}
    once, further = diagnosed(*calls[: 2 * SAME_WORK]), diagnosed(*calls)
    assert len(once[1]) == 1
    assert once == further
    assert once[0].root is not None
    assert once[0].root.failure_code == "loop_suspected"


def test_a_retry_that_succeeds_is_no_loop() -> None:
    """Twice it failed and then went well: that is one success. Three failures without one are a loop."""
    tries = [step(1, error=TIMEOUT, work_digest=WORK), step(2, error=TIMEOUT, work_digest=WORK)]
    assert _loops(*tries, step(3, work_digest=WORK)) == []
    assert len(_loops(*tries, step(3, error=TIMEOUT, work_digest=WORK))) == 1


def test_one_tool_in_a_row_is_a_loop_where_its_work_is_not_known() -> None:
    """Model calls in between do not count; another tool does, and so do calls beside each other, once."""
    calls = [step(2 * n, "page_down") for n in range(1, IN_A_ROW + 1)]
    thoughts = [step(2 * n + 1, "chat", kind=StepKind.PLAN) for n in range(1, IN_A_ROW + 1)]
    assert len(_loops(*calls, *thoughts)) == 1
    assert _loops(*calls[:-1], *thoughts) == []
    assert _loops(*calls, step(5, "click")) == []
    assert _loops(*(replace(call, started_at=AT) for call in calls)) == []
    assert _loops(*(replace(call, work_digest=f"{call.seq:016x}") for call in calls)) == []


def test_steps_that_nothing_tells_apart_are_no_loop() -> None:
    """Their names are words for kinds, and turns are no tools."""
    assert _loops(*(step(n, "execute_tool") for n in range(1, 3 * IN_A_ROW))) == []
    assert _loops(*(step(n, "turn", kind=StepKind.OTHER) for n in range(1, 3 * IN_A_ROW))) == []


def test_failures_group_by_what_they_are_and_where() -> None:
    """Ids, times, attempts and repetitions do not count; agent, path, kind, code and class do."""
    one = diagnosed(step(1, "flow"), step(2, parent=1, error=TIMEOUT))[1][f"{2:016x}"].fingerprint
    same = diagnosed(step(7, "flow"), step(9, parent=7, error=TIMEOUT, attempt=3))[1][f"{9:016x}"].fingerprint
    looped = diagnosed(step(1, "flow"), step(2, "flow", parent=1), step(3, parent=2, error=TIMEOUT))[1][f"{3:016x}"].fingerprint
    assert one == same == looped
    assert one is not None
    assert len(one) == 16
    others = [
        diagnosed(step(1, "other"), step(2, parent=1, error=TIMEOUT))[1],
        diagnosed(step(1, "flow"), step(2, "lookup", parent=1, error=TIMEOUT))[1],
        diagnosed(step(1, "flow"), step(2, error=TIMEOUT))[1],
        diagnosed(step(1, "flow"), step(2, parent=1, error=Evidence(error_class="ReadTimeout")))[1],
        diagnosed(step(1, "flow"), step(2, parent=1, error=TIMEOUT), agent="b")[1],
    ]
    assert one not in {found[f"{2:016x}"].fingerprint for found in others}
    in_turns = [diagnosed(step(1, name, kind=StepKind.OTHER), step(2, parent=1, error=TIMEOUT))[1] for name in ("turn", "node")]
    flat = diagnosed(step(2, error=TIMEOUT))[1]
    assert len({found[f"{2:016x}"].fingerprint for found in (*in_turns, flat)}) == 1


def _shape(names: str) -> str | None:
    return diagnosed(*(step(number, name) for number, name in enumerate(names)), end(RunEnd.SUCCESS))[0].shape


def test_a_run_that_ended_has_a_shape() -> None:
    """The order of its steps with repetitions standing once; an open run has none yet."""
    assert _shape("abc") == _shape("abbbc") == _shape("ababc") != _shape("acb")
    assert _shape("abcabcabc") == _shape("abc")
    assert diagnosed(step(1))[0].shape is None


@pytest.mark.parametrize(
    ("path", "short"),
    [("", ""), ("a", "a"), ("aa", "a"), ("aabb", "ab"), ("abab", "ab"), ("ababab", "ab"), ("abcabcx", "abcx"), ("aba", "aba")],
)
def test_repetitions_stand_once(path: str, short: str) -> None:
    """A step or a round that comes again at once."""
    assert "".join(collapsed(path)) == short


def test_longer_rounds_stay() -> None:
    """What is longer than the longest round is a path of its own."""
    long = [str(number) for number in range(ROUND_MAX + 1)] * 2
    assert collapsed(long) == long


def test_the_order_of_events_does_not_matter() -> None:
    """A hundred orders of the events of a run that has all of this."""
    events: list[Event] = [
        step(1, "flow", error=Evidence()),
        step(2, parent=1, error=TIMEOUT),
        step(3, parent=1),
        *(step(number, "again", parent=1) for number in range(4, IN_A_ROW + 8)),
        end(evidence=TIMEOUT),
    ]
    expected = diagnosed(*events)
    for seed in range(100):
        assert diagnosed(*random.Random(seed).sample(events, len(events))) == expected
