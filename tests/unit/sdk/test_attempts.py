"""Which calls are attempts of which: begun after it ended, at the same place, and where it is known of the same work."""

import asyncio
import contextlib

import pytest
from hypothesis import given, settings, strategies

from agenttracer import AgentTracer, Run
from agenttracer._tracing.error_history import Call, StepOutcomes
from agenttracer.rules import recovery
from agenttracer.wire.events import Event, ReturnedError
from agenttracer.wire.vocabulary import StepKind
from tests.unit.sdk.captured import end, steps


def fan_out(run: Run, *, at_a_time: int) -> None:
    """Calls 1 to 3 of one tool, the first of which fails; two at a time: the third begins as soon as there is room."""
    first, second = run.start_step("tool", "fetch"), run.start_step("tool", "fetch")
    third = run.start_step("tool", "fetch") if at_a_time == 3 else None
    first.end(error=ConnectionError())
    third = third or run.start_step("tool", "fetch")
    second.end()
    third.end()


@pytest.mark.parametrize("at_a_time", [2, 3])
def test_overlapping_calls_are_no_attempts_of_each_other(tracer: AgentTracer, events: list[Event], at_a_time: int) -> None:
    """A call that begins when the first has failed is beside it still, as long as one of the same fan-out is open."""
    with tracer.start_run() as run:
        fan_out(run, at_a_time=at_a_time)
    assert [step.attempt for step in steps(events)] == [1, 1, 1]
    assert end(events).status == "partial"


def test_calls_of_concurrent_tasks_may_overlap(tracer: AgentTracer, events: list[Event]) -> None:
    """As a model's tool calls do that an agent gathers."""

    async def fetch(run: Run, number: int, begun: asyncio.Barrier) -> None:
        async with run.step("tool", "fetch"):
            await begun.wait()
            if number == 1:
                raise ConnectionError

    async def agent() -> None:
        begun = asyncio.Barrier(3)
        async with tracer.start_run() as run:
            await asyncio.gather(*(fetch(run, number, begun) for number in range(3)), return_exceptions=True)

    asyncio.run(agent())
    assert {step.attempt for step in steps(events)} == {1}
    assert end(events).status == "partial"


def test_calls_one_after_another_are_attempts(tracer: AgentTracer, events: list[Event]) -> None:
    """Nothing tells them apart, and each begins when the one before has ended."""
    with tracer.start_run() as run:
        for fails in (True, True, False):
            run.start_step("tool", "fetch").end(error=ConnectionError() if fails else None)
    assert [step.attempt for step in steps(events)] == [1, 2, 3]
    assert end(events).status == "success"


_CALLS = strategies.lists(
    strategies.builds(
        recovery.Call,
        began=strategies.integers(1, 12),
        ended=strategies.integers(1, 6),  # after its beginning
        failed=strategies.booleans(),
        work=strategies.sampled_from([None, None, "a", "b"]),
        said_attempt=strategies.sampled_from([0, 0, 0, 1, 2]),
    ),
    max_size=7,
)


@settings(max_examples=1_000, deadline=None)
@given(_CALLS)
def test_call_by_call_is_the_rule_that_the_workers_have(drawn: list[recovery.Call]) -> None:
    """Whatever overlaps what: at the end the same failed calls are made good."""
    calls = sorted((call._replace(ended=call.began + call.ended) for call in drawn), key=lambda call: call.ended)
    outcomes = StepOutcomes()
    place = ((StepKind.TOOL, "fetch"),)
    for call in calls:
        outcomes.ended(Call(place, call.work, call.began, call.ended, call.said_attempt), failed=call.failed)
    failed = {index for index, call in enumerate(calls) if call.failed}
    assert outcomes.unrepaired == bool(failed - recovery.made_good(calls))


