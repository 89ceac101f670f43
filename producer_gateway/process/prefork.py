"""Several gateway processes on one port: starts them, restarts those that end, and ends them all. No request passes through here.

The system spreads connections over them (SO_REUSEPORT). Each has its own producer, limits, metrics, and port for its pages.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Final

from producer_gateway.settings import GatewaySettings
from servicekit.logs import Log
from servicekit.restart_backoff import RestartBackoff

_LOG: Final = Log("gateway")
_POLL_S: Final = 0.1
_GRACE_S: Final = 5.0
_PARENT_DIED: Final = 1  # PR_SET_PDEATHSIG in linux/prctl.h


@dataclass(slots=True)
class _Member:
    """One process of the group."""

    number: int
    process: "subprocess.Popen[bytes] | None" = None
    start_at: float = 0.0
    backoff: RestartBackoff = field(default_factory=RestartBackoff)


class Prefork:
    """The processes of one `python -m producer_gateway` with more than one."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._members = [_Member(number) for number in range(settings.processes)]
        self._ending = False
        # Keeps the port, or has the system choose one, while members come and go.
        self._port_holder = claimed_socket(settings.host, settings.port)
        self._grpc_port_holder = claimed_socket(settings.host, settings.grpc_port) if settings.grpc_port else None

    def run(self) -> int:
        """Run until SIGTERM or SIGINT. The exit code is 0 when every process ended in order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        while not self._ending:
            for member in self._members:
                self._tend(member)
            time.sleep(_POLL_S)
        return self._stop()

    def _end(self, _number: int, _frame: object) -> None:
        self._ending = True

    def _tend(self, member: _Member) -> None:
        now = time.monotonic()
        if member.process is None:
            if now >= member.start_at:
                self._start(member)
        elif member.process.poll() is not None:
            _LOG.error("process_ended", number=member.number, code=member.process.returncode)
            member.process, member.start_at = None, now + member.backoff.ended(now=now)

    def _start(self, member: _Member) -> None:
        pages_port = self._settings.pages_port or 0
        settings = {
            "PROCESSES": "1",
            "REUSE_PORT": "true",
            "PORT": str(self._port_holder.getsockname()[1]),
            "PAGES_PORT": str(pages_port + member.number if pages_port else 0),
            "RATE_EVENTS_PER_S": str(self._settings.rate_events_per_s / self._settings.processes),
            "RATE_BYTES_PER_S": str(self._settings.rate_bytes_per_s / self._settings.processes),
        }
        environment = os.environ | {f"AGENTTRACER_GATEWAY_{name}": value for name, value in settings.items()}
        member.process = subprocess.Popen([sys.executable, "-m", "producer_gateway.process.worker"], env=environment)

    def _stop(self) -> int:
        processes = [member.process for member in self._members if member.process is not None]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + self._settings.drain_timeout_s + self._settings.flush_timeout_s + _GRACE_S
        for process in processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._port_holder.close()
        if self._grpc_port_holder is not None:
            self._grpc_port_holder.close()
        return 0 if all(process.returncode == 0 for process in processes) else 1


def claimed_socket(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen, beside which only shared ones can listen. Raises OSError where the port is taken.

    A second group must not get the same port: the system would give each of the two requests that were meant for the other.
    """
    holder = _bound(host, port or _any_port(host), shared=False)
    holder.listen()  # only one socket can while it does not share the port, as at this instant
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)  # from here on another claim fails when it listens
    holder.shutdown(socket.SHUT_RDWR)  # listens no more; the port stays its own
    return holder


def _any_port(host: str) -> int:
    """A port of the system's choice. A socket that had it chosen for itself would lose it when it stops listening."""
    with _bound(host, 0, shared=False) as chosen:
        return int(chosen.getsockname()[1])


def shared_socket(host: str, port: int) -> socket.socket:
    """A bound socket that lets other processes of the same user listen on the same port. Raises OSError."""
    return _bound(host, port, shared=True)


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    (family, _, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
    bound.bind(address)
    bound.set_inheritable(False)
    return bound


def end_with_parent() -> None:
    """Have the system send SIGTERM to this process when its parent is gone: nothing else would ever end it."""
    ctypes.CDLL(None).prctl(_PARENT_DIED, signal.SIGTERM)
