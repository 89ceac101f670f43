"""What a run and its steps say, seen through `capture_events`."""

import asyncio
import contextlib
import gc
import math
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from agenttracer import AgentTracer, Run
from agenttracer.errors import MisfitError
from agenttracer.wire.events import RUN_SCOPE_ID, Event, RunFinished, RunStarted, StepFinished
from agenttracer.wire.form import is_run_id, is_step_id
from tests.unit.sdk.captured import end, fail, failures, steps
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer


@pytest.fixture
def lax() -> Iterator[AgentTracer]:
    """A tracer as agents have it: it counts where a strict one raises."""
    made = AgentTracer(agent_id="agent", agent_version="1")
    yield made
    made.shutdown(0)


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


@pytest.mark.parametrize("error", [ValueError("x"), MemoryError(), SystemExit("text")])
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


def test_a_consumer_that_has_enough_is_no_error(tracer: AgentTracer, events: list[Event]) -> None:
    """A generator that holds blocks open is closed in them: nothing failed, and the run was cancelled."""

    def stream() -> Iterator[int]:
        with tracer.start_run() as run, run.step("respond", "stream"):
            yield 1
            yield 2

    for _ in stream():
        break
    gc.collect()
    assert [step.status for step in steps(events)] == ["ok"]
    assert (end(events).status, end(events).end_reason) == ("partial", "cancelled")


class OddHeaders:
    """Cannot even be asked whether it is a mapping."""

    @property
    def get(self) -> object:
        raise RuntimeError


class OddError(Exception):
    """Of a client that keeps such headers."""

    headers = OddHeaders()


class OddGroup(ExceptionGroup[Exception]):
    """Raises only once its members are looked at."""

    @property
    def exceptions(self) -> tuple[Exception, ...]:
        raise RuntimeError


@pytest.mark.parametrize("error", [OddError(), OddGroup("", [ValueError()])])
def test_what_cannot_be_read_of_an_exception_costs_no_event(lax: AgentTracer, events: list[Event], error: Exception) -> None:
    """The step and the end arrive, marked as failed, and the exception goes on as it was."""
    with pytest.raises(type(error)), lax.start_run() as run, run.step("tool", "lookup"):
        raise error
    assert [step.status for step in steps(events)] == ["error"]
    assert end(events).status == "failure"


@pytest.mark.parametrize("metadata", [["a"], "text", {1, 2}, 7])
def test_metadata_that_is_no_mapping_costs_nothing_else(lax: AgentTracer, events: list[Event], metadata: object) -> None:
    """The run starts and ends, and the misfit is counted."""
    with lax.start_run(metadata=metadata):  # type: ignore[arg-type]  # what an agent may pass all the same
        pass
    assert [type(event) for event in events] == [RunStarted, RunFinished]
    assert lax.stats().misfits == {"type": 1}


def test_an_attempt_that_is_no_number_costs_nothing_else(lax: AgentTracer, events: list[Event]) -> None:
    """Kind and name stay."""
    with lax.start_run() as run, run.step("tool", "lookup", attempt="second"):  # type: ignore[arg-type]  # as above
        pass
    (step,) = steps(events)
    assert (step.kind, step.name, step.attempt) == ("tool", "lookup", 1)


def test_errors_of_many_threads_lose_no_step(lax: AgentTracer, events: list[Event]) -> None:
    """What is remembered of them is bounded, and forgotten by several threads at once."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with lax.start_run() as run:
            threads = [threading.Thread(target=fail_often, args=(run, at)) for at in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(before)
    assert len(steps(events)) == 1_600
    assert lax.stats().internal_errors == 0


def test_each_event_of_many_threads_has_a_number_of_its_own_and_is_counted(lax: AgentTracer, events: list[Event]) -> None:
    """Numbers are given and events counted without a lock."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with lax.start_run() as run:
            threads = [threading.Thread(target=step_often, args=(run,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(before)
    assert sorted(event.seq for event in events) == list(range(len(events)))
    assert end(events).emitted == len(events) == 4 * 500 + 2


def step_often(run: Run) -> None:
    """Steps one after another."""
    for _ in range(500):
        with run.step("tool", "search_kb"):
            pass


def fail_often(run: Run, thread: int) -> None:
    for number in range(400):
        with contextlib.suppress(ValueError), run.step("tool", f"s{thread}-{number}"):
            raise ValueError


def test_a_clock_that_was_set_back(lax: AgentTracer, events: list[Event]) -> None:
    """Spans of others may end before they began; the step then took no time."""
    with lax.start_run() as run, run.step("tool", "lookup") as step:
        step.began_ns += 10**12
    assert [each.duration_us for each in steps(events)] == [0]


@pytest.mark.parametrize("timeout_s", [math.inf, math.nan, -1.0])
def test_odd_times_to_wait(new_tracer: NewTracer, gateway: FakeGateway, timeout_s: float) -> None:
    """Infinity is long, what is no number is no time; nothing is lost of it."""
    tracer = new_tracer()
    with tracer.start_run():
        pass
    assert tracer.flush(timeout_s).complete == (timeout_s == math.inf)
    assert tracer.flush(30).complete
    assert tracer.shutdown(timeout_s).accepted == 2
    assert tracer.stats().internal_errors == 0


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
    for key in ("one" * 6, b"two" * 6):
        tracer = AgentTracer(agent_id="agent", agent_version="1", fingerprint_key=key)
        with tracer.start_run() as run:
            for message in ("same", "same", "else"):
                run.record_failure(failure_type="tool", failure_code="x", message=message)
        first, second, third = (failure.message_fingerprint for failure in failures(events)[-3:])
        assert first == second != third
        assert len(first) == 32
        seen[key] = first
        tracer.shutdown(0)
    assert seen["one" * 6] != seen[b"two" * 6]


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


def test_a_step_that_never_ends_leaves_a_gap_and_is_not_counted(tracer: AgentTracer, events: list[Event]) -> None:
    """`emitted` counts events, not sequence numbers given."""
    with tracer.start_run() as run:
        run.start_step("tool", "lost")
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


def test_a_name_that_is_no_text_is_a_misfit(new_tracer: NewTracer) -> None:
    """Not even something that no dictionary takes: the step keeps its kind; a strict tracer raises."""
    tracer = new_tracer()
    with tracer.start_run() as run, run.step("tool", ["lookup"]) as step:  # type: ignore[arg-type]  # on purpose
        pass
    assert (step.kind, step.name) == ("tool", "__invalid__")
    assert (tracer.stats().misfits["name"], tracer.stats().internal_errors) == (1, 0)
    strict = new_tracer(strict=True)
    with strict.start_run() as run, pytest.raises(MisfitError):
        run.step("tool", ["lookup"])  # type: ignore[arg-type]  # on purpose