def test_an_attempt_means_what_it_says(tracer: AgentTracer, events: list[Event]) -> None:
    """First attempts repair nothing, a second one does."""
    for said in (1, 2):
        with tracer.start_run() as run:
            with contextlib.suppress(ConnectionError), run.step("tool", "fetch", attempt=1):
                raise ConnectionError
            with run.step("tool", "fetch", attempt=said):
                pass
    assert [step.attempt for step in steps(events)] == [1, 1, 1, 2]
    assert [event.status for event in events if event.type == "run_finished"] == ["partial", "success"]


def test_a_key_tells_calls_apart(tracer: AgentTracer, events: list[Event]) -> None:
    """A call of the same name and another key is other work: neither an attempt nor a repair, whenever it begins."""
    with tracer.start_run() as run:
        for key, fails in (("a", True), ("b", False), ("a", True), ("a", False)):
            with contextlib.suppress(ConnectionError), run.step("tool", "fetch", key=key):
                if fails:
                    raise ConnectionError
    found = steps(events)
    assert [step.attempt for step in found] == [1, 1, 2, 3]
    digests = [step.work_digest for step in found]
    assert digests[0] == digests[2] == digests[3] != digests[1]
    assert end(events).status == "success"


def test_calls_with_keys_may_overlap_and_still_be_repeated(tracer: AgentTracer, events: list[Event]) -> None:
    """The one that failed is called again while others of the fan-out are open."""
    with tracer.start_run() as run:
        slow = run.start_step("tool", "fetch", key="slow")
        run.start_step("tool", "fetch", key="flaky").end(error=ConnectionError())
        run.start_step("tool", "fetch", key="flaky").end()
        slow.end()
    assert [step.attempt for step in steps(events)] == [1, 2, 1]
    assert end(events).status == "success"


def test_work_may_be_named_after_the_beginning(tracer: AgentTracer, events: list[Event]) -> None:
    """`identify` hashes any values; equal ones are the same work, however they are written."""
    with tracer.start_run() as run:
        for arguments in ({"b": 1, "a": [2]}, {"a": [2], "b": 1}, {"a": [3], "b": 1}):
            with contextlib.suppress(ConnectionError), run.step("tool", "fetch") as step:
                step.identify(arguments)
                if arguments["a"] == [2] and len(steps(events)) == 0:
                    raise ConnectionError
    found = steps(events)
    assert found[0].work_digest == found[1].work_digest != found[2].work_digest
    assert [step.attempt for step in found] == [1, 2, 1]


def test_digests_of_two_runs_have_nothing_in_common(tracer: AgentTracer, events: list[Event]) -> None:
    """Their key is random and the run's own, so that nobody can try out which arguments they are of."""
    for _ in range(2):
        with tracer.start_run() as run, run.step("tool", "fetch", key="secret"):
            pass
    one, other = steps(events)
    assert one.work_digest != other.work_digest
    assert "secret" not in repr(events)


def test_what_cannot_be_hashed_harms_nobody(tracer: AgentTracer, events: list[Event]) -> None:
    """A value whose `repr` raises, a circle, half a character: the call goes on, with or without a digest."""

    class Broken:
        def __repr__(self) -> str:
            raise ValueError

    circle: list[object] = []
    circle.append(circle)
    with tracer.start_run() as run:
        for key in (Broken(), circle, "\ud800", float("nan"), {1: 2, "a": 3}, b"bytes", object()):
            with run.step("tool", "fetch", key=key):
                pass
    assert len(steps(events)) == 7
    assert end(events).status == "success"


def test_a_place_is_a_path_of_kinds_and_names(tracer: AgentTracer, events: list[Event]) -> None:
    """The same tool below another step is no attempt; below the next turn of the same name it is."""
    with tracer.start_run() as run:
        for turn, fails in (("plan_a", True), ("plan_b", False), ("plan_a", False)):
            with run.step("plan", turn), contextlib.suppress(ConnectionError), run.step("tool", "fetch"):
                if fails:
                    raise ConnectionError
    assert [step.attempt for step in steps(events) if step.name == "fetch"] == [1, 1, 2]
    assert end(events).status == "success"


