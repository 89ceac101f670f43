"""Fork, by every method, with events pending or not, and the sender's thread absent, starting, idle, or in a call."""

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from tests.unit.sdk.fake_gateway import FakeGateway, Reply, Request

PROGRAM = """
    import multiprocessing, os, signal, sys, threading, warnings
    from concurrent.futures import ProcessPoolExecutor
    from agenttracer import AgentTracer

    warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of threads; surviving them is what is tested
    METHOD, PENDING, SENDER = {method!r}, {pending}, {sender!r}
    tracer = AgentTracer(agent_id="parent", agent_version="1", flush_interval_s=60, exit_timeout_s=30)

    def one_run(name):
        with tracer.start_run() as run, run.step("tool", name):
            pass

    def child():
        signal.alarm(60)  # a child that is stuck ends by itself, and fails the test
        one_run("childs")
        result = tracer.shutdown(30)
        if not result.complete or result.accepted != 3:
            os._exit(9)

    def by_os_fork():
        pid = os.fork()
        if pid == 0:
            child()
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def by_prefork_server():
        pids = []
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                child()
                os._exit(0)
            pids.append(pid)
        return sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)

    def by_multiprocessing():
        process = multiprocessing.get_context(METHOD).Process(target=child)
        process.start()
        process.join()
        return process.exitcode

    def prepare():
        if SENDER in ("idle", "mid-call"):
            one_run("parents")
            if SENDER == "idle":
                assert tracer.flush(30).complete
            else:
                sys.stdin.readline()  # the gateway holds the request
        for _ in range(PENDING):
            if SENDER == "not running":
                tracer._pipeline._exporter.queue._start_sender = lambda: None
            one_run("parents")

    if __name__ == "__main__":
        prepare()
        code = {{"os.fork": by_os_fork, "prefork": by_prefork_server}}.get(METHOD, by_multiprocessing)()
        if SENDER == "not running":
            tracer._pipeline._exporter.queue._start_sender = tracer._pipeline._exporter._start_sender
        print("forked", flush=True)
        complete = tracer.shutdown(30).complete
        sys.exit(code or (0 if complete else 8))
"""


class Holding:
    """Holds the parent's first request until it is released, as a slow gateway would."""

    def __init__(self) -> None:
        self.has_it = threading.Event()
        self.go = threading.Event()

    def __call__(self, request: Request) -> Reply | None:
        if not self.has_it.is_set():
            self.has_it.set()
            self.go.wait(60)
        return None


@pytest.mark.parametrize("sender", ["not running", "starting", "idle", "mid-call"])
@pytest.mark.parametrize("pending", [0, 5])
@pytest.mark.parametrize("method", ["os.fork", "prefork", "fork", "spawn", "forkserver"])
def test_no_event_twice_none_lost_and_the_child_works(
    gateway: FakeGateway, tmp_path: Path, method: str, pending: int, sender: str
) -> None:
    """Every event of the parent and of each child arrives exactly once, each under its own producer; no process hangs."""
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(PROGRAM.format(method=method, pending=pending, sender=sender)))
    holding = Holding()
    if sender == "mid-call":
        gateway.rule = holding
    process = subprocess.Popen(
        [sys.executable, path],
        env={**os.environ, "AGENTTRACER_API_URL": gateway.url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    if sender == "mid-call":
        assert holding.has_it.wait(60)
        process.stdin.write("\n")
        process.stdin.flush()
    assert process.stdout.readline() == "forked\n", process.communicate()[1]
    holding.go.set()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    children = 3 if method == "prefork" else 1
    parents = pending + (sender in {"idle", "mid-call"})
    ids = [(event["run_id"], event["seq"]) for event in gateway.events]
    assert len(ids) == len(set(ids)) == 3 * (children + parents)
    names = [event["name"] for event in gateway.of_kind("step_finished")]
    assert (names.count("childs"), names.count("parents")) == (children, parents)
    assert len({request.batch["producer"]["id"] for request in gateway.requests}) == children + (parents > 0)
