"""Start, adoption, stop and repair of any server of the local stack. `kafka` and `postgres` say what the server is.

Rules:
- at most one runs per state directory; a running one that answers is adopted, one that does not is replaced;
- `start` returns only when the server answers; `stop` only when the process is gone;
- a port that clients know stays: after a restart the server has the same port, or the restart fails;
- every change happens under a lock of the state directory, so any number of commands may do it at once.
"""

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from agenttracer_cli.errors import StartError
from agenttracer_cli.local_stack.files import locked
from agenttracer_cli.local_stack.owned_process import AS_SELF, Identity, OwnedProcess
from agenttracer_cli.local_stack.ports import PortBook
from agenttracer_cli.local_stack.start_deadline import QUIET_S, StartDeadline

Report = Callable[[str], None]

_POLL_S = 0.1
_SAY_EVERY_S = 30.0
_ADOPTION_QUIET_S = 20.0  # another command may have started it a moment ago, and been killed
_LONG_TAIL_LINES = 500  # Kafka says why in the middle of two stack traces
_ATTEMPTS = 5  # another process can take a port between its choice and the start


@dataclass(frozen=True)
class Launch:
    """Everything needed to start a server's process."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    working_directory: Path
    identity: Identity = field(default=AS_SELF)


class LocalServer(ABC):
    """One server of the local stack."""

    name: ClassVar[str]  # of files and marks
    title: ClassVar[str]  # for people
    packages: ClassVar[tuple[str, ...]] = ()  # of the extra `local`, that it cannot start without
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    quiet_s: ClassVar[float] = QUIET_S
    stop_within_s: ClassVar[float] = 30.0
    port_free_within_s: ClassVar[float] = 30.0

    def __init__(self, state_dir: Path, *, ports: PortBook, report: Report) -> None:
        self.folder = state_dir / self.name
        self._state_dir = state_dir
        self._ports = ports
        self._report = report
        self._process = OwnedProcess(state_dir=state_dir, name=self.name)
        self._known = False  # whether clients know its port

    @property
    def pid(self) -> int | None:
        """The process id; None when it does not run."""
        process = self._process.find()
        return process.pid if process else None

    @property
    def gave_up(self) -> bool:
        """Never: a server is started again whatever ended it."""
        return False

    @property
    def port(self) -> int | None:
        """The port it listens on, or did when it last ran; None if it never ran."""
        return self._ports.remembered(self.name)

    @property
    def log(self) -> Path:
        """The file that it logs to."""
        return self._process.log

    def log_tail(self, *, lines: int = 15) -> str:
        """Give the last lines of its log since it was last started from here."""
        return self._process.log_tail(lines=lines)

    def start(self) -> bool:
        """Start it, or adopt the one that runs; False if it ran already. Raises StartError when it does not come up."""
        with self._lock():
            if self._adopt():
                self._known = True
                return False
            self._clear_remains()
            self._provision()
            for attempt in range(1, _ATTEMPTS + 1):
                if self._try_start(last=attempt == _ATTEMPTS):
                    break
            self._known = True
            return True

    def stop(self) -> bool:
        """Stop it in order; False if it was not running."""
        if not self._state_dir.exists():
            return False
        with self._lock():
            if self._process.find() is None:
                return False
            self._process.end(with_signal=self.stop_signal, grace_s=self.stop_within_s)
            self._clear_remains()
            self._report(f"{self.title} stopped")
            return True

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would, and wait until nothing of it is left."""
        with self._lock():
            self._process.kill()
            self._clear_remains()

    @abstractmethod
    def answers(self) -> bool:
        """Whether this server answers a real request now. Never raises for a server that is down."""

    @abstractmethod
    def _provision(self) -> None:
        """Provide the programs and an initialised data directory, unless they are there."""

    @abstractmethod
    def _prepare(self) -> Launch:
        """Choose ports and write the configuration."""

    def _choose_port(self, preferred: int) -> int:
        """Give a free port; at a restart the one it had, since clients hold that. Raises StateError if that one stays taken."""
        if self._known:
            return self._ports.await_remembered(self.name, timeout_s=self.port_free_within_s)
        return self._ports.choose(self.name, preferred=preferred)

    def _after_start(self) -> None:
        """Work to do after every start, once the server answers; idempotent."""
        return

    def _clear_remains(self) -> None:
        """Remove leftovers of a crash that would make the next start fail."""
        return

    def _adopt(self) -> bool:
        running = self._process.find()
        if running is None:
            return False
        if self._wait_ready(quiet_s=_ADOPTION_QUIET_S) is None:
            self._after_start()
            self._report(f"{self.title} is running already on port {self.port}")
            return True
        self._report(f"{self.title} (pid {running.pid}) does not answer; restarting it")
        self._process.end(with_signal=self.stop_signal, grace_s=self.stop_within_s)
        return False

    def _try_start(self, *, last: bool) -> bool:
        """Start once; False if another process took the port, unless this was the last try."""
        launch = self._prepare()
        self._report(f"{self.title} starting on port {self.port}")
        began = time.monotonic()
        self._process.spawn(
            launch.argv,
            environment=launch.environment,
            working_directory=launch.working_directory,
            identity=launch.identity,
        )
        reason = self._wait_ready(quiet_s=self.quiet_s)
        if reason is None:
            self._after_start()
            self._report(f"{self.title} ready on port {self.port} after {time.monotonic() - began:.1f} s")
            return True
        self._give_up(reason, retry=not last)
        return False

    def _give_up(self, reason: str, *, retry: bool) -> None:
        """End a process that did not get ready. Raises StartError, unless it lost its port and may be tried again."""
        tail, all_said = self._process.log_tail(), self._process.log_tail(lines=_LONG_TAIL_LINES)
        died = self._process.find() is None
        self._process.kill()
        self._clear_remains()
        if not (retry and died and _lost_its_port(all_said)):
            raise StartError(f"{self.title} {reason}; the end of {self.log}:\n{tail}")

    def _wait_ready(self, *, quiet_s: float) -> str | None:
        """Wait until it answers. Gives None then, else why it was not waited for any longer."""
        began = said_at = time.monotonic()
        deadline = StartDeadline(now=began, quiet_s=quiet_s)
        while not self.answers():
            if self._process.find() is None:
                return "ended at once"
            now = time.monotonic()
            if reason := deadline.exceeded(self._process.activity(), now=now):
                return reason
            if now - said_at >= _SAY_EVERY_S:
                said_at = now
                self._report(f"{self.title} is still starting, after {now - began:.0f} s")
            time.sleep(_POLL_S)
        return None

    def _lock(self) -> AbstractContextManager[None]:
        return locked(
            self._state_dir / "run" / f"{self.name}.lock",
            waiting=lambda: self._report(f"waiting for another command that is starting or stopping {self.title}"),
        )


def _lost_its_port(said: str) -> bool:
    return "already in use" in said.lower()
