"""From a run to the gateway and back: what is sent again, split, dropped, reported."""

import json
import logging
import socket
import threading

import pytest

from agenttracer import AgentTracer
from agenttracer._export import delivery
from agenttracer.wire.envelope import VERSION
from agenttracer.wire.vocabulary import DropReason
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer, Reply, Request, WaitUntil


def one_run(tracer: AgentTracer, steps: int = 1) -> None:
    with tracer.start_run() as run:
        for _ in range(steps):
            with run.step("tool", "lookup"):
                pass


def test_events_arrive_without_being_flushed(new_tracer: NewTracer, gateway: FakeGateway, wait_until: WaitUntil) -> None:
    """The background thread sends by itself, within the flush interval."""
    one_run(new_tracer())
    wait_until(lambda: len(gateway.events) == 3)


def test_a_flush_returns_when_everything_before_it_is_accepted(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """After a complete flush the gateway has every event, once."""
    tracer = new_tracer(flush_interval_s=60)
    one_run(tracer, steps=2_500)
    result = tracer.flush()
    assert result.complete
    assert (result.accepted, result.dropped, result.pending) == (2_502, 0, 0)
    assert sorted(event["seq"] for event in gateway.events) == list(range(2_502))
    assert all(len(request.batch["events"]) <= 1_500 for request in gateway.requests)


def test_a_full_batch_does_not_wait_for_the_interval(new_tracer: NewTracer, gateway: FakeGateway, wait_until: WaitUntil) -> None:
    """The sender is woken by the size of a batch."""
    tracer = new_tracer(flush_interval_s=60, batch_max_events=50)
    one_run(tracer, steps=200)
    wait_until(lambda: len(gateway.of_kind("step_finished")) >= 140)


def test_one_producer_speaks_for_one_tracer(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """Every batch of a tracer names the same producer, another tracer's another."""
    first, second = new_tracer(), new_tracer(agent_id="other", agent_version="2")
    for tracer in (first, second, first):
        one_run(tracer)
        tracer.flush()
    producers = {(batch["producer"]["agent"], batch["producer"]["id"]) for batch in (r.batch for r in gateway.requests)}
    assert {agent for agent, _ in producers} == {"agent", "other"}
    assert len(producers) == 2
    assert {request.batch["v"] for request in gateway.requests} == {VERSION}


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 429])
def test_transient_answers_are_followed_by_the_same_events(new_tracer: NewTracer, gateway: FakeGateway, status: int) -> None:
    """The same ids are sent again until they are accepted, then everything is there once."""
    tracer = new_tracer()
    gateway.script.extend([Reply(status=status)] * 3)
    one_run(tracer)
    assert tracer.flush(30).complete
    assert len(gateway.events) == 3
    assert gateway.requests[0].batch["events"] == gateway.requests[3].batch["events"]


