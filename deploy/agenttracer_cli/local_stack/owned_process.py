"""A named process of a state directory: started detached, found again after any crash, ended, and never doubled.

The process outlives the Python that started it. A record file identifies it, and between start and record its own environment
does. Signals go through a pidfd, so they can only reach the process that was looked up.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agenttracer_cli.errors import StopError
from agenttracer_cli.local_stack.files import append_log, write_atomically
from agenttracer_cli.local_stack.process_table import (
    NAME_VARIABLE,
    OWNER_VARIABLE,
    ProcessId,
    busy_seconds,
    exit_code,
    find_marked,
    identify,
    is_alive,
    marked_pids,
)
from agenttracer_cli.local_stack.start_deadline import Activity

_POLL_S = 0.02
_KILL_WAIT_S = 10.0


@dataclass(frozen=True)
class Identity:
    """User and group of a process; None means those of the caller."""

    uid: int | None = None
    gid: int | None = None


AS_SELF = Identity()


class _Detached(subprocess.Popen[bytes]):
    """A child that may outlive this Python, so there is no warning when the object is deleted before the process ends."""

    def __del__(self) -> None:  # the base class warns about a child still running
        return


class OwnedProcess:
    """The process called `name` that belongs to `state_dir`."""

    def __init__(self, *, state_dir: Path, name: str) -> None:
        self.name = name
        self._state_dir = state_dir
        self._record = state_dir / "run" / f"{name}.json"
        self.log = state_dir / "logs" / f"{name}.log"
        self._log_start = 0
        self._spawned: ProcessId | None = None

    def find(self) -> ProcessId | None:
        """Give the running process; None if it does not run."""
        recorded = self._recorded()
        if recorded and is_alive(recorded):
            return recorded
        return find_marked(owner=self._state_dir, name=self.name)

    @property
    def exit_code(self) -> int | None:
        """Exit code of the process that was last started from here; None while it runs."""
        return exit_code(self._spawned) if self._spawned else None

    def pids(self) -> set[int]:
        """Give the pids of the running process and its children; of children alone, where they outlive it."""
        running = self.find()
        return marked_pids(owner=self._state_dir, name=self.name) | ({running.pid} if running else set())

    def spawn(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        working_directory: Path,
        identity: Identity = AS_SELF,
    ) -> ProcessId:
        """Start it in a session of its own, its output appended to its log. The caller has made sure that none runs."""
        marks = {OWNER_VARIABLE: str(self._state_dir), NAME_VARIABLE: self.name}
        with append_log(self.log) as log:
            self._log_start = log.tell()
            child = _Detached(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C is for the command, which then stops us in order
                cwd=working_directory,
                env={**environment, **marks},
                user=identity.uid,
                group=identity.gid,
                extra_groups=None if identity.uid is None else [],
            )
        process = identify(child.pid) or ProcessId(child.pid, "ended at once")
        self._remember(process)
        self._spawned = process
        return process

    def register_caller(self) -> None:
        """Record the calling process under this name, so that another command finds it."""
        process = identify(os.getpid())
        assert process is not None  # it is running this line
        self._remember(process)

    def forget(self) -> None:
        """Drop the record."""
        self._record.unlink(missing_ok=True)

    def end(self, *, with_signal: signal.Signals, grace_s: float) -> None:
        """Ask it to end, wait `grace_s` seconds, then kill it; likewise a child that outlives it. Nothing to do if none runs."""
        while process := self.find():
            send_signal(process, with_signal)
            if not wait_gone(process, timeout_s=grace_s):
                self._kill(process)
        self.forget()

    def kill(self) -> None:
        """End it at once, as a crash would, and wait until it and its children are gone."""
        while process := self.find():
            self._kill(process)
        self.forget()

    def log_tail(self, *, lines: int = 15) -> str:
        """Give the last lines that the process wrote since it was last started from here."""
        try:
            with self.log.open("rb") as log:
                log.seek(self._log_start)
                written = log.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(written[-lines:])

    def activity(self) -> Activity:
        """Give the work that the process and its children have done so far."""
        try:
            log_bytes = self.log.stat().st_size
        except FileNotFoundError:
            log_bytes = 0
        return Activity(busy_seconds(self.pids()), log_bytes)

    def _kill(self, process: ProcessId) -> None:
        send_signal(process, signal.SIGKILL)
        if not wait_gone(process, timeout_s=_KILL_WAIT_S):
            raise StopError(f"{self.name} is still there after SIGKILL; see `ps -o pid,stat,wchan {process.pid}`")

    def _remember(self, process: ProcessId) -> None:
        write_atomically(self._record, json.dumps(asdict(process)))

    def _recorded(self) -> ProcessId | None:
        try:
            return ProcessId(**json.loads(self._record.read_text()))
        except (FileNotFoundError, ValueError, TypeError):  # none, or cut short by a crash
            return None


def send_signal(process: ProcessId, number: signal.Signals) -> bool:
    """Signal this very process; False if it is gone."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_alive(process):  # the handle was opened on a later owner of the same pid
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def wait_gone(process: ProcessId, *, timeout_s: float) -> bool:
    """Wait until the process is gone; False if it still runs after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while is_alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
