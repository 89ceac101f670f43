"""Starts the services as processes with settings, waits until they are ready, and ends them."""

import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from agenttracer_cli.errors import SettingsError, StartError
from agenttracer_cli.local.local_key import PROJECT, local_key_file
from agenttracer_cli.local.ready_probe import Probe, Readiness
from agenttracer_cli.local_stack.owned_process import OwnedProcess
from agenttracer_cli.local_stack.ports import LOOPBACK, PORT_MAX, PortBook, is_free
from agenttracer_cli.local_stack.start_deadline import QUIET_S, Activity, StartDeadline
from servicekit.kafka import KafkaSecurity
from stream_workers.abort import EXIT_DEAD_LETTERS

GATEWAY = "gateway"
_GATEWAY_PORT = "AGENTTRACER_GATEWAY_PORT"
_GRPC_PORT = "AGENTTRACER_GATEWAY_GRPC_PORT"
_QUERY_PORT = "AGENTTRACER_QUERY_PORT"
_WORKER_PORT = "AGENTTRACER_WORKER_PORT"
_RATES = ("AGENTTRACER_GATEWAY_RATE_EVENTS_PER_S", "AGENTTRACER_GATEWAY_RATE_BYTES_PER_S")
_POLL_S = 0.05
_ATTEMPTS = 5  # another stack that starts at the same time can choose the same port and listen first
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
        environment_at_start: Callable[[], Mapping[str, str]] = dict,
        listeners: int = 1,
        final_codes: Collection[int] = (),
        grpc_port: int | None = None,
    ) -> None:
        self.name = name
        self._module = module
        self._port_variable = port_variable
        self._preferred_port = preferred_port
        self._preferred_grpc_port = grpc_port
        self._environment = environment
        self._environment_at_start = environment_at_start
        self._final_codes = final_codes
        self._state_dir = state_dir.resolve()
        self._ports = PortBook(self._state_dir)
        self._process = OwnedProcess(state_dir=self._state_dir, name=name)
        self._probe = Probe(self._process, listeners=listeners)

    @property
    def pid(self) -> int | None:
        """The process id; None when it does not run."""
        process = self._process.find()
        return process.pid if process else None

    @property
    def exit_code(self) -> int | None:
        """Its exit code, if it was started from here and has ended."""
        return self._process.exit_code

    @property
    def gave_up(self) -> bool:
        """Whether it ended for a reason that a restart does not remove."""
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
    def grpc_port(self) -> int | None:
        """The port on which it takes gRPC; None where it takes none."""
        return (
            None
            if self._preferred_grpc_port is None
            else self._ports.remembered(f"{self.name}-grpc") or self._preferred_grpc_port
        )

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
        chosen = {self._port_variable: str(port)}
        if self._preferred_grpc_port is not None:
            chosen[_GRPC_PORT] = str(self._ports.choose(f"{self.name}-grpc", preferred=self._preferred_grpc_port))
        self._process.spawn(
            [sys.executable, "-P", "-m", self._module],  # -P: no module of the working directory is imported
            environment={**os.environ, **self._environment_at_start(), **self._environment, **chosen},
            working_directory=self._working_directory(),
        )

    def _working_directory(self) -> Path:
        """The command's, so that relative paths in settings mean the same to both; the state directory if that one is gone."""
        try:
            return Path.cwd()
        except FileNotFoundError:
            return self._state_dir

    def is_ready(self) -> bool:
        """Whether it is ready now."""
        return self._probe.ask(self.port, grpc_port=self.grpc_port) is Readiness.READY

    def wait_ready(self, *, quiet_s: float = QUIET_S) -> None:
        """Wait until it is ready. If another process has its port, start it on another one.

        Raises StartError, with the end of its log, if it ends, makes no progress for `quiet_s` seconds or takes too long.
        """
        for _ in range(_ATTEMPTS):
            if self._gets_ready(quiet_s):
                return
            self.start()
        raise StartError(f"{self.name} lost {_ATTEMPTS} ports to other processes; the end of {self.log}:\n{self.log_tail()}")

    def _gets_ready(self, quiet_s: float) -> bool:
        """Wait; False once another process has its port."""
        deadline = StartDeadline(now=time.monotonic(), quiet_s=quiet_s)
        while (answer := self._probe.ask(self.port, grpc_port=self.grpc_port)) is not Readiness.READY:
            if answer is Readiness.NOT_OURS:
                return False
            if self.pid is None and not all(map(is_free, filter(None, (self.port, self.grpc_port)))):
                return False
            if self.pid is None:
                raise StartError(f"{self.name} ended instead of getting ready; the end of {self.log}:\n{self.log_tail()}")
            # Its log does not count as progress: a service that cannot reach a server logs that at every attempt.
            activity = Activity(self._process.activity().busy_s)
            if reason := deadline.exceeded(activity, now=time.monotonic()):
                raise StartError(f"{self.name} {reason}; the end of {self.log}:\n{self.log_tail()}")
            time.sleep(_POLL_S)
        return True

    def terminate(self, *, grace_s: float = STOP_WITHIN_S) -> None:
        """Ask it to end in order, wait up to `grace_s` seconds, then kill it."""
        self._process.end(with_signal=signal.SIGTERM, grace_s=grace_s)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would, and wait until it is gone."""
        self._process.kill()


def kafka_variables(service: str, security: KafkaSecurity | None) -> dict[str, str]:
    """The settings with which a service (`GATEWAY`, `WORKER`) reaches the local Kafka; none where it has settings of its own."""
    if security is None or security.password is None:
        return {}
    values = {
        "PROTOCOL": security.protocol.value,
        "SASL_MECHANISM": security.sasl_mechanism.value,
        "USERNAME": security.username or "",
        "PASSWORD": security.password.get_secret_value(),
    }
    return {f"AGENTTRACER_{service}_KAFKA_SECURITY__{name}": value for name, value in values.items()}


def gateway(
    *,
    state_dir: Path,
    kafka_bootstrap: str,
    topic: str,
    postgres_dsn: str,
    key_pepper: str,
    name_key: str,
    processes: int = 1,
    grpc: bool = False,
    extra: Mapping[str, str] | None = None,
) -> Service:
    """Give the producer gateway, in so many processes on one port; `extra` are further settings by their environment names.

    With `grpc` it has a port for OTLP over gRPC too, where exporters send by default if that is free.
    """
    settings = {
        "AGENTTRACER_GATEWAY_PROCESSES": str(processes),
        "AGENTTRACER_GATEWAY_POSTGRES_DSN": postgres_dsn,
        "AGENTTRACER_GATEWAY_KEY_PEPPER": key_pepper,
        "AGENTTRACER_GATEWAY_NAME_KEY": name_key,
        "AGENTTRACER_GATEWAY_HOST": LOOPBACK,
        "AGENTTRACER_GATEWAY_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "AGENTTRACER_GATEWAY_TOPIC": topic,
        # Whoever uses this machine shares it with nobody: no limits unless the user sets some.
        **{name: os.environ.get(name) or "0" for name in _RATES},
    }
    if processes > 1:
        # Any free port, unless the user chose one to read metrics from.
        settings["AGENTTRACER_GATEWAY_PAGES_PORT"] = os.environ.get("AGENTTRACER_GATEWAY_PAGES_PORT") or "0"
    return Service(
        name=GATEWAY,
        module="producer_gateway",
        state_dir=state_dir,
        port_variable=_GATEWAY_PORT,
        preferred_port=_preferred(_GATEWAY_PORT, usual=8000),
        environment={**settings, **(extra or {})},
        listeners=processes,
        grpc_port=_preferred(_GRPC_PORT, usual=4317) if grpc else None,
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
        # A fresh worker does not know what the one before gave up, and would make as many dead letters again at every start.
        final_codes=(EXIT_DEAD_LETTERS,),
    )


def query(
    *,
    state_dir: Path,
    postgres_dsn: str,
    key_pepper: str,
    private: bool = False,
    gateway: Service | None = None,
    extra: Mapping[str, str] | None = None,
) -> Service:
    """Give the query service. On loopback as it is, it shows the project `default` without a key: links open in a browser.

    Its pages tell newcomers where `gateway` is, as it is known when the query service starts, and which file has the key.
    A private one asks everybody for a key.
    """

    def guide() -> Mapping[str, str]:
        if gateway is None:
            return {}
        key_file = str(local_key_file(gateway.port))
        return {"AGENTTRACER_QUERY_GATEWAY_URL": gateway.url, "AGENTTRACER_QUERY_INGEST_KEY_FILE": key_file}

    settings = {
        "AGENTTRACER_QUERY_HOST": LOOPBACK,
        "AGENTTRACER_QUERY_POSTGRES_DSN": postgres_dsn,
        "AGENTTRACER_QUERY_KEY_PEPPER": key_pepper,
        **({} if private else {"AGENTTRACER_QUERY_ANONYMOUS_PROJECT": PROJECT}),
    }
    return Service(
        name="query",
        module="query_service",
        state_dir=state_dir,
        port_variable=_QUERY_PORT,
        preferred_port=_preferred(_QUERY_PORT, usual=8001),
        environment={**settings, **(extra or {})},
        environment_at_start=guide,
    )


def refuse_unsound_ports(*, workers: int) -> None:
    """Raises SettingsError for a port that no process could listen on, by the name of its variable."""
    for variable, processes in ((_GATEWAY_PORT, 1), (_GRPC_PORT, 1), (_QUERY_PORT, 1), (_WORKER_PORT, workers)):
        if _preferred(variable, usual=1) + processes - 1 > PORT_MAX:
            raise SettingsError(f"{variable} leaves no room for {processes} processes up to port {PORT_MAX}")


def _preferred(variable: str, *, usual: int) -> int:
    chosen = os.environ.get(variable, "")
    if not chosen:
        return usual
    if not (chosen.isascii() and chosen.isdecimal() and len(chosen) <= len(str(PORT_MAX)) and 1 <= int(chosen) <= PORT_MAX):
        raise SettingsError(f"{variable} must be a whole number from 1 to {PORT_MAX}")
    return int(chosen)
