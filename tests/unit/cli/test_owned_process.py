import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agenttracer_cli.local_stack.owned_process import OwnedProcess, send_signal, wait_gone
from agenttracer_cli.local_stack.process_table import ProcessId, find_marked, identify, marked_names, working_in

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[OwnedProcess]:
    owned = OwnedProcess(state_dir=tmp_path, name="part")
    yield owned
    owned.kill()


def spawn(owned: OwnedProcess, argv: list[str], folder: Path) -> ProcessId:
    return owned.spawn(argv, environment=dict(os.environ), working_directory=folder)


def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        wait_gone(identify(os.getpid()), timeout_s=0.01)
    pytest.fail("condition never came true")


def test_a_started_process_is_found_by_another_object(process: OwnedProcess, tmp_path: Path) -> None:
    """The record outlives the object that wrote it."""
    started = spawn(process, SLEEPER, tmp_path)
    assert OwnedProcess(state_dir=tmp_path, name="part").find() == started
    assert OwnedProcess(state_dir=tmp_path, name="other").find() is None


def test_a_process_without_a_record_is_found_by_its_marks(process: OwnedProcess, tmp_path: Path) -> None:
    """A crash between start and record leaves nothing unknown."""
    started = spawn(process, SLEEPER, tmp_path)
    (tmp_path / "run" / "part.json").unlink()
    until(lambda: process.find() == started)
    assert marked_names(owner=tmp_path) == {"part"}
    assert find_marked(owner=tmp_path / "elsewhere", name="part") is None


def test_a_process_lives_as_long_as_one_of_its_threads(process: OwnedProcess, tmp_path: Path) -> None:
    """Its first thread can end before the others, as when it is killed: until the last one is gone its ports are taken."""
    headless = (
        "import ctypes, threading; threading.Thread(target=input).start(); print('up', flush=True); "
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    with subprocess.Popen([sys.executable, "-c", headless], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        until(lambda: (Path("/proc") / str(child.pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z")
        assert identify(child.pid) is not None
        child.stdin.close()
        until(lambda: identify(child.pid) is None)


def test_what_a_process_leaves_behind_is_ended_with_it(process: OwnedProcess, tmp_path: Path) -> None:
    """Children that outlive it hold its ports."""
    parent = (
        "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); time.sleep(600)"
    )
    started = spawn(process, [sys.executable, "-c", parent], tmp_path)
    until(lambda: len(process.pids()) == 2)
    (child,) = process.pids() - {started.pid}
    process.kill()
    assert process.pids() == set()
    assert identify(child) is None


def test_a_pid_that_was_used_again_is_not_ours(process: OwnedProcess, tmp_path: Path) -> None:
    """A record with a living pid but another start time finds nobody, and signals reach nobody."""
    with subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL) as stranger:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "part.json").write_text(json.dumps({"pid": stranger.pid, "born": "another boot:1"}))
        assert process.find() is None
        assert not send_signal(ProcessId(stranger.pid, "another boot:1"), signal.SIGKILL)
        process.kill()
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("record", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_record_counts_as_none(process: OwnedProcess, tmp_path: Path, record: str) -> None:
    """A record cut short by a crash is not an error."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "part.json").write_text(record)
    assert process.find() is None


def test_a_process_ends_when_asked(process: OwnedProcess, tmp_path: Path) -> None:
    """SIGTERM is enough for one that listens, and its record goes."""
    started = spawn(process, SLEEPER, tmp_path)
    process.end(with_signal=signal.SIGTERM, grace_s=10)
    assert identify(started.pid) is None
    assert not (tmp_path / "run" / "part.json").exists()


def test_a_process_that_does_not_listen_is_killed(process: OwnedProcess, tmp_path: Path) -> None:
    """After the grace comes SIGKILL."""
    started = spawn(process, STUBBORN, tmp_path)
    until(lambda: "up" in process.log_tail())
    process.end(with_signal=signal.SIGTERM, grace_s=0.1)
    assert identify(started.pid) is None


def test_the_log_tail_is_of_the_last_start(process: OwnedProcess, tmp_path: Path) -> None:
    """What an earlier process wrote is not shown as the last one's."""
    for text in ("first", "second"):
        started = spawn(process, [sys.executable, "-c", f"print('{text}')"], tmp_path)
        assert wait_gone(started, timeout_s=10)
    assert process.log_tail() == "second"
    assert process.log.read_text() == "first\nsecond\n"


def test_processes_are_found_by_their_working_directory(process: OwnedProcess, tmp_path: Path) -> None:
    """The one that stands in the folder, and nobody else."""
    (tmp_path / "data").mkdir()
    started = spawn(process, SLEEPER, tmp_path / "data")
    until(lambda: working_in(tmp_path / "data") == [started])
    assert working_in(tmp_path / "elsewhere") == []


def test_the_calling_process_can_be_registered(tmp_path: Path) -> None:
    """`down` finds the running `up` this way."""
    myself = OwnedProcess(state_dir=tmp_path, name="up")
    myself.register_caller()
    assert OwnedProcess(state_dir=tmp_path, name="up").find() == identify(os.getpid())
    myself.forget()
    assert myself.find() is None


def test_what_a_process_ended_with_is_known_whoever_collected_it(process: OwnedProcess, tmp_path: Path) -> None:
    """None while it runs; then its own code, or minus the signal that ended it."""
    started = spawn(process, SLEEPER, tmp_path)
    assert process.exit_code is None
    process.kill()
    assert process.exit_code == -signal.SIGKILL
    started = spawn(process, [sys.executable, "-c", "raise SystemExit(65)"], tmp_path)
    assert wait_gone(started, timeout_s=10)
    assert process.exit_code == 65
    assert OwnedProcess(state_dir=tmp_path, name="part").exit_code is None
