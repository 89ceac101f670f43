"""SIGTERM: the SDK flushes first if the program has no handler, and the signal still ends the process."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from tests.unit.sdk.fake_gateway import FakeGateway, Reply, losses

PROLOGUE = """
    import os, signal, sys, threading, time
    from agenttracer import AgentTracer

    def tracer(**settings):
        return AgentTracer(agent_id="a", agent_version="1", flush_interval_s=60, **settings)

    def one_run(tracer):
        with tracer.start_run() as run, run.step("tool", "lookup"):
            pass

    def terminate():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
"""


def python(program: str, gateway: FakeGateway, **environ: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "AGENTTRACER_API_URL": gateway.url, **environ}
    command = [sys.executable, "-c", textwrap.dedent(PROLOGUE) + textwrap.dedent(program)]
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)


def test_a_process_that_sigterm_ends_flushes_first(gateway: FakeGateway) -> None:
    """Everything queued arrives, and the process is ended by the signal as it would have been."""
    done = python("one = tracer(); two = tracer(); one_run(one); one_run(two); terminate()", gateway)
    assert done.returncode == -signal.SIGTERM
    assert len(gateway.events) == 6
    assert done.stderr == ""


def test_a_gateway_that_never_answers_does_not_keep_it_alive(gateway: FakeGateway) -> None:
    """It ends by the signal all the same, within its exit time, and says what is lost."""
    gateway.always = Reply(hang=True)
    done = python("one = tracer(); one_run(one); terminate()", gateway, AGENTTRACER_EXIT_TIMEOUT_S="0.2")
    assert done.returncode == -signal.SIGTERM
    assert losses(done.stderr) == ["agenttracer: 3 events of a could not be sent before the end and are lost"]


@pytest.mark.parametrize("order", ["handler first", "tracer first"])
def test_a_program_with_its_own_handler_ends_as_it_likes(gateway: FakeGateway, order: str) -> None:
    """Its handler is called as if we were not there, and the end of the process flushes."""
    ours, theirs = "one = tracer(); one_run(one)", "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))"
    first, second = (theirs, ours) if order == "handler first" else (ours, theirs)
    done = python(f"{first}; {second}; terminate()", gateway)
    assert done.returncode == 7
    assert len(gateway.events) == 3


def test_a_handler_that_calls_the_one_it_found_decides_the_end_itself(gateway: FakeGateway) -> None:
    """Ours, called by another, flushes and returns."""
    program = """
    one = tracer()
    found = signal.getsignal(signal.SIGTERM)

    def graceful(number, frame):
        found(number, frame)
        print("still here")
        os._exit(5)

    signal.signal(signal.SIGTERM, graceful)
    one_run(one)
    terminate()
    """
    done = python(program, gateway)
    assert (done.returncode, done.stdout) == (5, "still here\n")
    assert len(gateway.events) == 3


@pytest.mark.parametrize(
    "program",
    [
        "one = tracer(flush_on_sigterm=False)",
        "one = tracer(disabled=True)",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); one = tracer(); signal.signal(signal.SIGTERM, signal.SIG_DFL)",
        "made = threading.Thread(target=tracer); made.start(); made.join(); one = tracer(flush_on_sigterm=False)",
    ],
)
def test_the_signal_is_left_alone_where_it_must_be(gateway: FakeGateway, program: str) -> None:
    """Opted out, switched off, ignored by the program, or made in a thread that may not change handlers."""
    done = python(f"{program}; one_run(one); print(signal.getsignal(signal.SIGTERM)); terminate()", gateway)
    assert done.returncode == -signal.SIGTERM
    assert done.stdout in {"Handlers.SIG_DFL\n", "0\n"}
    assert gateway.events == []


def test_a_forked_child_flushes_its_own(gateway: FakeGateway) -> None:
    """A prefork worker that is terminated sends what it queued, once."""
    program = """
    one = tracer()
    one_run(one)
    child = os.fork()
    if child == 0:
        one_run(one)
        terminate()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = python(program, gateway)
    assert (done.returncode, done.stdout) == (0, f"{-signal.SIGTERM}\n")
    ids = [(event["run_id"], event["seq"]) for event in gateway.events]
    assert len(ids) == len(set(ids)) == 6
