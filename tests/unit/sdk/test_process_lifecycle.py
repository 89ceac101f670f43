"""Fork, exit, signals: what happens to telemetry when processes begin and end."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import pytest

from agenttracer import AgentTracer
from agenttracer._export import process_lifecycle
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer, Reply, losses


def one_run(tracer: AgentTracer) -> str:
    with tracer.start_run() as run, run.step("tool", "lookup"):
        pass
    return run.run_id


def fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of threads; surviving them is what is tested
        return os.fork()


def python(program: str, *, timeout_s: float = 60, **environ: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, **environ}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=timeout_s, check=False)


def dead_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("before", ["idle", "sending"])
def test_a_forked_child_sends_its_own_events_and_not_the_parents(
    new_tracer: NewTracer, gateway: FakeGateway, before: str
) -> None:
    """Fork with events pending: the parent's arrive once, the child's once, under another producer id."""
    tracer = new_tracer(flush_interval_s=60)
    if before == "sending":
        one_run(tracer)
        tracer.flush()
    parents = one_run(tracer)
    child = fork()
    if child == 0:
        code = 1
        try:
            one_run(tracer)
            stats = tracer.stats()
            code = 0 if tracer.flush(30).complete and stats.emitted == 3 else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert tracer.flush(30).complete
    ids = [(event["run_id"], event["seq"]) for event in gateway.events]
    assert len(ids) == len(set(ids)) == (9 if before == "sending" else 6)
    assert parents in {run_id for run_id, _ in ids}
    assert len({request.batch["producer"]["id"] for request in gateway.requests}) == 2


def test_a_child_forked_in_the_middle_of_a_call_is_not_stuck(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """The parent's threads hold the SDK's locks most of the time; the child's are its own."""
    tracer = new_tracer(queue_max_events=1_000)
    over = threading.Event()

    def busy() -> None:
        while not over.is_set():
            one_run(tracer)

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            child = fork()
            if child == 0:
                signal.alarm(30)  # a stuck child ends by itself, and fails the test
                one_run(tracer)
                tracer.shutdown(0.05)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_a_child_forked_while_the_sender_loads_can_send(gateway: FakeGateway) -> None:
    """The first event starts a thread that imports HTTP; a fork in that moment waits, else the child had half a module."""
    done = python(
        """
        import os
        from agenttracer import AgentTracer
        tracer = AgentTracer(agent_id="a", agent_version="1", flush_interval_s=60)

        def one_run():
            with tracer.start_run() as run, run.step("tool", "lookup"):
                pass

        one_run()
        for _ in range(3):
            if os.fork() == 0:
                one_run()
                os._exit(0 if tracer.shutdown(30).accepted == 3 else 1)
            print(os.waitstatus_to_exitcode(os.wait()[1]))
        """,
        AGENTTRACER_API_URL=gateway.url,
    )
    assert done.stdout.split() == ["0"] * 3, done.stderr
    assert len(gateway.events) == 12


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_flush_at_their_end(gateway: FakeGateway, tmp_path: Path, method: str) -> None:
    """They end without running `atexit`, and still lose nothing."""
    program = f"""
        import multiprocessing, sys
        from agenttracer import AgentTracer

        def work(url):
            tracer = AgentTracer(agent_id="child", agent_version="1", api_url=url, flush_interval_s=60)
            with tracer.start_run() as run, run.step("tool", "lookup"):
                pass

        if __name__ == "__main__":
            process = multiprocessing.get_context("{method}").Process(target=work, args=("{gateway.url}",))
            process.start()
            process.join()
            sys.exit(process.exitcode)
    """
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(program))
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(gateway.of_kind("run_finished")) == 1


