"""Sampling: whole runs, the same decision everywhere, and never one that did not succeed."""

import contextlib
import gc
import os
import warnings
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenttracer import AgentTracer, Run
from agenttracer._export import tail_sampling
from agenttracer._export.tail_sampling import is_id_sampled
from agenttracer.testing import capture_events
from agenttracer.wire.events import Event, RunFinished, RunStarted, StepFinished
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer, WaitUntil


@pytest.fixture
def events() -> Iterator[list[Event]]:
    with capture_events() as captured:
        yield captured


@pytest.fixture
def never(events: list[Event]) -> Iterator[AgentTracer]:
    """Its runs are sent only if they fail."""
    made = AgentTracer(agent_id="agent", agent_version="1", sample_rate=0)
    yield made
    made.shutdown(0)


def succeed(run: Run) -> None:
    with run.step("tool", "lookup"):
        pass


def record(run: Run) -> None:
    with run.step("tool", "lookup"):
        run.record_failure(failure_type="tool", failure_code="timeout")


def break_off(run: Run) -> None:
    with run.step("tool", "lookup"):
        raise TimeoutError


def catch(run: Run) -> None:
    with contextlib.suppress(TimeoutError):
        break_off(run)


def ends(events: list[Event]) -> list[RunFinished]:
    return [event for event in events if isinstance(event, RunFinished)]


def test_a_run_that_succeeds_is_left_out_and_counted(never: AgentTracer, events: list[Event]) -> None:
    """None of its events is sent; they are in `sampled_out` and in no other figure."""
    with never.start_run() as run:
        succeed(run)
    assert events == []
    stats = never.stats()
    assert (stats.sampled_out, stats.emitted, stats.dropped) == (3, 0, {})


@pytest.mark.parametrize(("work", "status"), [(record, "failure"), (break_off, "failure"), (catch, "partial")])
def test_a_run_that_does_not_succeed_is_always_sent(
    never: AgentTracer, events: list[Event], work: Callable[[Run], None], status: str
) -> None:
    """With everything that it said before it was known, in order, and an end that counts just that."""
    with contextlib.suppress(TimeoutError), never.start_run(metadata={"region": "eu"}) as run:
        succeed(run)
        work(run)
    assert ends(events)[0].status == status
    assert ends(events)[0].emitted == len(events)
    assert isinstance(events[0], RunStarted)
    assert len([event for event in events if isinstance(event, StepFinished)]) == 2
    assert never.stats().sampled_out == 0


def test_a_long_run_keeps_its_last_steps(never: AgentTracer, events: list[Event]) -> None:
    """Memory is bounded: the steps nearest to the failure stay, the end counts the events that are sent."""
    with never.start_run() as run:
        for number in range(tail_sampling.BUFFERED_STEPS_MAX + 20):
            with run.step("tool", f"step-{number}"):
                pass
        for _ in range(tail_sampling.BUFFERED_CONTROL_MAX + 5):
            run.record_failure(failure_type="tool", failure_code="timeout")
    names = [event.name for event in events if isinstance(event, StepFinished)]
    assert names == [f"step-{number}" for number in range(20, tail_sampling.BUFFERED_STEPS_MAX + 20)]
    assert ends(events)[0].emitted == len(events)
    assert never.stats().sampled_out == 20 + 6


def test_all_runs_together_are_bounded(events: list[Event]) -> None:
    """However many runs are open, their buffers take at most a quarter of the queue's bytes, and free them again."""
    tracer = AgentTracer(agent_id="agent", agent_version="1", sample_rate=0, queue_max_bytes=64 * 1024)
    for _ in range(2):
        runs = [tracer.start_run() for _ in range(50)]
        for run in runs:
            succeed(run)
        assert tracer._pipeline._tail_budget._left_bytes >= 0
        for run in runs:
            run.end(error=TimeoutError())
        assert tracer._pipeline._tail_budget._left_bytes == 16 * 1024
    assert len(ends(events)) == 100
    assert sum(end.emitted for end in ends(events)) == len(events)
    assert len(events) + tracer.stats().sampled_out == 100 * 3
    tracer.shutdown(0)


def test_a_forgotten_run_gives_its_memory_back(never: AgentTracer) -> None:
    """The agent dropped its last reference before it ended: it is never sent."""
    before = never._pipeline._tail_budget._left_bytes
    run = never.start_run()
    succeed(run)
    del run
    gc.collect()
    assert never._pipeline._tail_budget._left_bytes == before
    assert never.stats().sampled_out == 2


