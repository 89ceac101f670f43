"""Our own processes as seen from outside: started with settings, waited for, ended. What they do inside is not known here."""

import os
import signal
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from deploy.errors import SettingsError, StartError
from deploy.local_key import PROJECT
from deploy.local_stack.owned_process import OwnedProcess
from deploy.local_stack.ports import LOOPBACK, PORT_MAX, PortBook, is_free
from deploy.ready_probe import Answer, Probe
from stream_workers.ending import EXIT_POISON

_PROJECT = Path(__file__).resolve().parents[1]  # where the services' packages lie
GATEWAY = "gateway"
_GATEWAY_PORT = "AGENTTRACER_GATEWAY_PORT"
_QUERY_PORT = "AGENTTRACER_QUERY_PORT"
_WORKER_PORT = "AGENTTRACER_WORKER_PORT"
_POLL_S = 0.05
READY_WITHIN_S = 60.0
_ATTEMPTS = 5  # another stack that starts at the same moment can choose the same port, and be first to listen
STOP_WITHIN_S = 20.0  # above the 10 s in which the gateway promises to finish what is in flight


class Service:
    """One process of ours with an HTTP port: `python -m <module>`, at most one of a name alive in a state directory."""

    def __init__(
        self,
        *,
        name: str,
        module: str,
        state_dir: Path,
        port_variable: str,
        preferred_port: int,
        environment: Mapping[str, str],
        listeners: int = 1,
        final_codes: Collection[int] = (),
    ) -> None:
        self.name = name
        self._module = module
        self._port_variable = port_variable
        self._preferred_port = preferred_port
        self._environment = environment
        self._final_codes = final_codes
        self._ports = PortBook(state_dir.resolve())
        self._process = OwnedProcess(state_dir=state_dir.resolve(), name=name)
        self._probe = Probe(self._process, listeners=listeners)

    @property
    def pid(self) -> int | None:
        """The process id; None when it does not run."""
        process = self._process.find()
        return process.pid if process else None

    @property
    def exit_code(self) -> int | None:
        """What it ended with, if it was started from here and has ended."""
        return self._process.exit_code

    @property
    def gave_up(self) -> bool:
        """Tell whether it ended for a reason that starting it again does not mend."""
        return self.exit_code in self._final_codes

    @property
    def pids(self) -> set[int]:
        """The ids of all its processes; empty when none runs."""
        return self._process.pids()

    @property
    def port(self) -> int:
        """The port it listens on; before the first start, the one it would like."""
        return self._ports.remembered(self.name) or self._preferred_port

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def log(self) -> Path:
        """The file that holds its output."""
        return self._process.log

    def log_tail(self, *, lines: int = 15) -> str:
        """Give the last lines of its output since it was last started."""
        return self._process.log_tail(lines=lines)

    def start(self) -> None:
        """Start it on a free port, the same as last time if it can be had. One left over from a killed command is ended first."""
        self.terminate()
        port = self._ports.choose(self.name, preferred=self._preferred_port)
        self._process.spawn(
            [sys.executable, "-m", self._module],
            environment={**os.environ, **self._environment, self._port_variable: str(port)},
            working_directory=_PROJECT,
        )

    def is_ready(self) -> bool:
        """Tell whether it says now that it is ready."""
        return self._probe.ask(self.port) is Answer.READY

    def wait_ready(self, timeout_s: float = READY_WITHIN_S) -> None:
        """Wait until it says that it is ready; where it lost its port to somebody else, start it on another one.

        Raises StartError, with the end of its log, if it dies or takes longer than `timeout_s` seconds after a start.
        """
        for _ in range(_ATTEMPTS):
            if self._gets_ready(timeout_s):
                return
            self.start()
        raise StartError(f"{self.name} lost {_ATTEMPTS} ports to others; the end of {self.log}:\n{self.log_tail()}")

    def _gets_ready(self, timeout_s: float) -> bool:
        """Wait; False once it is clear that its port is somebody else's."""
        deadline = time.monotonic() + timeout_s
        while (answer := self._probe.ask(self.port)) is not Answer.READY:
            if answer is Answer.NOT_OURS:
                return False
            if self.pid is None and not is_free(self.port):
                return False
            if self.pid is None:
                raise StartError(f"{self.name} ended instead of getting ready; the end of {self.log}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} is not ready after {timeout_s:.0f} s; the end of {self.log}:\n{self.log_tail()}")
            time.sleep(_POLL_S)
        return True

    def terminate(self, *, grace_s: float = STOP_WITHIN_S) -> None:
        """Ask it to end in order, wait up to `grace_s` seconds, then kill it."""
        self._process.end(with_signal=signal.SIGTERM, grace_s=grace_s)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would, and wait until it is gone."""
        self._process.kill()


def gateway(
    *,
    state_dir: Path,
    kafka_bootstrap: str,
    topic: str,
    postgres_dsn: str,
    key_pepper: str,
    processes: int = 1,
    extra: Mapping[str, str] | None = None,
) -> Service:
    """Give the producer gateway, in so many processes on one port; `extra` are further settings by their environment names."""
    settings = {
        "AGENTTRACER_GATEWAY_PROCESSES": str(processes),
        "AGENTTRACER_GATEWAY_POSTGRES_DSN": postgres_dsn,
        "AGENTTRACER_GATEWAY_KEY_PEPPER": key_pepper,
        "AGENTTRACER_GATEWAY_HOST": LOOPBACK,
        "AGENTTRACER_GATEWAY_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "AGENTTRACER_GATEWAY_TOPIC": topic,
    }
    if processes > 1:
        # Whatever the system gives them, unless the user wants to know where to read metrics.
        settings["AGENTTRACER_GATEWAY_PAGES_PORT"] = os.environ.get("AGENTTRACER_GATEWAY_PAGES_PORT") or "0"
    return Service(
        name=GATEWAY,
        module="producer_gateway",
        state_dir=state_dir,
        port_variable=_GATEWAY_PORT,
        preferred_port=_preferred(_GATEWAY_PORT, usual=8000),
        environment={**settings, **(extra or {})},
        listeners=processes,
    )


def worker(
    *, number: int, state_dir: Path, kafka_bootstrap: str, postgres_dsn: str, topic: str, extra: Mapping[str, str] | None = None
) -> Service:
    """Give the stream worker with this number, counted from 1."""
    settings = {
        "AGENTTRACER_WORKER_HOST": LOOPBACK,
        "AGENTTRACER_WORKER_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "AGENTTRACER_WORKER_POSTGRES_DSN": postgres_dsn,
        "AGENTTRACER_WORKER_TOPIC": topic,
    }
    return Service(
        name=f"worker-{number}",
        module="stream_workers",
        state_dir=state_dir,
        port_variable=_WORKER_PORT,
        preferred_port=_preferred(_WORKER_PORT, usual=8002) + number - 1,
        environment={**settings, **(extra or {})},
        # A fresh worker does not know what the one before gave up, and would bury as much again at every start.
        final_codes=(EXIT_POISON,),
    )


def query(*, state_dir: Path, postgres_dsn: str, key_pepper: str, extra: Mapping[str, str] | None = None) -> Service:
    """Give the query service. On loopback as it is, it shows the project `default` without a key: links open in a browser."""
    settings = {
        "AGENTTRACER_QUERY_HOST": LOOPBACK,
        "AGENTTRACER_QUERY_POSTGRES_DSN": postgres_dsn,
        "AGENTTRACER_QUERY_KEY_PEPPER": key_pepper,
        "AGENTTRACER_QUERY_ANONYMOUS_PROJECT": PROJECT,
    }
    return Service(
        name="query",
        module="query_service",
        state_dir=state_dir,
        port_variable=_QUERY_PORT,
        preferred_port=_preferred(_QUERY_PORT, usual=8001),
        environment={**settings, **(extra or {})},
    )


def refuse_unsound_ports(*, workers: int) -> None:
    """Raises SettingsError for a port that no process could listen on, by the name of its variable."""
    for variable, processes in ((_GATEWAY_PORT, 1), (_QUERY_PORT, 1), (_WORKER_PORT, workers)):
        if _preferred(variable, usual=1) + processes - 1 > PORT_MAX:
            raise SettingsError(f"{variable} leaves no room for {processes} processes up to port {PORT_MAX}")


def _preferred(variable: str, *, usual: int) -> int:
    chosen = os.environ.get(variable, "")
    if not chosen:
        return usual
    if not (chosen.isascii() and chosen.isdecimal() and len(chosen) <= len(str(PORT_MAX)) and 1 <= int(chosen) <= PORT_MAX):
        raise SettingsError(f"{variable} must be a whole number from 1 to {PORT_MAX}")
    return int(chosen)
