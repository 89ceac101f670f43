"""Finds out from `/proc` which process listens on which loopback port.

An answer on a port proves nothing: it may come from another stack's service.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agenttracer_cli.local_stack.process_table import PROC

# As /proc/net/tcp and tcp6 write addresses, each group of 8 digits a word in the byte order of x86 and ARM. Which a connection to
# 127.0.0.1 prefers: a listener on that very address, then one on all of IPv4, then one on everything.
_RANKS = {
    "0100007F": 0,
    "0000000000000000FFFF00000100007F": 0,  # how Java listens on 127.0.0.1
    "00000000": 1,
    "0" * 32: 2,
}
_LOCAL_ADDRESS, _STATE, _INODE = 1, 3, 9
_LISTEN = "0A"


@dataclass(frozen=True)
class Listening:
    """Ports with listeners: the number of our sockets on each, and the ports with sockets of other processes."""

    ours: Counter[int]
    others: frozenset[int]


def listening(pids: Iterable[int]) -> Listening:
    """Look once at the listeners that a connection to 127.0.0.1 would reach. `pids` are our processes."""
    sockets = _reachable()  # before the processes: so a socket of ours is never taken for another's
    held = {inode for pid in pids for inode in _held(pid)}
    ours = Counter(port for port, inode in sockets if inode in held)
    return Listening(ours, frozenset(port for port, inode in sockets if inode not in held))


def _reachable() -> list[tuple[int, str]]:
    found = list(_listening_sockets())
    best: dict[int, int] = {}
    for port, rank, _ in found:
        best[port] = min(rank, best.get(port, rank))
    return [(port, inode) for port, rank, inode in found if rank == best[port]]


def _listening_sockets() -> Iterator[tuple[int, int, str]]:
    """Port, rank and inode of each."""
    for table in ("net/tcp", "net/tcp6"):
        for line in _lines(PROC / table)[1:]:
            fields = line.split()
            address, _, port = fields[_LOCAL_ADDRESS].partition(":")
            if fields[_STATE] == _LISTEN and address in _RANKS:
                yield int(port, 16), _RANKS[address], fields[_INODE]


def _lines(table: Path) -> list[str]:
    try:
        return table.read_text().splitlines()
    except FileNotFoundError:  # a kernel without IPv6
        return []


def _held(pid: int) -> Iterator[str]:
    """Inodes of the sockets that a process has open; none if it is gone."""
    try:
        files = list((PROC / str(pid) / "fd").iterdir())
    except OSError:
        return
    for file in files:
        try:
            target = str(file.readlink())
        except OSError:
            continue  # closed a moment ago
        if target.startswith("socket:["):
            yield target[len("socket:[") : -1]