def test_steps_after_the_end_are_misuse_of_any_run(never: AgentTracer, events: list[Event]) -> None:
    """Whether it was sent or left out: its end has said how many events it has."""
    left_out, sent = never.start_run(), never.start_run()
    left_out.end()
    sent.end(error=TimeoutError())
    succeed(left_out)
    succeed(sent)
    assert {event.run_id for event in events} == {sent.run_id}
    assert len(events) == 2
    assert never.stats().misuses == 2


def test_children_follow_their_parent(events: list[Event]) -> None:
    """In this process by nesting, in others by the header's flag, whatever their own ids say."""
    tracer = AgentTracer(agent_id="agent", agent_version="1", sample_rate=0.5)
    for _ in range(40):
        before = len(events)
        with tracer.start_run() as parent, tracer.start_run() as child:
            header = parent.traceparent()
            assert child.traceparent()[-2:] == header[-2:]
            with tracer.start_run(traceparent=header) as remote:
                assert remote.traceparent()[-2:] == header[-2:]
        assert len(events) - before == (6 if header.endswith("01") else 0)
        assert header.endswith("01") == is_id_sampled(parent.run_id, rate=0.5)
    tracer.shutdown(0)


def test_a_rate_of_one_keeps_everything(events: list[Event]) -> None:
    """Even where a caller's header says that it is not sampled: it may be of another tracing system."""
    tracer = AgentTracer(agent_id="agent", agent_version="1")
    with tracer.start_run(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"):
        pass
    assert len(events) == 2
    tracer.shutdown(0)


@pytest.mark.parametrize(
    ("run_id", "lowest"),
    [
        ("01890000-0000-7000-8000-000000000000", 1.0),
        ("01890000-0000-7000-bf40-000000000000", 0.75),
        ("01890000-0000-7000-8080-000000000000", 0.5),
        ("01890000-0000-7000-80c0-000000000000", 0.25),
    ],
)
def test_the_decision_is_a_function_of_the_ids_last_56_bits(run_id: str, lowest: float) -> None:
    """These pairs hold for every implementation: kept from that rate on, and at no lower one."""
    assert is_id_sampled(run_id, rate=lowest)
    assert not is_id_sampled(run_id, rate=lowest - 1e-9)
    assert not is_id_sampled("01890000-0000-7000-bfff-ffffffffffff", rate=0)


@given(st.uuids(version=4), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rate_keeps_all_that_a_lower_one_keeps(run_id: object, one: float, other: float) -> None:
    """So tracers of different rates agree on the runs that all of them keep."""
    low, high = sorted((one, other))
    assert is_id_sampled(str(run_id), rate=high) or not is_id_sampled(str(run_id), rate=low)


def test_the_share_that_is_kept_is_the_rate(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """Of 4,000 runs at a rate of a quarter, about 1,000 arrive, all of them whole."""
    tracer = new_tracer(sample_rate=0.25)
    for _ in range(4_000):
        with tracer.start_run() as run:
            succeed(run)
    assert tracer.flush(30).complete
    arrived = len(gateway.of_kind("run_finished"))
    assert 800 < arrived < 1_200  # seven standard deviations
    assert len(gateway.events) == 3 * arrived == tracer.stats().accepted
    assert tracer.stats().sampled_out == 3 * (4_000 - arrived)


def test_runs_that_are_not_sampled_have_no_heartbeat(new_tracer: NewTracer, gateway: FakeGateway, wait_until: WaitUntil) -> None:
    """A heartbeat would make the store know a run that may never be sent."""
    tracer = new_tracer(sample_rate=0.5, heartbeat_interval_s=0.1)
    runs = [tracer.start_run() for _ in range(64)]
    sampled = {run.run_id for run in runs if run.tail_buffer is None}
    wait_until(lambda: {event["run_id"] for event in gateway.of_kind("run_heartbeat")} == sampled)
    assert 0 < len(sampled) < 64


def test_a_forked_child_sends_nothing_that_the_parent_buffers(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """The parent tells what it held; the child what it said itself, each with its own count."""
    tracer = new_tracer(sample_rate=0, flush_interval_s=60)
    run = tracer.start_run()
    succeed(run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of threads; surviving them is what is tested
        child = os.fork()
    if child == 0:
        code = 1
        try:
            succeed(run)
            run.end(error=TimeoutError())
            code = 0 if tracer.flush(30).complete and tracer.stats().emitted == 2 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    run.end(error=TimeoutError())
    assert tracer.flush(30).complete
    assert sorted(event["emitted"] for event in gateway.of_kind("run_finished")) == [2, 3]
    assert len(gateway.of_kind("run_started")) == 1
    assert len(gateway.of_kind("step_finished")) == 2
