"""Runs and steps that no block can hold: started in one call, ended in another."""

import threading

import pytest

from agenttracer import AgentTracer, Run, Step, UsageError, current_run, current_step
from agenttracer.wire.events import Event, FailureRecorded, RunFinished, StepFinished


def steps(events: list[Event]) -> list[StepFinished]:
    return [event for event in events if isinstance(event, StepFinished)]


def end(events: list[Event]) -> RunFinished:
    (found,) = [event for event in events if isinstance(event, RunFinished)]
    return found


def test_explicit_runs_and_steps_say_what_blocks_say(tracer: AgentTracer, events: list[Event]) -> None:
    """Started and ended by calls, with metadata in between, they are the same events."""
    run = tracer.start_run()
    step = run.start_step("tool", "lookup")
    step.add_metadata({"cached": True})
    assert current_run() is None
    assert current_step() is None
    step.end()
    run.end()
    assert [event.type for event in events] == ["run_started", "step_finished", "run_finished"]
    assert steps(events)[0].metadata == {"cached": True}
    assert steps(events)[0].status == "ok"
    assert (end(events).status, end(events).emitted) == ("success", 3)


def test_explicit_steps_overlap_and_nest_by_name(tracer: AgentTracer, events: list[Event]) -> None:
    """A step's parent is the one given, else the current one, however their ends are ordered."""
    with tracer.start_run() as run, run.step("plan", "current") as current:
        outer = run.start_step("plan", "outer")
        inner = run.start_step("tool", "inner", parent=outer)
        assert current_step() is current
        outer.end()
        inner.end()
    parents = {step.name: step.parent_step_id for step in steps(events)}
    assert parents == {"outer": current.step_id, "inner": outer.step_id, "current": None}


def test_an_error_given_at_the_end_is_judged_like_one_that_left_a_block(tracer: AgentTracer, events: list[Event]) -> None:
    """Evidence, attempt and cause are the same, and an error that a later attempt repaired is repaired."""
    run = tracer.start_run()
    run.start_step("tool", "lookup").end(error=TimeoutError("text"))
    run.start_step("tool", "lookup").end()
    failed = run.start_step("tool", "other")
    error = ConnectionError()
    failed.end(error=error)
    run.end(error=error)
    assert [(step.status, step.attempt) for step in steps(events)] == [("error", 1), ("ok", 2), ("error", 1)]
    assert end(events).status == "failure"
    assert end(events).cause_step_id == failed.step_id


def test_any_thread_may_end_what_another_started(tracer: AgentTracer, events: list[Event]) -> None:
    """And if several try at once, one does; the others' calls are counted."""

    def finish(barrier: threading.Barrier, step: Step, run: Run) -> None:
        barrier.wait()
        step.end()
        run.end()

    for _ in range(50):
        run = tracer.start_run()
        given = (threading.Barrier(4), run.start_step("tool", "lookup"), run)
        threads = [threading.Thread(target=finish, args=given) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(steps(events)) == 50
    assert len([event for event in events if isinstance(event, RunFinished)]) == 50
    assert tracer.stats().misuses == 50 * 6


def test_ending_twice_raises_only_when_strict(events: list[Event]) -> None:
    """Also a step that was never begun, and one whose block goes on after its end."""
    tracer = AgentTracer(agent_id="agent", agent_version="1", strict=True)
    run = tracer.start_run()
    step = run.start_step("tool", "lookup")
    step.end()
    with pytest.raises(UsageError):
        step.end()
    with pytest.raises(UsageError):
        run.step("tool", "never_entered").end()
    with pytest.raises(UsageError), run.step("tool", "early") as early:
        early.end()
    assert current_step() is None
    run.end()
    with pytest.raises(UsageError):
        run.end()
    assert tracer.stats().misuses == 4
    assert end(events).emitted == len(events) == 4
    tracer.shutdown(0)


def test_a_failure_can_be_recorded_of_a_step_from_anywhere(tracer: AgentTracer, events: list[Event]) -> None:
    """`Step.record_failure` names its step even where another is current."""
    with tracer.start_run() as run, run.step("plan", "current"):
        step = run.start_step("tool", "lookup")
        step.record_failure(failure_type="tool", failure_code="timeout", message="stays here")
        step.end()
    (failure,) = [event for event in events if isinstance(event, FailureRecorded)]
    assert failure.step_id == failure.failure_id == step.step_id
    assert failure.message_chars == 10
    assert end(events).status == "failure"
    assert end(events).emitted == len(events)
