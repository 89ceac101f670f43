"""Which step is in which, and where an error came from, across tasks and threads."""

import asyncio
import contextlib
import threading

import pytest

from agenttracer import AgentTracer, Run
from agenttracer.wire.events import Event, RunStarted
from tests.unit.sdk.captured import end, fail, steps


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


def test_the_error_of_nested_task_groups_is_traced_to_the_step_in_the_inner_task(
    tracer: AgentTracer, events: list[Event]
) -> None:
    """However many groups are around it, the failure is counted once."""

    async def one(run: Run) -> None:
        async with run.step("tool", "call"):
            raise KeyError

    async def inner(run: Run) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(one(run))

    async def agent() -> None:
        async with tracer.start_run() as run, run.step("other", "fan"), asyncio.TaskGroup() as group:
            group.create_task(inner(run))

    with pytest.raises(ExceptionGroup):
        asyncio.run(agent())
    call, fan = steps(events)
    assert fan.cause_step_id == end(events).cause_step_id == call.step_id
    assert fan.evidence == call.evidence
