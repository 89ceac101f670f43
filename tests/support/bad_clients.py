"""Clients that keep a gateway waiting, in a process of their own.

`python -m tests.support.bad_clients PORT SLOW HALF_OPEN SPREAD_S`: SLOW of them send a head and then a byte of the body now and
then. HALF_OPEN send nothing or half a head, and never read: what a peer looks like that is gone without a word. SPREAD_S they
take to come, evenly. Whoever is disconnected comes back at once. When standard input closes they tell, as JSON, how often they
were answered with which status, or only disconnected.

They share a machine with what they are to disturb, so they cost little themselves: one loop over bare sockets.
"""

import json
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_EVERY_S: Final = 0.5
_GROUPS: Final = 10
"""The slow ones send in turns, so that their bytes do not come all at once."""
_HEAD: Final = b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
SLOW_BODY: Final = _HEAD + b"content-length: 100000\r\n\r\n"


@contextmanager
def bad_clients(port: int, *, slow: int, half_open: int, spread_s: float = 0.0) -> Iterator[Counter[str]]:
    """Keep them at it while the block runs; afterwards the counter holds what became of their connections."""
    outcomes: Counter[str] = Counter()
    command = [sys.executable, "-m", "tests.support.bad_clients", str(port), str(slow), str(half_open), str(spread_s)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield outcomes
    finally:
        told, _ = process.communicate()
    outcomes.update(json.loads(told))


class _Client:
    """One connection after the other. Each sends `first` and, when told, further bytes."""

    def __init__(self, port: int, first: bytes, poll: select.epoll) -> None:
        self._port = port
        self.first = first
        self._poll = poll
        self._answer = b""
        self._has_begun = False
        self._sock = socket.socket()

    def connect(self) -> int:
        """Begin, and give the descriptor of the socket, at which `ready` will be due."""
        self._has_begun = False
        self._answer, self._sock = b"", socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._sock.connect_ex(("127.0.0.1", self._port))
        self._poll.register(self._sock, select.EPOLLOUT)
        return self._sock.fileno()

    def ready(self, events: int) -> str | None:
        """Go on; what became of the connection, when it is over."""
        try:
            if events & select.EPOLLOUT:
                self._sock.send(self.first)
                self._has_begun = True
                self._poll.modify(self._sock, select.EPOLLIN)
                return None
            data = self._sock.recv(4_096)
        except OSError:
            return self._end("reset")
        self._answer += data
        return None if data else self._end("disconnected")

    def dribble(self) -> None:
        """One more byte, unless it was answered."""
        if self._has_begun and not self._answer:
            with suppress(OSError):  # not connected yet, or no more
                self._sock.send(b"x")

    def _end(self, unanswered: str) -> str:
        self._sock.close()
        return self._answer[9:12].decode() or unanswered


class _Crowd:
    """All of them."""

    def __init__(self, port: int, *, slow: int, half_open: int, spread_s: float) -> None:
        self._poll = select.epoll()
        self._here: dict[int, _Client] = {}
        self._groups: list[list[_Client]] = [[] for _ in range(_GROUPS)]
        self._turns = 0
        due = [(spread_s * at / slow, SLOW_BODY) for at in range(slow)]
        due += [(spread_s * at / half_open, _HEAD if at % 2 else b"") for at in range(half_open)]
        self._coming = [(due_s, _Client(port, first, self._poll)) for due_s, first in sorted(due, reverse=True)]

    def run(self) -> Counter[str]:
        """Until standard input closes: what became of their connections."""
        outcomes: Counter[str] = Counter()
        began = time.monotonic()
        self._poll.register(sys.stdin, select.EPOLLIN)
        while True:
            for fileno, events in self._poll.poll(_EVERY_S / _GROUPS / 2):
                if fileno == sys.stdin.fileno():
                    return outcomes
                outcome = self._here[fileno].ready(events)
                if outcome is not None:
                    outcomes[outcome] += 1
                    self._connect(self._here.pop(fileno))
            now_s = time.monotonic() - began
            self._come(now_s)
            self._dribble(now_s)

    def _connect(self, client: _Client) -> None:
        self._here[client.connect()] = client

    def _come(self, now_s: float) -> None:
        while self._coming and self._coming[-1][0] <= now_s:
            _, client = self._coming.pop()
            self._connect(client)
            if client.first is SLOW_BODY:
                self._groups[len(self._here) % _GROUPS].append(client)

    def _dribble(self, now_s: float) -> None:
        while self._turns < now_s * _GROUPS / _EVERY_S:
            self._turns += 1
            for client in self._groups[self._turns % _GROUPS]:
                client.dribble()


def _main(port: str, slow: str, half_open: str, spread_s: str) -> None:
    crowd = _Crowd(int(port), slow=int(slow), half_open=int(half_open), spread_s=float(spread_s))
    print(json.dumps(crowd.run()))  # noqa: T201 - this is how it tells


if __name__ == "__main__":
    _main(*sys.argv[1:])
