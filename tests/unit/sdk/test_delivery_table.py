"""The SDK's rows of the delivery table: one test a row, with the row's words. Each part has more tests of its own."""

import json
import logging
import os
import socket
import threading
from pathlib import Path

import pytest

from agenttracer import AgentTracer
from agenttracer._config import Config
from agenttracer._export import delivery, response_action
from agenttracer._export.transport import Transport
from agenttracer.wire.vocabulary import DropReason
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer, Reply, Request, WaitUntil, losses
from tests.unit.sdk.spools import segments, start
from tests.unit.sdk.test_process_lifecycle import fork, python


def one_run(tracer: AgentTracer, steps: int = 1) -> str:
    with tracer.start_run() as run:
        for _ in range(steps):
            with run.step("tool", "lookup"):
                pass
    return run.run_id


def ids(request: Request) -> list[tuple[str, int]]:
    return [(event["run_id"], event["seq"]) for event in request.batch["events"] if "seq" in event]


def test_gateway_down_slow_times_out(
    new_tracer: NewTracer, gateway: FakeGateway, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gateway down, slow, times out: keep the batch, same ids again; the bounded queue is the only buffer.

    Full-jitter backoff 0.5 to 30 s, connect 2 s, total 10 s.
    """
    with monkeypatch.context() as patch:
        patch.setattr(delivery, "BACKOFF_FIRST_S", 0.5)
        patch.setattr(delivery, "BACKOFF_MAX_S", 30.0)
        waits = [delivery.backoff_s(failures) for failures in range(100)]
    assert all(0 <= wait <= min(30.0, 0.5 * 2**failures) for failures, wait in enumerate(waits))
    assert (Config().connect_timeout_s, Config().request_timeout_s) == (2.0, 10.0)
    tracer = new_tracer(queue_max_events=10, batch_max_events=1_000, request_timeout_s=0.2)
    gateway.always = Reply(hang=True)
    one_run(tracer)
    wait_until(lambda: len(gateway.requests) >= 3)
    one_run(tracer, steps=50)
    assert tracer._pipeline._exporter.queue.waiting <= 10
    assert len({tuple(ids(request)) for request in gateway.requests}) == 1
    gateway.always = None
    assert tracer.flush(30).complete
    stats = tracer.stats()
    assert stats.emitted == stats.accepted + stats.dropped[DropReason.QUEUE_FULL] == 55
    assert 10 < stats.accepted <= 13


def test_202(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """202: done; count per-item refusals."""
    tracer = new_tracer(flush_interval_s=60, batch_max_events=10)
    tracer._pipeline._exporter.queue._start_sender = lambda: None
    one_run(tracer)
    tracer._pipeline._exporter.queue._start_sender = tracer._pipeline._exporter._start_sender
    gateway.script.append(Reply(body=json.dumps({"accepted": 2, "rejected": [{"index": 1, "code": "range"}]}).encode()))
    assert tracer.flush(30).complete
    assert (tracer.stats().accepted, tracer.stats().dropped) == (2, {DropReason.REFUSED: 1})


def test_429(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """429: honour Retry-After (cap 5 min); nothing lost unless the queue overflows."""
    assert response_action.RETRY_AFTER_MAX_S == 300
    tracer = new_tracer()
    gateway.script.append(Reply(status=429, headers={"Retry-After": "1"}))
    one_run(tracer)
    assert tracer.flush(30).complete
    assert gateway.requests[1].at - gateway.requests[0].at >= 0.99
    assert (tracer.stats().accepted, tracer.stats().dropped) == (3, {})


def test_413(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """413: split in two and retry; one item alone too large: drop, counted."""
    tracer = new_tracer(flush_interval_s=60)

    def too_large(request: Request) -> Reply | None:
        counted = [event for event in request.batch["events"] if "seq" in event]
        return Reply(status=413) if len(counted) > 1 or any(event["seq"] == 1 for event in counted) else None

    gateway.rule = too_large
    one_run(tracer)
    assert tracer.flush(30).complete
    assert (tracer.stats().accepted, tracer.stats().dropped) == (2, {DropReason.TOO_LARGE: 1})


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_400_401_403_404_422(new_tracer: NewTracer, gateway: FakeGateway, caplog: pytest.LogCaptureFixture, status: int) -> None:
    """400, 401, 403, 404, 422: no retry; 401/403 stop sending for 5 min with one warning; dropped and counted."""
    tracer = new_tracer(flush_interval_s=60)
    gateway.always = Reply(status=status)
    with caplog.at_level(logging.WARNING, logger="agenttracer"):
        one_run(tracer)
        tracer.flush(30)
        dropped = sum(tracer.stats().dropped.values())
        sent = [event for request in gateway.requests for event in ids(request)]
        one_run(tracer)
        tracer.flush(0.05)
    assert dropped >= 1
    assert len(sent) == len(set(sent))
    assert len(caplog.records) == 1
    if status in {401, 403}:
        assert delivery.PAUSE_S == 300
        assert sum(len(ids(request)) for request in gateway.requests) == len(sent)
    assert tracer.shutdown(30).pending == 0  # its thread must not warn in the next test


def test_queue_overflow(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """Queue overflow: step detail is dropped first, newest first; run start/end and failures have a lane of their own."""
    tracer = new_tracer(queue_max_events=10)
    tracer._pipeline._exporter.queue._start_sender = lambda: None
    with tracer.start_run() as run:
        for number in range(20):
            with run.step("tool", f"step{number}"):
                pass
        run.record_failure(failure_type="tool", failure_code="timeout")
    tracer._pipeline._exporter.queue._start_sender = tracer._pipeline._exporter._start_sender
    assert tracer.flush(30).complete
    assert [step["name"] for step in gateway.of_kind("step_finished")] == [f"step{number}" for number in range(7)]
    for kind in ("run_started", "failure_recorded", "run_finished"):
        assert len(gateway.of_kind(kind)) == 1
    assert [report["total"] for report in gateway.of_kind("events_dropped")] == [13]


def test_fork(new_tracer: NewTracer) -> None:
    """Fork: new producer id, new lock, *empty* queue in the child; no thread until the first event."""
    tracer = new_tracer(flush_interval_s=60)
    one_run(tracer)
    before = tracer._pipeline
    producer, lock = before._exporter._sender._producer, before.lock
    child = fork()
    if child == 0:
        anew = before._exporter._sender._producer != producer and before.lock is not lock and len(before._exporter.queue) == 0
        os._exit(0 if anew and before._exporter._thread is None and threading.active_count() == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_sender_thread_died(
    new_tracer: NewTracer, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    """Sender thread died: noticed at the next enqueue, restarted, counted; also what it had in hand arrives."""
    tracer = new_tracer()

    def die(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Transport, "post", die)
        one_run(tracer)
        wait_until(lambda: tracer._pipeline._exporter.queue.unattended)
    one_run(tracer)
    assert tracer.flush(30).complete
    assert tracer.stats().sender_restarts >= 1
    assert len(gateway.of_kind("run_finished")) == 2
    assert tracer.stats().accepted == 6


@pytest.mark.parametrize("spool", [False, True])
@pytest.mark.parametrize("end", ["", "import os, signal; os.kill(os.getpid(), signal.SIGTERM); signal.pause()"])
def test_exit_sigterm(gateway: FakeGateway, tmp_path: Path, end: str, *, spool: bool) -> None:
    """Exit, SIGTERM: flush within 2 s, then what is left goes to the spool if there is one, else its count to stderr.

    That exit is bounded is a promise, so its seconds are asserted: 2 by default, and as many again for a busy machine's.
    """
    gateway.always = Reply(hang=True)
    where = {"AGENTTRACER_SPOOL_DIR": str(tmp_path)} if spool else {}
    process = start(f"one_run()\n{end}", AGENTTRACER_API_URL=gateway.url, **where)
    _, errors = process.communicate(timeout=30)
    fate = "; 3 of them wait in the spool" if spool else " and are lost"
    assert losses(errors) == [f"agenttracer: 3 events of dying could not be sent before the end{fate}"]
    assert len(segments(tmp_path)) == spool


def test_hostile_answer() -> None:
    """Hostile answer: response body capped at 64 KiB, no redirects off-host."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                head = b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 100000000\r\n\r\n"
                connection.sendall(head + b"x" * 200_000)

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        transport = Transport(api_url=url, api_key=None, connect_timeout_s=5, request_timeout_s=20)
        answered = transport.post(b"{}")
        transport.close()
        thread.join()
    assert answered is not None
    assert (answered.status, len(answered.body)) == (301, 64 * 1024)


def test_a_thousand_runs_at_once_with_a_gateway_that_never_answers(gateway: FakeGateway) -> None:
    """The agent's own work is done, exit is bounded (2 s, asserted as the promise it is), and every event is counted."""
    gateway.always = Reply(hang=True)
    done = python(
        """
        import asyncio, atexit, time
        atexit.register(lambda: print(time.monotonic() - over <= 2.5, over > 0))
        from agenttracer import AgentTracer
        tracer = AgentTracer(agent_id="a", agent_version="1")

        async def agent():
            async with tracer.start_run() as run, run.step("tool", "lookup"):
                await asyncio.sleep(0)
            return 1

        async def main():
            print(sum(await asyncio.gather(*(agent() for _ in range(1_000)))))

        asyncio.run(main())
        stats = tracer.stats()
        print(stats.emitted, stats.emitted - stats.pending - sum(stats.dropped.values()))
        over = time.monotonic()
        """,
        AGENTTRACER_API_URL=gateway.url,
    )
    assert done.stdout.split() == ["1000", "3000", "0", "True", "True"]
    assert losses(done.stderr) == ["agenttracer: 3000 events of a could not be sent before the end and are lost"]