def test_a_gateway_that_comes_late_gets_everything(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """Cut connections and hangs lose nothing."""
    tracer = new_tracer(request_timeout_s=0.2)
    gateway.script.extend([Reply(cut=True), Reply(hang=True), Reply(cut=True)])
    one_run(tracer, steps=5)
    assert tracer.flush(30).complete
    assert len({event["seq"] for event in gateway.events}) == 7


def test_retry_after_is_waited_out(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """429 with Retry-After: not before that time, not even for a flush."""
    tracer = new_tracer()
    gateway.script.append(Reply(status=429, headers={"Retry-After": "1"}))
    one_run(tracer)
    assert tracer.flush(30).complete
    assert gateway.requests[1].at - gateway.requests[0].at >= 0.99


def test_too_large_a_batch_is_halved_until_it_fits(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """413 splits; the single event that is too large alone is dropped, the others arrive."""
    tracer = new_tracer()

    def too_large(request: Request) -> Reply | None:
        events = request.batch["events"]
        return Reply(status=413) if len(events) > 2 or any(event.get("name") == "huge" for event in events) else None

    gateway.rule = too_large
    with tracer.start_run() as run:
        for name in ("a", "b", "huge", "c", "d"):
            with run.step("tool", name):
                pass
    assert tracer.flush(30).complete
    assert {step["name"] for step in gateway.of_kind("step_finished")} == {"a", "b", "c", "d"}
    assert tracer.stats().dropped == {DropReason.TOO_LARGE: 1}
    (report,) = gateway.of_kind("events_dropped")
    assert (report["reason"], report["total"]) == ("too_large", 1)


@pytest.mark.parametrize("status", [200, 301, 400, 404, 422])
def test_permanent_refusals_drop_the_batch_with_one_warning(
    new_tracer: NewTracer, gateway: FakeGateway, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """No second try; counted; the next batch that is accepted reports it."""
    tracer = new_tracer(flush_interval_s=60)
    gateway.always = Reply(status=status)
    with caplog.at_level(logging.WARNING, logger="agenttracer"):
        for _ in range(3):
            one_run(tracer)
            assert tracer.flush(30).complete
    assert tracer.stats().dropped == {DropReason.REFUSED: 9}
    assert len(caplog.records) == 1
    gateway.always = None
    one_run(tracer)
    tracer.flush()
    assert len(gateway.events) >= 3
    assert all(report["total"] <= 3 for report in gateway.of_kind("events_dropped"))


def test_refused_items_are_counted_and_reported(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """202 that refuses one item: the others are accepted, that one is a drop of its run."""
    tracer = new_tracer(flush_interval_s=60)
    body = json.dumps({"accepted": 2, "rejected": [{"index": 1, "code": "range", "field": "events[1].seq"}]}).encode()

    def refuse_one(request: Request) -> Reply | None:
        kinds = {event["type"] for event in request.batch["events"]}
        return Reply(body=body) if "run_finished" in kinds else None

    gateway.rule = refuse_one
    one_run(tracer, steps=5)
    assert tracer.flush(30).complete
    assert tracer.stats().dropped == {DropReason.REFUSED: 1}
    assert [report["total"] for report in gateway.of_kind("events_dropped")] == [1]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_pauses_sending_with_one_warning(
    new_tracer: NewTracer, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """Unauthorized: the batch is dropped, nothing more is sent for a while, a flush does not hang, then it goes on."""
    tracer = new_tracer()
    gateway.script.append(Reply(status=status))
    with caplog.at_level(logging.WARNING, logger="agenttracer"):
        one_run(tracer)
        tracer.flush(30)
        requests = len(gateway.requests)
        one_run(tracer)
        assert not tracer.flush(30).complete
    assert len(gateway.requests) == requests
    assert len(caplog.records) == 1
    assert tracer.stats().dropped[DropReason.UNAUTHORIZED] >= 1
    monkeypatch.setattr(tracer._pipeline._exporter._sender._delivery, "_paused_until", 0.0)
    assert tracer.flush(30).complete
    assert len(gateway.of_kind("run_finished")) >= 1


def test_an_overflowing_queue_keeps_starts_ends_and_failures(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """With the gateway away the newest steps are dropped, and every run can still say how much it lost."""
    tracer = new_tracer(queue_max_events=20, batch_max_events=5, request_timeout_s=0.1)
    gateway.always = Reply(status=503)
    for _ in range(5):
        with tracer.start_run() as run:
            for _ in range(10):
                with run.step("tool", "lookup"):
                    pass
            run.record_failure(failure_type="tool", failure_code="timeout")
    gateway.always = None
    assert tracer.flush(30).complete
    for kind in ("run_started", "run_finished", "failure_recorded"):
        assert len(gateway.of_kind(kind)) == 5
    lost: dict[str, int] = {}
    for report in gateway.of_kind("events_dropped"):
        lost[report["run_id"]] = max(report["total"], lost.get(report["run_id"], 0))
    for end in gateway.of_kind("run_finished"):
        seen = [event for event in gateway.events if event["run_id"] == end["run_id"] and "seq" in event]
        assert len(seen) + lost.get(end["run_id"], 0) == end["emitted"] == 13
    stats = tracer.stats()
    assert stats.emitted == stats.accepted + sum(stats.dropped.values())
    assert stats.dropped[DropReason.QUEUE_FULL] > 0


def test_long_runs_are_heard_from(new_tracer: NewTracer, gateway: FakeGateway, wait_until: WaitUntil) -> None:
    """A run that is open longer than the interval sends heartbeats; an ended or forgotten one does not."""
    tracer = new_tracer(heartbeat_interval_s=0.1)
    forgotten = tracer.start_run().run_id
    with tracer.start_run() as run:
        wait_until(lambda: len(gateway.of_kind("run_heartbeat")) >= 2)
    tracer.flush()
    beats = gateway.of_kind("run_heartbeat")
    assert {beat["run_id"] for beat in beats} == {run.run_id}
    assert forgotten != run.run_id
    assert [beat["at"] for beat in beats] == sorted(beat["at"] for beat in beats)


def test_the_promised_silence_bounds_the_heartbeat_interval(
    new_tracer: NewTracer, gateway: FakeGateway, wait_until: WaitUntil
) -> None:
    """With `abandon_after_s` heartbeats come often enough that a living run is never taken for abandoned."""
    tracer = new_tracer(abandon_after_s=1)
    with tracer.start_run():
        wait_until(lambda: gateway.of_kind("run_heartbeat"))
    tracer.flush()
    assert gateway.of_kind("run_started")[0]["abandon_after_s"] == 1


def test_a_switched_off_tracer_does_nothing(new_tracer: NewTracer, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disabled by variable: calls work, no thread, no request."""
    monkeypatch.setenv("AGENTTRACER_DISABLED", "1")
    tracer = new_tracer()
    threads = threading.active_count()
    one_run(tracer)
    assert tracer.flush().complete
    assert threading.active_count() == threads
    assert gateway.requests == []
    assert tracer.stats().emitted == 0


def test_after_shutdown_events_are_counted_as_dropped(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """Shutdown flushes, may be called twice, and later runs still work for the agent."""
    tracer = new_tracer()
    one_run(tracer)
    assert tracer.shutdown(30).complete
    assert tracer.shutdown().complete
    one_run(tracer)
    assert len(gateway.events) == 3
    assert tracer.stats().dropped == {DropReason.EXIT: 3}
    assert not tracer.flush(30).complete


def test_shutdown_with_the_gateway_away_says_what_is_lost(new_tracer: NewTracer, capsys: pytest.CaptureFixture[str]) -> None:
    """Bounded, counted, one line on stderr."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    tracer = new_tracer(api_url=f"http://127.0.0.1:{port}")
    one_run(tracer)
    result = tracer.shutdown(0.1)
    assert not result.complete
    assert result.dropped == 3
    assert capsys.readouterr().err.count("\n") == 1
    assert tracer.stats().pending == 0


def test_backoff_is_fully_jittered_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any wait from nothing to a bound that doubles up to its maximum."""
    monkeypatch.setattr(delivery, "BACKOFF_FIRST_S", 0.5)
    monkeypatch.setattr(delivery, "BACKOFF_MAX_S", 30.0)
    monkeypatch.setattr(delivery, "random_below", lambda: 1.0)
    assert [delivery.backoff_s(failures) for failures in (0, 1, 2, 5, 6, 7, 1_000)] == [0.5, 1, 2, 16, 30, 30, 30]


def test_errors_inside_the_sender_are_counted_and_survived(
    new_tracer: NewTracer, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in sending drops that batch as `internal`; the next one is sent."""
    tracer = new_tracer(flush_interval_s=60)
    with monkeypatch.context() as patch:
        patch.setattr(tracer._pipeline._exporter._sender._delivery, "_connect", lambda: 1 / 0)
        one_run(tracer)
        assert tracer.flush(30).complete
    assert tracer.stats().dropped == {DropReason.INTERNAL: 3}
    assert tracer.stats().internal_errors >= 1
    one_run(tracer)
    assert tracer.flush(30).complete
    assert len(gateway.of_kind("run_finished")) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_sender_thread_that_died_is_started_again(
    new_tracer: NewTracer, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    """Noticed at the next event, counted, nothing lost that was queued."""
    tracer = new_tracer()
    sender = tracer._pipeline._exporter._sender

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(sender, "_send_waiting", die)
        one_run(tracer)
        wait_until(lambda: tracer._pipeline._exporter.queue.unattended)
    one_run(tracer)
    assert tracer.flush(30).complete
    assert len(gateway.of_kind("run_finished")) == 2
    assert tracer.stats().sender_restarts >= 1
