"""The socket that keeps a port for a group of processes."""

import socket
from contextlib import closing

import pytest

from producer_gateway.process.prefork import claimed_socket, shared_socket

LOOPBACK = "127.0.0.1"


def test_a_port_is_claimed_once() -> None:
    """Before anybody listens and while members do; when the claim is gone it is free, whatever connections linger."""
    with closing(claimed_socket(LOOPBACK, 0)) as claim:
        port = claim.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            claimed_socket(LOOPBACK, port)
        with closing(shared_socket(LOOPBACK, port)) as member:
            member.listen()
            with pytest.raises(OSError, match="in use"):
                claimed_socket(LOOPBACK, port)
            with socket.create_connection((LOOPBACK, port)):
                member.accept()[0].close()
    claimed_socket(LOOPBACK, port).close()


def test_members_share_a_claimed_port() -> None:
    """The claim itself takes no connection."""
    with closing(claimed_socket(LOOPBACK, 0)) as claim:
        port = claim.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, port))
        with closing(shared_socket(LOOPBACK, port)) as one, closing(shared_socket(LOOPBACK, port)) as other:
            one.listen()
            other.listen()
            socket.create_connection((LOOPBACK, port)).close()
