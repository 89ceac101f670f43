"""What a run's failures amount to, case by case."""

import random
from dataclasses import replace

import pytest

from agenttracer.wire.envelope import Producer, Record
from agenttracer.wire.events import RUN_SCOPE_ID, Event, Evidence, FailureRecorded, RunFinished, StepFinished
from agenttracer.wire.vocabulary import FailureType, RunEnd, StepKind, StepStatus
from stream_workers.core.diagnosis import Standing, Verdict
from stream_workers.core.fold import fold
from stream_workers.core.loop import REPEATS_MAX
from stream_workers.core.path import ROUND_MAX, collapsed
from stream_workers.decode import canonical_json

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


def diagnosed(*events: Event, agent: str = "a") -> tuple[Standing, dict[str, Verdict]]:
    """The fold's verdicts by failure id."""
    producer = Producer(id="p", agent=agent, agent_version="1")
    tables = fold([Record(v="1.0", project="d", producer=producer, received_at=AT, events=events)], canonical_json)
    return tables.runs["d", RUN][2], {row.failure_id: verdict for row, verdict in tables.failures.values()}


def outcomes(*events: Event) -> dict[int, str | None]:
    """By number of the step."""
    return {int(failure_id, 16): verdict.outcome for failure_id, verdict in diagnosed(*events)[1].items()}


def test_a_failure_that_a_later_try_got_over_is_recovered() -> None:
    """The same kind and name under the same parent ended well afterwards."""
    assert outcomes(step(1, error=TIMEOUT), step(2, attempt=2)) == {1: "recovered"}


@pytest.mark.parametrize(
    "other",
    [
        step(0),  # before it
        step(2, "lookup"),  # of another name
        step(2, kind=StepKind.RETRIEVE),  # of another kind
        step(2, parent=9),  # under another parent
        step(2, kind=StepKind.TOOL, error=TIMEOUT, attempt=2),  # failed again
    ],
)
def test_what_is_no_later_success_of_the_same_recovers_nothing(other: StepFinished) -> None:
    """Then the failure is fatal."""
    assert outcomes(step(1, error=TIMEOUT), other)[1] == "fatal"


def test_a_second_try_that_found_nothing_is_no_success() -> None:
    """An empty retrieval ended well, and is a failure all the same."""
    empty = {"kind": StepKind.RETRIEVE, "metadata": {"result_count": 0}}
    assert outcomes(step(1, error=TIMEOUT, kind=StepKind.RETRIEVE), step(2, **empty)) == {1: "fatal", 2: "fatal"}
    found = step(3, kind=StepKind.RETRIEVE, metadata={"result_count": 4})
    assert outcomes(step(1, **empty), step(2, **empty), found) == {1: "recovered", 2: "recovered"}


def test_a_failure_is_recovered_when_what_it_broke_was_done_again() -> None:
    """The error passed through the step above, and that one was tried again with success."""
    above = step(1, "plan", error=TIMEOUT, cause_step_id=f"{2:016x}")
    inner = step(2, parent=1, error=TIMEOUT)
    assert outcomes(above, inner) == {2: "fatal"}
    assert outcomes(above, inner, step(3, "plan")) == {2: "recovered"}
    absorbed = replace(above, status=StepStatus.OK, evidence=None, cause_step_id=None)
    assert outcomes(absorbed, inner, step(3, "plan")) == {2: "fatal"}


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
    assert outcomes(recorded, step(7)) == {7: "fatal"}


@pytest.mark.parametrize(
    ("status", "outcome"), [(RunEnd.SUCCESS, "recovered"), (RunEnd.PARTIAL, "fatal"), (RunEnd.FAILURE, "fatal")]
)
def test_a_failure_without_a_step_is_what_its_run_makes_of_it(status: RunEnd, outcome: str) -> None:
    """Recovered when the run ended in success all the same."""
    recorded = FailureRecorded(
        run_id=RUN, seq=3, failure_id=RUN_SCOPE_ID, occurred_at=AT, failure_type=FailureType.MODEL, failure_code="mine"
    )
    assert outcomes(recorded) == {0: "fatal"}
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


def test_one_thing_tried_too_often_is_a_loop() -> None:
    """One more than the bound makes a failure of the run; its number does not change with further tries."""
    tries = [step(number, parent=500) for number in range(1, REPEATS_MAX + 3)]
    assert diagnosed(*tries[:REPEATS_MAX])[1] == {}
    once, further = diagnosed(*tries[: REPEATS_MAX + 1]), diagnosed(*tries)
    assert len(once[1]) == 1
    assert once == further
    assert once[0].root is not None
    assert once[0].root.failure_code == "loop_suspected"


def test_tries_of_different_things_are_no_loop() -> None:
    """Under another parent, or of another name, a step is not the same again."""
    tries = [step(n, "a" if n % 2 else "b", parent=n % 3) for n in range(1, 2 * REPEATS_MAX)]
    assert diagnosed(*tries)[1] == {}


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
        diagnosed(step(1, "flow"), step(2, error=TIMEOUT))[1],
        diagnosed(step(1, "flow"), step(2, parent=1, error=Evidence(error_class="ReadTimeout")))[1],
        diagnosed(step(1, "flow"), step(2, parent=1, error=TIMEOUT), agent="b")[1],
    ]
    assert one not in {found[f"{2:016x}"].fingerprint for found in others}


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
        *(step(number, "again", parent=1) for number in range(4, REPEATS_MAX + 8)),
        end(evidence=TIMEOUT),
    ]
    expected = diagnosed(*events)
    for seed in range(100):
        assert diagnosed(*random.Random(seed).sample(events, len(events))) == expected