def test_five_of_ten_that_fail_at_once_are_not_repaired_by_the_others(tracer: AgentTracer, events: list[Event]) -> None:
    """The run ended well, and something failed that nothing made good."""
    with tracer.start_run() as run:
        calls = [run.start_step("tool", "fetch") for _ in range(10)]
        for number, call in enumerate(calls):
            call.end(error=ConnectionError() if number % 2 == 0 else None)
    assert {step.attempt for step in steps(events)} == {1}
    assert end(events).status == "partial"


def test_a_call_that_turns_out_to_overlap_undoes_a_repair(tracer: AgentTracer, events: list[Event]) -> None:
    """What looked like a second attempt was a third call of the same fan-out: the slow one ends last and shows it."""
    with tracer.start_run() as run:
        slow, failing = run.start_step("tool", "fetch"), run.start_step("tool", "fetch")
        failing.end(error=ConnectionError())
        run.start_step("tool", "fetch").end()
        slow.end()
    assert end(events).status == "partial"


def test_a_returned_error_marks_the_step(tracer: AgentTracer, events: list[Event]) -> None:
    """The call itself went well; a later one of the same work makes it good, and else the run is partial."""
    with tracer.start_run() as run:
        with run.step("tool", "fetch", key=1) as step:
            step.returned_error(code="not_found", http_status=404)
        with run.step("tool", "fetch", key=1) as step:
            step.returned_error(exit_status=-9, error_class="Killed")
        with run.step("tool", "fetch", key=1):
            pass
    with tracer.start_run() as run, run.step("tool", "fetch") as step:
        step.returned_error()
    found = steps(events)
    assert [step.status for step in found] == ["ok"] * 4
    assert [step.returned_error for step in found] == [
        ReturnedError(code="not_found", http_status=404),
        ReturnedError(exit_status=-9, error_class="Killed"),
        None,
        ReturnedError(),
    ]
    assert [step.attempt for step in found] == [1, 2, 3, 1]
    assert [event.status for event in events if event.type == "run_finished"] == ["success", "partial"]


def test_values_of_a_returned_error_that_do_not_fit_are_left_out(tracer: AgentTracer, events: list[Event]) -> None:
    """The error is still known to be one."""
    with tracer.start_run() as run, run.step("tool", "fetch") as step:
        step.returned_error(http_status=7, exit_status=2**40, error_class="not a class at all, but a sentence")
    assert steps(events)[0].returned_error == ReturnedError()


def test_an_agent_that_fails_for_ever_costs_no_more(tracer: AgentTracer, events: list[Event]) -> None:
    """Of a thousand failures at a place, and of names that are made up, a bounded number is kept."""
    with tracer.start_run() as run:
        for number in range(2_000):
            for name in ("same", f"made_up_{number}"):
                with contextlib.suppress(ConnectionError), run.step("tool", name):
                    raise ConnectionError
        assert run.error_history is not None
        kept = run.error_history.steps._failed
        assert len(kept) <= 1_000
        assert max(map(len, kept.values())) <= 32
    assert end(events).status == "partial"


def test_a_session_is_hashed_with_the_fingerprint_key(events: list[Event], caplog: pytest.LogCaptureFixture) -> None:
    """Equal sessions have equal digests in every process that has the key; without one the session is left out, and said so."""
    keyed = AgentTracer(agent_id="agent", agent_version="1", fingerprint_key=b"k" * 32)
    other = AgentTracer(agent_id="agent", agent_version="1", fingerprint_key=b"o" * 32)
    without = AgentTracer(agent_id="agent", agent_version="1")
    for tracer in (keyed, keyed, other, without, without):
        tracer.start_run(session="user-1234").end()
    keyed.start_run(session="user-5678").end()
    first, again, of_other, none, _, second = [event.session_digest for event in events if event.type == "run_started"]
    assert first == again
    assert len({first, of_other, second}) == 3
    assert none is None
    assert caplog.text.count("fingerprint_key") == 1
    assert "user-1234" not in repr(events) + caplog.text
    for tracer in (keyed, other, without):
        tracer.shutdown(0)
