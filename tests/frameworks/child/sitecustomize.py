"""Loaded by Python itself before a framework's agent: nothing but loopback can be reached, whatever a framework calls home to."""

import socket
from typing import Any

_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex
_lookup = socket.getaddrinfo
_LOOPBACK = ("127.", "::1", "localhost")


def _is_here(host: object) -> bool:
    return str(host).startswith(_LOOPBACK)


def _refuse(sock: socket.socket, address: Any) -> None:
    if sock.family in {socket.AF_INET, socket.AF_INET6} and not _is_here(address[0]):
        raise ConnectionRefusedError("tests/frameworks has no network")


def connect(sock: socket.socket, address: Any) -> None:
    """As `socket.connect`, to loopback alone."""
    _refuse(sock, address)
    _connect(sock, address)


def connect_ex(sock: socket.socket, address: Any) -> int:
    """As `socket.connect_ex`, to loopback alone."""
    _refuse(sock, address)
    return _connect_ex(sock, address)


def getaddrinfo(host: Any, *args: Any, **named: Any) -> Any:
    """As `socket.getaddrinfo`, of loopback alone."""
    if host is not None and not _is_here(host.decode() if isinstance(host, bytes) else host):
        raise socket.gaierror(socket.EAI_NONAME, "tests/frameworks has no network")
    return _lookup(host, *args, **named)


socket.socket.connect = connect  # type: ignore[method-assign]
socket.socket.connect_ex = connect_ex  # type: ignore[method-assign]
socket.getaddrinfo = getaddrinfo
