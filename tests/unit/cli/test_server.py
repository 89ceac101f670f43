import os
import socket
import sys
from pathlib import Path

import pytest

from agenttracer_cli.errors import StartError, StateError
from agenttracer_cli.local_stack.ports import LOOPBACK, PortBook, accepts_connections
from agenttracer_cli.local_stack.server import Launch, LocalServer

LISTEN = "import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(600)"


class TinyServer(LocalServer):
    """Listens on its port and does nothing else, or says why it cannot."""

    name = "tiny"
    title = "Tiny"
    quiet_s = 10.0
    program = LISTEN
    prepared = 0

    def answers(self) -> bool:
        """Tell whether it listens."""
        return self.port is not None and accepts_connections(self.port)

    def _provision(self) -> None:
        self.folder.mkdir(exist_ok=True)

    def _prepare(self) -> Launch:
        self.prepared += 1
        port = self._choose_port(26_000)
        argv = (sys.executable, "-c", self.program.format(port=port, attempt=self.prepared))
        return Launch(argv, environment=dict(os.environ), working_directory=self.folder)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def server(tmp_path: Path, said: list[str]) -> TinyServer:
    return TinyServer(tmp_path, ports=PortBook(tmp_path), report=said.append)


def test_a_server_is_started_once_and_adopted_after(server: TinyServer, said: list[str]) -> None:
    """The second start says that it runs already."""
    try:
        assert server.start()
        pid = server.pid
        assert not server.start()
        assert server.pid == pid
        assert "running already" in said[-1]
    finally:
        assert server.stop()
    assert not server.stop()
    assert server.pid is None


def test_a_server_that_lost_its_port_at_the_last_moment_tries_another(server: TinyServer) -> None:
    """Somebody else listened between the choice and the start."""
    server.program = "import sys; sys.exit('Address already in use') if {attempt} == 1 else None\n" + LISTEN.replace("; ", "\n")
    try:
        assert server.start()
        assert server.prepared == 2
    finally:
        server.stop()


def test_a_server_that_dies_for_another_reason_is_not_tried_again(server: TinyServer) -> None:
    """Its last words are in the error."""
    server.program = "import sys; sys.exit('disk full')"
    with pytest.raises(StartError, match=r"Tiny ended at once.*\ndisk full"):
        server.start()
    assert server.prepared == 1


def test_a_server_that_never_answers_is_ended(server: TinyServer) -> None:
    """Nothing is left running of a failed start."""
    server.quiet_s = 0.3
    server.program = "import time; time.sleep(600)"
    with pytest.raises(StartError, match="made no progress for"):
        server.start()
    assert server.pid is None


def test_a_server_that_is_slow_but_works_is_waited_for(server: TinyServer) -> None:
    """On a busy machine a start can take minutes: the time without progress counts, not the whole time."""
    server.quiet_s = 0.3
    server.program = "import time\nends = time.time() + 1.5\nwhile time.time() < ends: pass\n" + LISTEN.replace("; ", "\n")
    try:
        assert server.start()
    finally:
        server.stop()


def test_a_strangers_listener_is_not_taken_for_ours(server: TinyServer) -> None:
    """No process of ours, so nothing is adopted; the port is passed over."""
    with socket.socket() as stranger:
        stranger.bind((LOOPBACK, 0))
        stranger.listen()
        (server.folder.parent / "ports").mkdir()
        (server.folder.parent / "ports" / "tiny").write_text(str(stranger.getsockname()[1]))
        try:
            assert server.start()
            assert server.port != stranger.getsockname()[1]
        finally:
            server.stop()


def test_a_server_comes_back_where_its_clients_know_it(server: TinyServer) -> None:
    """A port that somebody took meanwhile is waited for, and never exchanged for another one."""
    server.port_free_within_s = 0.3
    try:
        server.start()
        port = server.port
        server.kill()
        with socket.create_server((LOOPBACK, port)), pytest.raises(StateError, match=f"port {port} of tiny is taken"):
            server.start()
        assert server.start()
        assert server.port == port
    finally:
        server.stop()
