"""A real gateway answers before all of a request was sent, and the client hears the answer, not that its connection was reset."""

import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agenttracer._export.response_action import Action, classify_response
from agenttracer._export.transport import Transport
from tests.support.gateway_process import DEADLINE_S, GatewayProcess, create_topic, gateway_process

MIB = 1024 * 1024
HEAD = b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
TOO_LARGE = HEAD + b"content-length: %d\r\n\r\n" % (3 * MIB) + b" " * 1024


@pytest.fixture
def gateway(tmp_path: Path, kafka_bootstrap: str) -> Iterator[GatewayProcess]:
    with gateway_process(tmp_path, kafka_bootstrap, topic=create_topic(kafka_bootstrap), receive_timeout_s=0.2) as gateway:
        yield gateway


def answer_to(gateway: GatewayProcess, begun: bytes, *, rest_bytes: int) -> bytes:
    """What comes back, in full, to a client that goes on sending after it was answered, and reads only then."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=DEADLINE_S) as client:
        client.sendall(begun)
        assert select.select([client], [], [], DEADLINE_S)[0], "no answer"
        for _ in range(0, rest_bytes, 65_536):
            client.sendall(b" " * 65_536)
        return b"".join(iter(lambda: client.recv(65_536), b""))


def test_too_large(gateway: GatewayProcess) -> None:
    """A body of 3 MiB that is sent after its answer is taken in, and the whole 413 waits behind it."""
    head, _, body = answer_to(gateway, TOO_LARGE, rest_bytes=3 * MIB).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"content-length: %d" % len(body) in head
    assert b"body_too_large" in body


def test_too_slow(gateway: GatewayProcess) -> None:
    """So is the 408 of a body that did not come in time, and comes then."""
    answer = answer_to(gateway, HEAD + b"content-length: 900000\r\n\r\n{", rest_bytes=900_000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"slow_body" in answer


def test_sdk_splits(gateway: GatewayProcess) -> None:
    """What the SDK sends in one go and is too large gets the answer by which it sends halves, not the same again for ever."""
    transport = Transport(
        api_url=f"http://127.0.0.1:{gateway.port}", api_key=None, connect_timeout_s=DEADLINE_S, request_timeout_s=DEADLINE_S
    )
    for _ in range(10):
        assert classify_response(transport.post(os.urandom(3 * MIB))).action is Action.SPLIT
    transport.close()
