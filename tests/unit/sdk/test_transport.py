"""One request over a real socket."""

import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from agenttracer._export.transport import Transport
from tests.unit.sdk.fake_gateway import FakeGateway, Reply

RawServer = Callable[[Callable[[socket.socket], None]], int]


@pytest.fixture
def transport(gateway: FakeGateway) -> Iterator[Transport]:
    made = Transport(api_url=gateway.url + "/base", api_key="key", connect_timeout_s=5, request_timeout_s=10)
    yield made
    made.close()


@pytest.fixture
def raw_server() -> Iterator[RawServer]:
    """A listening socket whose single connection is served by a function of the test's."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)
    threads = []

    def serve(talk: Callable[[socket.socket], None]) -> int:
        def run() -> None:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(30)
                connection.recv(65536)
                talk(connection)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return listener.getsockname()[1]

    yield serve
    listener.close()
    for thread in threads:
        thread.join()


def to(port: int, **limits: float) -> Transport:
    given = {"connect_timeout_s": 5.0, "request_timeout_s": 30.0, **limits}
    return Transport(api_url=f"http://127.0.0.1:{port}", api_key=None, **given)


def test_one_connection_serves_many_requests(transport: Transport, gateway: FakeGateway) -> None:
    """Keep-alive, the path under the configured address, and the key in its header."""
    for _ in range(3):
        assert transport.post(b'{"events": []}').status == 202
    assert gateway.connections == 1
    assert {request.path for request in gateway.requests} == {"/base/v1/events"}
    assert gateway.requests[0].headers["Authorization"] == "Bearer key"


def test_large_bodies_are_compressed_and_small_ones_are_not(transport: Transport, gateway: FakeGateway) -> None:
    """From about a KiB on, by zstd where this Python has it."""
    transport.post(b'{"events": []}')
    transport.post(b'{"events": [' + b"1," * 2_000 + b"1]}")
    small, large = gateway.requests
    assert "Content-Encoding" not in small.headers
    assert large.headers["Content-Encoding"] == "zstd"
    assert len(large.wire_bytes) < 200
    assert len(large.batch["events"]) == 2_001


def test_a_gateway_that_knows_no_zstd_gets_gzip(transport: Transport, gateway: FakeGateway) -> None:
    """One that answers 415 is asked again at once, and from then on in the encoding that every gateway takes."""
    gateway.script.append(Reply(status=415))
    body = b'{"events": [' + b"1," * 2_000 + b"1]}"
    assert [transport.post(body).status for _ in range(2)] == [202, 202]
    assert [request.headers["Content-Encoding"] for request in gateway.requests] == ["zstd", "gzip", "gzip"]


def test_without_zstd_bodies_are_gzipped() -> None:
    """The standard library of Python before 3.14 has none; the SDK then does with what there is."""
    program = """
        import sys
        sys.modules["backports.zstd"] = sys.modules["compression.zstd"] = None
        from agenttracer._export.transport import ENCODINGS
        print(*(encoding.name for encoding in ENCODINGS))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "gzip\n"


def test_a_gateway_may_close_after_its_answer(transport: Transport, gateway: FakeGateway) -> None:
    """With `Connection: close`; the next request opens another."""
    gateway.script.append(Reply(status=413, headers={"Connection": "close"}))
    assert [transport.post(b'{"events": []}').status for _ in range(2)] == [413, 202]
    assert gateway.connections == 2


def test_a_refused_connection_is_no_answer() -> None:
    """Nobody listens: None, soon."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert to(port).post(b"{}") is None


def test_an_answer_cut_off_is_no_answer_and_the_next_request_works(transport: Transport, gateway: FakeGateway) -> None:
    """A connection closed in the middle of an answer is opened again."""
    gateway.script.append(Reply(cut=True))
    assert transport.post(b'{"events": []}') is None
    assert transport.post(b'{"events": []}').status == 202


def test_a_connection_closed_while_idle_is_opened_again_at_once(raw_server: RawServer) -> None:
    """A kept connection that the gateway has closed meanwhile costs no attempt."""
    port = raw_server(lambda connection: connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"))
    transport = to(port)
    assert transport.post(b"{}").status == 202
    raw_server(lambda connection: connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"))
    assert transport.post(b"{}").status == 202
    transport.close()


def test_silence_ends_at_the_deadline(transport: Transport, gateway: FakeGateway) -> None:
    """A gateway that accepts and never answers is given the time asked for."""
    gateway.script.append(Reply(hang=True))
    assert transport.post(b'{"events": []}', within_s=0.2) is None


def test_a_dripping_answer_gets_no_more_time_than_silence(raw_server: RawServer) -> None:
    """The limit is on the whole answer, not on each read."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        try:
            connection.sendall(b"HTTP/1.1 202 Accepted\r\nX-Drip: ")
            while not over.wait(0.02):
                connection.sendall(b"x")
        except OSError:
            return

    transport = to(raw_server(drip))
    began = time.monotonic()
    assert transport.post(b"{}", within_s=0.3) is None
    assert time.monotonic() - began < 20
    over.set()


def test_an_endless_answer_is_read_up_to_its_cap(raw_server: RawServer) -> None:
    """64 KiB of an answer are enough; the connection is given up."""

    def flood(connection: socket.socket) -> None:
        try:
            connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100000000\r\n\r\n")
            while True:
                connection.sendall(b"x" * 65536)
        except OSError:
            return

    transport = to(raw_server(flood))
    answer = transport.post(b"{}")
    assert (answer.status, len(answer.body)) == (202, 64 * 1024)


@pytest.mark.parametrize("garbage", [b"", b"SSH-2.0-hello\r\n", b"HTTP/1.1 banana\r\n\r\n", b"\x00" * 100_000])
def test_what_is_no_http_is_no_answer(raw_server: RawServer, garbage: bytes) -> None:
    """Whatever listens there, the SDK survives it."""

    def talk(connection: socket.socket) -> None:
        try:
            connection.sendall(garbage)
        except OSError:
            return

    assert to(raw_server(talk)).post(b"{}", within_s=20) is None


def test_redirects_are_not_followed(transport: Transport, gateway: FakeGateway) -> None:
    """A redirect is an answer like any other: telemetry goes to the configured address or nowhere."""
    gateway.script.append(Reply(status=307, headers={"Location": gateway.url + "/elsewhere"}))
    assert transport.post(b'{"events": []}').status == 307
    assert len(gateway.requests) == 1
