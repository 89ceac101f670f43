"""The query service as a process of its own, without any store: what strangers may take of it before they show a key."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.stacks import until

DEADLINE_S = 30.0
CONNECTIONS_MAX = 20
MEMORY_MAX_BYTES = 16 * 1024 * 1024
SETTINGS = {
    "PORT": "0",
    "ANONYMOUS_PROJECT": "default",
    "CONNECTIONS_MAX": str(CONNECTIONS_MAX),
    "HEAD_TIMEOUT_S": "1",
}


class Service:
    """A running query service."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.process = process
        self.port = port

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)

    def memory_bytes(self, field: str) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


@pytest.fixture
def service(tmp_path: Path, unused_port: int) -> Iterator[Service]:
    log = tmp_path / "query.log"
    told = SETTINGS | {"POSTGRES_DSN": f"postgresql://agenttracer_query@127.0.0.1:{unused_port}/agenttracer"}
    environment = os.environ | {f"AGENTTRACER_QUERY_{name}": value for name, value in told.items()}
    with log.open("wb") as stderr:
        process = subprocess.Popen([sys.executable, "-m", "query_service"], env=environment, stderr=stderr)
    try:
        yield Service(process, until(lambda: _port(log), timeout_s=DEADLINE_S, what="listening"))
    finally:
        process.kill()
        process.wait()


def _port(log: Path) -> int | None:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return next((line["port"] for line in lines if line["event"] == "listening"), None)


@pytest.mark.parametrize("begin", [b"GET /", b"GET / HTTP/1.1\r\nx: "], ids=["address", "header"])
def test_head_without_end(service: Service, begin: bytes) -> None:
    """An address or a header of 200 MB ends its connection with its first KiB: nothing of it is kept."""
    httpx.get(f"http://127.0.0.1:{service.port}/health").raise_for_status()
    before = service.memory_bytes("VmRSS")
    with service.connected() as client, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        client.sendall(begin + b"a" * 200_000_000)
        pytest.fail("all of it was taken")
    assert service.memory_bytes("VmHWM") - before < MEMORY_MAX_BYTES


def test_half_open_heads(service: Service) -> None:
    """Half heads on more connections than are allowed keep nobody out, and are closed when their time is over."""
    half = [service.connected() for _ in range(2 * CONNECTIONS_MAX)]
    for client in half:
        client.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n")
    for _ in range(CONNECTIONS_MAX):
        assert httpx.get(f"http://127.0.0.1:{service.port}/health").status_code == 200
    for client in half:
        with client, contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


def test_a_tail_does_not_keep_the_process(service: Service) -> None:
    """It says that the service ends, and the process is gone long before requests in flight would be given up."""
    with service.connected() as client, client.makefile("rb") as answer:
        client.sendall(b"GET /v1/tail HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
        assert any(line == b"event: ready\n" for line in answer)
        service.process.terminate()
        assert b"service_ending" in answer.read()
    assert service.process.wait(timeout=DEADLINE_S) == 0
