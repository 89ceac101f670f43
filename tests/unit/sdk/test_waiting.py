"""How long the sender waits: up to one deadline, by its own clock, and for heartbeats."""

import threading
import time
from unittest import mock

from agenttracer._export.waiting import Waiter, Wakeup
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer, Reply, WaitUntil


def test_a_deadline_is_not_postponed() -> None:
    """A second signal may bring the deadline nearer, never further away."""
    waiter = Waiter(Wakeup())
    waiter.stop_by(time.monotonic() + 100)
    waiter.stop_by(time.monotonic() + 1_000)
    assert 0 < (waiter.left_s() or 0) <= 100
    waiter.stop_by(0)
    assert waiter.left_s() == 0


def test_a_deadline_set_by_a_stopped_clock_still_comes() -> None:
    """Tests that replace `time.monotonic` change how a deadline is given, not how long it takes."""
    waiter = Waiter(Wakeup())
    with mock.patch("time.monotonic", return_value=1e12):
        waiter.stop_by(time.monotonic() + 100)
        assert 0 < (waiter.left_s() or 0) <= 100


def test_the_agents_mocks_are_not_called(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """A program whose tests replace `time.sleep` sees no calls of the sender's there."""
    tracer = new_tracer(flush_interval_s=60)
    with mock.patch("time.sleep") as sleep:
        with tracer.start_run() as run:
            for _ in range(20):
                with run.step("tool", "lookup"):
                    pass
        assert tracer.flush(30).complete
    assert sleep.mock_calls == []


def test_a_flush_has_its_time_by_a_stopped_clock(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """With the agent's `time.monotonic` stopped a flush without a response still ends."""
    gateway.always = Reply(hang=True)
    tracer = new_tracer()
    with mock.patch("time.monotonic", return_value=1.0):
        with tracer.start_run():
            pass
        ended = threading.Thread(target=tracer.flush, args=(0.05,), daemon=True)
        ended.start()
        ended.join(30)
        assert not ended.is_alive()


def test_heartbeats_wait_for_no_flush(new_tracer: NewTracer, gateway: FakeGateway, wait_until: WaitUntil) -> None:
    """An open run is heard from at its interval, however long the interval of the flush is."""
    tracer = new_tracer(flush_interval_s=60, heartbeat_interval_s=0.1)
    run = tracer.start_run()
    tracer.flush(30)
    wait_until(lambda: len(gateway.of_kind("run_heartbeat")) >= 2)
    run.end()
