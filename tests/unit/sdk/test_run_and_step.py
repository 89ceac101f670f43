"""What a run and its steps say, seen through `capture_events`."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from agenttracer import AgentTracer, Run
from agenttracer.testing import capture_events
from agenttracer.wire.events import RUN_SCOPE_ID, Event, FailureRecorded, RunFinished, RunStarted, StepFinished
from agenttracer.wire.form import is_run_id, is_step_id


@pytest.fixture
def events() -> Iterator[list[Event]]:
    with capture_events() as captured:
        yield captured


@pytest.fixture
def tracer() -> Iterator[AgentTracer]:
    made = AgentTracer(agent_id="agent", agent_version="1")
    yield made
    made.shutdown(0)


def steps(events: list[Event]) -> list[StepFinished]:
    return [event for event in events if isinstance(event, StepFinished)]


def end(events: list[Event]) -> RunFinished:
    return next(event for event in events if isinstance(event, RunFinished))


def failures(events: list[Event]) -> list[FailureRecorded]:
    return [event for event in events if isinstance(event, FailureRecorded)]


def fail(run: Run, kind: str, name: str, error: BaseException) -> None:
    with run.step(kind, name):
        raise error


def test_a_run_is_a_start_its_steps_and_an_end_that_counts_them(tracer: AgentTracer, events: list[Event]) -> None:
    """A run of two steps is four events with seq 0 to 3, and its end says so."""
    with tracer.start_run() as run:
        with run.step("retrieve", "search_kb") as step:
            step.add_metadata({"result_count": 3})
        with run.step("respond", "answer"):
            pass
    assert [type(event) for event in events] == [RunStarted, StepFinished, StepFinished, RunFinished]
    assert sorted(event.seq for event in events) == [0, 1, 2, 3]
    assert end(events).emitted == 4
    assert end(events).status == "success"
    assert steps(events)[0].metadata == {"result_count": 3}
    assert is_run_id(run.run_id)
    assert run.run_id[14] == "7"
    assert all(is_step_id(step.step_id) for step in steps(events))


def test_async_blocks_say_the_same(tracer: AgentTracer, events: list[Event]) -> None:
    """`async with` works like `with`."""

    async def agent() -> None:
        async with tracer.start_run() as run, run.step("tool", "lookup") as step:
            step.add_metadata({"n": 1})

    asyncio.run(agent())
    assert [type(event) for event in events] == [RunStarted, StepFinished, RunFinished]


def test_steps_order_by_start_and_measure_by_the_monotonic_clock(tracer: AgentTracer, events: list[Event]) -> None:
    """An outer step starts before and lasts longer than the step inside it."""
    with tracer.start_run() as run, run.step("plan", "outer"), run.step("tool", "inner"):
        pass
    inner, outer = steps(events)
    assert outer.started_at <= inner.started_at
    assert outer.duration_us >= inner.duration_us
    assert outer.seq < inner.seq


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), SystemExit("text")]
)
def test_an_exception_marks_step_and_run_and_goes_on_unchanged(
    tracer: AgentTracer, events: list[Event], error: BaseException
) -> None:
    """Any exception that passes through comes out as the same object, with nothing added to it."""
    before = (error.args, dict(error.__dict__), error.__cause__, error.__context__)
    with pytest.raises(type(error)) as caught, tracer.start_run() as run:
        fail(run, "tool", "lookup", error)
    assert caught.value is error
    assert (error.args, dict(error.__dict__), error.__cause__, error.__context__) == before
    (step,) = steps(events)
    assert step.status == "error"
    assert step.evidence.error_class == type(error).__name__
    assert end(events).status == "failure"
    assert end(events).evidence == step.evidence
    assert end(events).cause_step_id == step.step_id


def test_a_repaired_error_leaves_a_success(tracer: AgentTracer, events: list[Event]) -> None:
    """A step that failed and then succeeded under the same kind and name does not make the run partial."""
    with tracer.start_run() as run:
        with pytest.raises(TimeoutError):
            fail(run, "tool", "lookup", TimeoutError())
        with run.step("tool", "lookup"):
            pass
    assert [(step.status, step.attempt) for step in steps(events)] == [("error", 1), ("ok", 2)]
    assert end(events).status == "success"


def test_an_unrepaired_error_that_the_agent_caught_leaves_a_partial_run(tracer: AgentTracer, events: list[Event]) -> None:
    """Success of another step repairs nothing."""
    with tracer.start_run() as run:
        with pytest.raises(TimeoutError):
            fail(run, "tool", "lookup", TimeoutError())
        with run.step("tool", "other"):
            pass
    assert end(events).status == "partial"


def test_attempts_count_under_one_parent_and_start_again_after_success(tracer: AgentTracer, events: list[Event]) -> None:
    """Attempts count consecutive failures of the same step; an explicit attempt wins."""
    with tracer.start_run() as run:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                fail(run, "tool", "lookup", TimeoutError())
        with run.step("plan", "elsewhere"), run.step("tool", "lookup"):
            pass
        with run.step("tool", "lookup"):
            pass
        with run.step("tool", "lookup"):
            pass
        with run.step("tool", "lookup", attempt=7):
            pass
    attempts = [step.attempt for step in steps(events) if step.name == "lookup"]
    assert attempts == [1, 2, 1, 3, 1, 7]


def test_a_recorded_failure_makes_the_run_fail(tracer: AgentTracer, events: list[Event]) -> None:
    """The first failure of a scope has the scope's id, further ones have their own."""
    with tracer.start_run() as run:
        with run.step("tool", "lookup") as step:
            run.record_failure(failure_type="tool", failure_code="timeout", message="abc")
            run.record_failure(failure_type="tool", failure_code="timeout")
        run.record_failure(failure_type="model", failure_code="too_vague")
        run.record_failure(failure_type="model", failure_code="too_vague")
    ids = [failure.failure_id for failure in failures(events)]
    assert ids[0] == step.step_id
    assert ids[2] == RUN_SCOPE_ID
    assert len(set(ids)) == 4
    assert [failure.step_id for failure in failures(events)] == [step.step_id, step.step_id, None, None]
    assert [failure.message_chars for failure in failures(events)] == [3, None, None, None]
    assert failures(events)[0].message_fingerprint is None
    assert end(events).status == "failure"
    assert end(events).emitted == len(events)