def test_a_program_that_just_ends_has_sent_everything(gateway: FakeGateway) -> None:
    """No flush, no shutdown: the end of the process sends what is queued, and says nothing."""
    done = python(
        """
        from agenttracer import AgentTracer
        tracer = AgentTracer(agent_id="a", agent_version="1", flush_interval_s=60)
        with tracer.start_run() as run:
            for _ in range(2_000):
                with run.step("tool", "lookup"):
                    pass
        """,
        AGENTTRACER_API_URL=gateway.url,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(gateway.events) == 2_002


@pytest.mark.parametrize("away", ["refused", "silent"])
def test_exit_is_bounded_when_the_gateway_is_away(gateway: FakeGateway, away: str) -> None:
    """Two tracers with events and no gateway: the process ends soon, with its own exit code and one line for each."""
    gateway.always = Reply(hang=True)
    program = """
        import atexit, sys, time
        atexit.register(lambda: print(time.monotonic() - began))
        from agenttracer import AgentTracer
        for agent in ("a", "b"):
            tracer = AgentTracer(agent_id=agent, agent_version="1")
            with tracer.start_run():
                pass
        began = time.monotonic()
        sys.exit(3)
    """
    done = python(program, AGENTTRACER_API_URL=dead_url() if away == "refused" else gateway.url)
    assert done.returncode == 3
    assert sorted(losses(done.stderr)) == [
        f"agenttracer: 2 events of {agent} could not be sent before the end and are lost" for agent in ("a", "b")
    ]
    # 2 s by default; ten times that is still far from a hang, and true on a machine that is very busy.
    assert float(done.stdout) < 20


def test_an_agents_crash_is_still_its_own(gateway: FakeGateway) -> None:
    """An uncaught exception ends the program as always, and its run arrives as a failure."""
    done = python(
        """
        from agenttracer import AgentTracer
        tracer = AgentTracer(agent_id="a", agent_version="1")
        with tracer.start_run() as run, run.step("tool", "lookup"):
            raise LookupError("nothing")
        """,
        AGENTTRACER_API_URL=gateway.url,
    )
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("LookupError: nothing")
    assert "agenttracer" not in done.stderr
    assert gateway.of_kind("run_finished")[0]["status"] == "failure"


def test_a_signal_handler_may_trace_while_tracing() -> None:
    """A handler that interrupts a call of the SDK and calls it again: no deadlock, no error, nothing uncounted.

    In a process of its own: what hypothesis hooks into the garbage collector makes Python 3.11 itself crash here.
    """
    done = python(
        """
        import signal, time
        from agenttracer import AgentTracer

        def one_run(*_) -> None:
            with tracer.start_run() as run, run.step("tool", "lookup"):
                handled.append(1)

        handled = []
        tracer = AgentTracer(agent_id="a", agent_version="1", queue_max_events=50, exit_timeout_s=0.01)
        signal.signal(signal.SIGALRM, one_run)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        deadline = time.monotonic() + 20
        called = 0
        while len(handled) - called < 100 and time.monotonic() < deadline:
            called += 1
            one_run()
        signal.setitimer(signal.ITIMER_REAL, 0)
        stats = tracer.shutdown(0) and tracer.stats()
        print(len(handled) - called, stats.emitted - 3 * len(handled), stats.internal_errors, stats.misuses, stats.pending)
        print(stats.emitted - stats.accepted - sum(stats.dropped.values()))
        """,
        AGENTTRACER_API_URL=dead_url(),
    )
    handled, *zeros = map(int, done.stdout.split())
    assert handled >= 100, done.stderr
    assert zeros == [0] * 5


def test_a_thread_that_cannot_start_harms_nobody() -> None:
    """The system gives no more threads: nothing is raised, the loss is reported, and other tracers are closed too."""
    done = python(
        """
        import threading
        from agenttracer import AgentTracer

        def refuse(self):
            raise RuntimeError("can't start new thread")

        threading.Thread.start = refuse
        for name in ("a", "b"):
            tracer = AgentTracer(agent_id=name, agent_version="1")
            with tracer.start_run() as run, run.step("tool", "lookup"):
                pass
        print(tracer.stats().pending)
        """,
        AGENTTRACER_API_URL=dead_url(),
    )
    assert (done.returncode, done.stdout) == (0, "3\n")
    assert "Traceback" not in done.stderr
    assert done.stderr.count("3 events of") == 2


def test_process_1_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the default of SIGTERM does nothing to it: it goes on, and so must its telemetry."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: 1)
            process_lifecycle.watch_sigterm()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        process_lifecycle.watch_sigterm()
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_children_forked_before_the_first_tracer_draw_other_ids() -> None:
    """A server may import the package, fork its workers, and only they make tracers."""
    done = python(
        """
        import os
        import agenttracer
        for _ in range(3):
            if os.fork() == 0:
                from agenttracer._ids import new_producer_id
                os.write(1, f"{new_producer_id()}\\n".encode())
                os._exit(0)
            os.wait()
        """
    )
    assert len(set(done.stdout.split())) == 3
    assert "Traceback" not in done.stderr


def test_importing_starts_nothing() -> None:
    """Import and construction start no thread and open no connection."""
    done = python(
        """
        import sys, threading
        from agenttracer import AgentTracer
        AgentTracer(agent_id="a", agent_version="1")
        print(threading.active_count(), "http.client" in sys.modules, "ssl" in sys.modules, "logging" in sys.modules)
        """
    )
    assert done.stdout.split() == ["1", "False", "False", "False"]


def test_shutting_down_one_tracer_leaves_the_others(new_tracer: NewTracer, gateway: FakeGateway) -> None:
    """Tracers are independent, and one that is shut down is no longer known to the process."""
    first, second = new_tracer(), new_tracer()
    first.shutdown(30)
    assert first._pipeline not in process_lifecycle._members
    one_run(second)
    assert second.flush(30).complete
    assert len(gateway.events) == 3
