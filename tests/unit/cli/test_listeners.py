import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from agenttracer_cli.local_stack.listeners import listening
from agenttracer_cli.local_stack.ports import LOOPBACK

ELSEWHERE = """
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind((sys.argv[1], int(sys.argv[2])))
s.listen()
print(s.getsockname()[1], flush=True)
sys.stdin.read()
"""


class Elsewhere:
    """Another process that listens."""

    def __init__(self, address: str = LOOPBACK, port: int = 0) -> None:
        argv = [sys.executable, "-c", ELSEWHERE, address, str(port)]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.pid = self._process.pid

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with closing(Elsewhere()) as process:
        yield process


def test_a_listener_belongs_to_the_process_that_has_it_open(elsewhere: Elsewhere) -> None:
    """The same socket is ours or somebody else's by the pids that are called ours."""
    assert listening([elsewhere.pid]).ours == {elsewhere.port: 1}
    assert elsewhere.port not in listening([elsewhere.pid]).others
    assert elsewhere.port in listening([os.getpid()]).others


def test_a_shared_port_shows_both(elsewhere: Elsewhere) -> None:
    """Two processes with SO_REUSEPORT divide the connections: such a port is ours and somebody else's."""
    with closing(Elsewhere(port=elsewhere.port)) as second:
        found = listening([second.pid])
        assert found.ours[elsewhere.port] == 1
        assert elsewhere.port in found.others
        assert listening([second.pid, elsewhere.pid]).ours == {elsewhere.port: 2}


def test_a_bound_socket_that_does_not_listen_is_no_listener() -> None:
    """Nor is one that has ended, or a process that is gone."""
    with socket.socket() as bound:
        bound.bind((LOOPBACK, 0))
        port = bound.getsockname()[1]
        found = listening([os.getpid()])
        assert port not in found.ours
        assert port not in found.others
    assert listening([2**22 + 1]).ours == {}


def test_a_listener_on_every_address_is_reached_over_loopback() -> None:
    """As somebody's development server is."""
    with closing(Elsewhere("0.0.0.0")) as everywhere:
        assert everywhere.port in listening([]).others


def test_the_listener_on_the_very_address_is_the_one_that_is_reached() -> None:
    """One on all addresses beside it gets nothing of what is sent to loopback."""
    with closing(Elsewhere("0.0.0.0")) as everywhere, closing(Elsewhere(port=everywhere.port)) as exact:
        found = listening([exact.pid])
    assert found.ours == {exact.port: 1}
    assert exact.port not in found.others


def test_ipv4_through_an_ipv6_socket_counts() -> None:
    """Java listens on 127.0.0.1 like this."""
    with socket.socket(socket.AF_INET6) as mapped:
        mapped.bind(("::ffff:127.0.0.1", 0))
        mapped.listen()
        assert listening([os.getpid()]).ours[mapped.getsockname()[1]] == 1