def test_equal_messages_have_equal_fingerprints_under_a_key(events: list[Event]) -> None:
    """With a fingerprint key a message travels as its length and an HMAC that depends on the key."""
    seen: dict[Any, Any] = {}
    for key in ("one", b"two"):
        tracer = AgentTracer(agent_id="agent", agent_version="1", fingerprint_key=key)
        with tracer.start_run() as run:
            for message in ("same", "same", "else"):
                run.record_failure(failure_type="tool", failure_code="x", message=message)
        first, second, third = (failure.message_fingerprint for failure in failures(events)[-3:])
        assert first == second != third
        assert len(first) == 32
        seen[key] = first
        tracer.shutdown(0)
    assert seen["one"] != seen[b"two"]


@pytest.mark.parametrize("status", ["success", "partial", "failure"])
def test_a_said_status_wins_at_a_clean_end(tracer: AgentTracer, events: list[Event], status: str) -> None:
    """`set_status` overrides what steps and recorded failures would make of the run."""
    with tracer.start_run() as run:
        run.record_failure(failure_type="tool", failure_code="x")
        run.set_status(status)
    assert end(events).status == status


def test_an_exception_wins_over_a_said_status(tracer: AgentTracer, events: list[Event]) -> None:
    """A run that an exception left did not succeed, whatever was said before."""

    def agent() -> None:
        with tracer.start_run() as run:
            run.set_status("success")
            raise LookupError

    with pytest.raises(LookupError):
        agent()
    assert end(events).status == "failure"


def test_steps_nest_by_context_in_tasks_and_not_across_threads(tracer: AgentTracer, events: list[Event]) -> None:
    """A task inherits the step it was made in; a thread starts without one."""

    async def agent(run: Run) -> None:
        async def child() -> None:
            async with run.step("tool", "in_task"):
                pass

        async with run.step("plan", "outer"):
            await asyncio.gather(child(), child())

    def in_thread(run: Run) -> None:
        with run.step("tool", "in_thread"):
            pass

    with tracer.start_run() as run:
        asyncio.run(agent(run))
        with run.step("plan", "beside"):
            thread = threading.Thread(target=in_thread, args=(run,))
            thread.start()
            thread.join()
    by_name = {step.name: step for step in steps(events)}
    assert by_name["in_task"].parent_step_id == by_name["outer"].step_id
    assert by_name["in_thread"].parent_step_id is None
    assert by_name["outer"].parent_step_id is None


