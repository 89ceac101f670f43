"""What a connection may take before it is a request, shown on real sockets."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from servicekit.http.connection_policy import ConnectionPolicy
from servicekit.http.server import protocol_of
from tests.support.served import served

DEADLINE_S = 30.0
HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n"
WHOLE = HEAD + b"\r\n"
LARGE = b"x" * 20_000_000


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers `ok`, or a lot where `/large` is asked for."""
    if scope["type"] == "http":
        body = LARGE if scope["path"] == "/large" else b"ok"
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(**bounds: Any) -> Iterator[int]:
    """The port of a server with these bounds."""
    policy = ConnectionPolicy(
        **{"head_max_bytes": 1_024, "head_timeout_s": 60.0, "connections_max": 1_000, "on_timeout": {}} | bounds
    )
    with served(app, http=protocol_of(policy)) as url:
        yield int(url.rpartition(":")[2])


def connected(port: int, *sent: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
    for each in sent:
        client.sendall(each)
    return client


def read_to_end(client: socket.socket) -> bytes:
    """All until the server closes. A test that waits in vain fails by the socket's timeout."""
    got = b""
    with client:
        try:
            while data := client.recv(65_536):
                got += data
        except ConnectionResetError:
            pass
    return got


def status(answer: bytes) -> int:
    return int(answer[9:12])


def test_good_requests_pass() -> None:
    """One after another on one connection, and several sent ahead."""
    with serving() as port, connected(port, WHOLE) as client:
        assert b"ok" in client.recv(65_536)
        client.sendall(WHOLE * 3)
        got = b""
        while got.count(b"ok") < 3:
            got += client.recv(65_536)


@pytest.mark.parametrize(
    "pieces",
    [
        (b"GET /" + b"a" * 495, b"a" * 500, b"a" * 500),
        (HEAD + b"x: ", b"a" * 900, b"a" * 200),
        (HEAD + b"".join(b"x%d: y\r\n" % number for number in range(400)),),
    ],
    ids=["address", "a header without end", "many headers"],
)
def test_large_heads(pieces: tuple[bytes, ...]) -> None:
    """A head beyond its size is answered 431 in the form of all errors, and the connection ends; its end is not waited for.

    The last piece is the one that is too much: a client that sent more could find its answer lost in a reset.
    """
    with serving() as port:
        answer = read_to_end(connected(port, *pieces))
    assert status(answer) == 431
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "head_too_large"


def test_a_chunk_extension_without_end() -> None:
    """It belongs to no body and to no head: the connection ends, its answer given already."""
    with serving() as port, connected(port, b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;") as client:
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                client.sendall(b"a" * 500)
        read_to_end(client)


def test_nonsense() -> None:
    """What is no HTTP is answered 400 in the same form, without a word of it."""
    with serving() as port:
        answer = read_to_end(connected(port, b"canary7f3a\r\n\r\n"))
    assert status(answer) == 400
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "malformed_request"
    assert b"canary" not in answer


@pytest.mark.parametrize("sent", [b"", b"\r\n", HEAD, WHOLE + HEAD], ids=repr)
def test_half_heads_have_a_deadline(sent: bytes) -> None:
    """Nothing, half a head, or half a further one: the connection ends when the time is over, however it is dripped on."""
    with serving(head_timeout_s=0.3) as port:
        read_to_end(connected(port, sent))


def test_empty_lines_have_a_deadline() -> None:
    """An empty line after an answer begins no request, and ends uvicorn's own wait for one: the connection ends all the same."""
    with serving(idle_timeout_s=0.3) as port:
        client = connected(port, WHOLE)
        assert b"ok" in client.recv(65_536)
        client.sendall(b"\r\n")
        read_to_end(client)


def test_dripping_moves_no_deadline() -> None:
    """A byte now and then does not prolong a head's time."""
    with serving(head_timeout_s=0.5) as port, connected(port, HEAD + b"x: ") as client:
        client.settimeout(0.1)
        for _ in range(int(DEADLINE_S / 0.1)):
            try:
                client.sendall(b"y")
                if client.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except OSError:
                return
    pytest.fail("the connection did not end")


def test_too_many_sent_ahead() -> None:
    """A packet full of requests ends its connection: each would be kept."""
    with serving() as port:
        client = connected(port)
        with contextlib.suppress(ConnectionError):
            client.sendall(WHOLE * 5_000)
        assert read_to_end(client).count(b"ok") < 10


def test_half_heads_make_room() -> None:
    """When all connections are taken by half heads, the oldest is closed for whoever comes."""
    with serving(connections_max=10) as port:
        half = [connected(port, HEAD) for _ in range(30)]
        for _ in range(20):
            with connected(port, WHOLE) as client:
                assert b"ok" in client.recv(65_536)
        assert read_to_end(half[0]) == b""
        for client in half:
            client.close()


def test_unread_answers_end() -> None:
    """Who does not read is disconnected, with what is left of the answer."""
    with serving(answer_timeout_s=0.3) as port, connected(port, b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n") as client:
        time.sleep(1.0)  # a client that does nothing is what is shown
        assert len(read_to_end(client)) < len(LARGE)


def test_slow_readers_get_all() -> None:
    """Who reads on, however slowly, is heard out."""
    with (
        serving(answer_timeout_s=1.0) as port,
        connected(port, b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n") as client,
    ):
        got = 0
        while data := client.recv(200_000):
            got += len(data)
            time.sleep(0.02)
    assert got > len(LARGE)
