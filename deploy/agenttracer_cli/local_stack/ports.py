"""Chooses the TCP port of each part: the usual one, or another if it is taken, and the same one after a restart.

Each part has a small file in `ports/` of the state directory. Nothing is started or contacted here.
"""

import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from agenttracer_cli.errors import StateError
from agenttracer_cli.local_stack.files import write_atomically

LOOPBACK = "127.0.0.1"
PORT_MAX = 65_535

# Below every system's range for outgoing connections: a client that keeps trying a stopped server's port from inside that range
# can be given this very port as its own and connect to itself, and the server never gets it back.
_SPARE_PORTS = range(20_000, 32_000)
_TRIES = 500
_POLL_S = 0.1


class PortBook:
    """The ports of one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "ports"

    def remembered(self, part: str) -> int | None:
        """Give the port that this part had last; None if it never had one."""
        try:
            port = int((self._folder / part).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return port if 1 <= port <= PORT_MAX else None

    def choose(self, part: str, *, preferred: int) -> int:
        """Give a port that is free now: the one it had, else the preferred one, else any; and remember it."""
        for port in self._candidates(part, preferred=preferred):
            if is_free(port):
                write_atomically(self._folder / part, f"{port}\n")
                return port
        raise StateError(f"found no free port on {LOOPBACK} for {part}; end some of the servers that listen there")

    def await_remembered(self, part: str, *, timeout_s: float) -> int:
        """Give the port that this part had, once it is free. Raises StateError if it does not become free in time."""
        port = self.remembered(part)
        if port is None:
            raise StateError(f"{part} never had a port here")
        deadline = time.monotonic() + timeout_s
        while not is_free(port):
            if time.monotonic() > deadline:
                raise StateError(
                    f"port {port} of {part} is taken, and its clients know no other; end the server that listens there"
                )
            time.sleep(_POLL_S)
        return port

    def _candidates(self, part: str, *, preferred: int) -> Iterator[int]:
        others = {self.remembered(file.name) for file in self._folder.glob("[!.]*") if file.name != part}
        remembered = self.remembered(part)
        spare = (random.choice(_SPARE_PORTS) for _ in range(_TRIES))  # noqa: S311  spread, not secrecy
        for port in (*([remembered] if remembered else []), preferred, *spare):
            if port not in others:
                yield port


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As servers do: connections that linger in TIME_WAIT do not count, listeners do.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def accepts_connections(port: int, *, timeout_s: float = 1.0) -> bool:
    """Whether a process listens on this loopback port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=timeout_s).close()
    except OSError:
        return False
    return True