def test_a_run_inside_a_run_is_its_child(tracer: AgentTracer, events: list[Event]) -> None:
    """The inner run names the run and step it was started in, and steps of both nest each in their own run."""
    with (
        tracer.start_run() as outer,
        outer.step("tool", "delegate") as step,
        tracer.start_run() as inner,
        inner.step("plan", "inner_plan"),
        outer.step("tool", "outer_tool"),
        inner.step("tool", "inner_tool"),
    ):
        pass
    started = [event for event in events if isinstance(event, RunStarted)]
    assert (started[1].parent_run_id, started[1].parent_step_id) == (outer.run_id, step.step_id)
    by_name = {found.name: found for found in steps(events)}
    assert by_name["inner_plan"].parent_step_id is None
    assert by_name["outer_tool"].parent_step_id == step.step_id
    assert by_name["inner_tool"].parent_step_id == by_name["inner_plan"].step_id


def test_the_innermost_step_is_the_cause_of_those_that_its_error_passed(tracer: AgentTracer, events: list[Event]) -> None:
    """Every step on the way is an error; each names the step in which it arose, as does the run's end."""
    with pytest.raises(TimeoutError), tracer.start_run() as run, run.step("plan", "a"), run.step("other", "b"):
        fail(run, "tool", "c", TimeoutError())
    c, b, a = steps(events)
    assert {step.status for step in (a, b, c)} == {"error"}
    assert c.cause_step_id is None
    assert b.cause_step_id == a.cause_step_id == end(events).cause_step_id == c.step_id


def test_a_new_error_of_the_same_class_is_not_taken_for_the_caught_one(tracer: AgentTracer, events: list[Event]) -> None:
    """Attempts that fail one after another, and an outer step that fails by itself, are all causes of their own."""

    def agent() -> None:
        with tracer.start_run() as run, run.step("plan", "outer"):
            for _ in range(5):
                with contextlib.suppress(TimeoutError):
                    fail(run, "tool", "inner", TimeoutError())
            raise TimeoutError

    with pytest.raises(TimeoutError):
        agent()
    assert [step.cause_step_id for step in steps(events)] == [None] * 6
    assert end(events).cause_step_id == steps(events)[-1].step_id


def test_a_task_groups_error_is_traced_to_the_step_in_its_task(tracer: AgentTracer, events: list[Event]) -> None:
    """An exception group that a step's task raised into has that step as its cause."""

    async def agent() -> None:
        async with tracer.start_run() as run, run.step("plan", "outer"), asyncio.TaskGroup() as group:
            group.create_task(one(run))

    async def one(run: Run) -> None:
        async with run.step("tool", "inner"):
            raise KeyError

    with pytest.raises(ExceptionGroup):
        asyncio.run(agent())
    inner, outer = steps(events)
    assert outer.cause_step_id == end(events).cause_step_id == inner.step_id


def test_many_threads_share_a_run(tracer: AgentTracer, events: list[Event]) -> None:
    """Concurrent steps of one run have distinct sequence numbers and are all counted."""
    with tracer.start_run() as run:

        def work() -> None:
            for _ in range(200):
                with run.step("tool", "lookup"):
                    pass

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert end(events).emitted == len(events) == 802
    assert len({event.seq for event in events}) == 802


def test_a_step_that_never_ends_leaves_a_gap_and_is_not_counted(tracer: AgentTracer, events: list[Event]) -> None:
    """`emitted` counts events, not sequence numbers given."""
    with tracer.start_run() as run:
        run.step("tool", "lost").__enter__()
        with run.step("tool", "kept"):
            pass
    assert end(events).emitted == len(events) == 3
    assert end(events).seq == 3


def test_calls_that_make_no_sense_are_counted_and_change_nothing(tracer: AgentTracer, events: list[Event]) -> None:
    """Metadata after the end, entering or leaving twice: no exception, no event, a count."""
    with tracer.start_run() as run:
        with run.step("tool", "lookup") as step:
            pass
        step.add_metadata({"late": 1})
        with step:
            pass
    run.__exit__(None, None, None)
    with run:
        pass
    assert len(events) == 3
    assert steps(events)[0].metadata == {}
    assert tracer.stats().misuses == 6


def test_a_step_closed_from_another_context_is_still_finished(tracer: AgentTracer, events: list[Event]) -> None:
    """An async generator that is closed elsewhere ends its step without an exception of ours."""

    async def agent() -> None:
        async def stream() -> AsyncIterator[int]:
            async with tracer.start_run() as run, run.step("respond", "stream"):
                yield 1
                yield 2

        async def close(generator: AsyncIterator[int]) -> None:
            await generator.aclose()

        generator = stream()
        await anext(generator)
        await asyncio.create_task(close(generator))

    asyncio.run(agent())
    assert [step.name for step in steps(events)] == ["stream"]
    assert tracer.stats().internal_errors == 0
