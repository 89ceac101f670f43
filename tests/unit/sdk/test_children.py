"""Children that end right after their work, by every way in which pools and servers end them."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.unit.sdk.fake_gateway import FakeGateway

PREAMBLE = """
    import atexit, concurrent.futures, multiprocessing, os, signal, sys, time, warnings
    from agenttracer import AgentTracer

    warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of threads; surviving them is what is tested
    tracer = AgentTracer(agent_id="parent", agent_version="1", flush_interval_s=60, exit_timeout_s=30)

    def task(number):
        with tracer.start_run() as run, run.step("tool", "work"):
            pass
        return run.run_id
"""
WAYS = {
    "os._exit": """
        for number in range(6):
            if os.fork() == 0:
                task(number)
                os._exit(0)
            os.wait()
    """,
    "os._exit of a grandchild": """
        for number in range(6):
            if os.fork() == 0:
                if os.fork() == 0:
                    task(number)
                    os._exit(0)
                os.wait()
                os._exit(0)
            os.wait()
    """,
    "a pool of one task a child": """
        with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
            assert len(set(pool.map(task, range(6), chunksize=1))) == 6
            pool.close()
            pool.join()
    """,
    "an executor": """
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            assert len(set(pool.map(task, range(6)))) == 6
    """,
    "billiard's pool of one task a child": """
        import billiard
        pool = billiard.Pool(2, maxtasksperchild=1)
        assert len(set(pool.map(task, range(6), chunksize=1))) == 6
        pool.close()
        pool.join()
    """,
    "billiard's processes": """
        import billiard
        processes = [billiard.Process(target=task, args=(number,)) for number in range(6)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    """,
    "exit": """
        for number in range(6):
            if os.fork() == 0:
                task(number)
                sys.exit(0)
            os.wait()
    """,
}


def run(text: str, gateway: FakeGateway, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "program.py"
    body = textwrap.indent(textwrap.dedent(text), "    ")
    path.write_text(textwrap.dedent(PREAMBLE) + '\nif __name__ == "__main__":\n' + body)
    told = {**os.environ, "AGENTTRACER_API_URL": gateway.url}
    return subprocess.run([sys.executable, path], env=told, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("way", WAYS)
def test_a_child_that_ended_its_work_has_delivered_it(gateway: FakeGateway, tmp_path: Path, way: str) -> None:
    """Six runs, in children that end in the moment after; each arrives whole, and once."""
    done = run(WAYS[way], gateway, tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(gateway.of_kind("run_finished")) == 6, done.stderr
    ids = [(event["run_id"], event["seq"]) for event in gateway.events]
    assert len(ids) == len(set(ids)) == 18


def test_a_child_without_events_ends_at_once(gateway: FakeGateway, tmp_path: Path) -> None:
    """`os._exit` is the system's own there: a daemon's forks are not held up, and the parent's events are its own."""
    program = """
        task(0)
        if os.fork() == 0:
            print(os._exit.__name__, flush=True)
            os._exit(3)
        print(os.waitstatus_to_exitcode(os.wait()[1]))
    """
    done = run(program, gateway, tmp_path)
    assert done.stdout.split() == ["_exit", "3"], done.stderr
    assert len(gateway.events) == 3


def test_the_exit_status_of_a_child_is_its_own(gateway: FakeGateway, tmp_path: Path) -> None:
    """Also where the flush fails."""
    program = """
        from agenttracer._export import process_lifecycle
        for broken in (False, True):
            if os.fork() == 0:
                task(0)
                if broken:
                    process_lifecycle.shut_down_all = None
                os._exit(7)
            print(os.waitstatus_to_exitcode(os.wait()[1]))
    """
    done = run(program, gateway, tmp_path)
    assert done.stdout.split() == ["7", "7"], done.stderr


@pytest.mark.parametrize("end", ["sys.exit(0)", "pass", "raise ValueError"])
def test_a_run_still_open_at_a_normal_exit_ends(gateway: FakeGateway, tmp_path: Path, end: str) -> None:
    """Nobody ended it, and nobody will: it is neither a success nor abandoned."""
    done = run(f"kept = tracer.start_run()\n{end}", gateway, tmp_path)
    assert done.returncode == (1 if end.startswith("raise") else 0)
    (finished,) = gateway.of_kind("run_finished")
    assert finished["status"] == "partial"
    assert finished["emitted"] == 2


def test_a_child_does_not_end_the_runs_of_its_parent(gateway: FakeGateway, tmp_path: Path) -> None:
    """A run that is open across a fork is the parent's to end."""
    program = """
        with tracer.start_run() as run:
            if os.fork() == 0:
                task(0)
                atexit._run_exitfuncs()
                os._exit(0)
            os.wait()
            with run.step("tool", "work"):
                pass
    """
    done = run(program, gateway, tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(event["status"] for event in gateway.of_kind("run_finished")) == ["success", "success"]


def test_flush_on_end_waits_for_the_end_of_the_last_open_run(gateway: FakeGateway, tmp_path: Path) -> None:
    """A function that is frozen when it returns has sent its run by then."""
    program = """
        frozen = AgentTracer(agent_id="function", agent_version="1", flush_interval_s=60, flush_on_end=True)
        with frozen.start_run():
            with frozen.start_run() as inner, inner.step("tool", "work"):
                pass
            print(frozen.stats().accepted)
        print(frozen.stats().accepted, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = run(program, gateway, tmp_path)
    assert done.stdout.split() == ["0", "5"], done.stderr
