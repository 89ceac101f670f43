"""The key of a local stack: found by itself, on loopback alone, and again when the stack is younger than the agent."""

from pathlib import Path

import pytest

from agenttracer._export.transport import Transport, local_key
from agenttracer_cli.local.local_key import local_key_file, publish_local_key
from agenttracer_cli.local_stack.ports import LOOPBACK
from tests.unit.sdk.fake_gateway import FakeGateway, NewTracer, Reply, Request

KEY = "atk_" + "a" * 12 + "_" + "B" * 48


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def port_of(gateway: FakeGateway) -> int:
    return int(gateway.url.rpartition(":")[2])


def only(key: str) -> "object":
    def rule(request: Request) -> Reply | None:
        return None if request.headers.get("Authorization") == f"Bearer {key}" else Reply(status=401)

    return rule


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_stack_and_the_sdk_agree_where_it_is(host: str) -> None:
    """By port; only the user may read it."""
    assert local_key(f"http://{host}:8123") is None
    file = publish_local_key(KEY, port=8123)
    assert local_key(f"http://{host}:8123/base") == KEY
    assert local_key(f"http://{host}:8124") is None
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_without_xdg_it_is_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of both sides."""
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    publish_local_key(KEY, port=8123)
    assert local_key_file(8123) == tmp_path / "home/.config/agenttracer/local/8123.key"
    assert local_key("http://127.0.0.1:8123") == KEY


ELSEWHERE = [
    "http://gateway:8123",
    "http://10.0.0.1:8123",
    "https://localhost.example:8123",
    "https://127.0.0.1:8123",
    "http://[::1]:8123",
    "http://127.0.0.1:8124",
    "http://localhost",
]


@pytest.mark.parametrize("url", ELSEWHERE)
def test_no_other_address_ever_gets_it(url: str) -> None:
    """Neither another host, nor another port, nor TLS or IPv6, on which no local stack listens."""
    publish_local_key(KEY, port=8123)
    assert local_key(url) is None


def test_the_stack_listens_where_the_key_is_sent() -> None:
    """A stack that listened elsewhere would need another rule."""
    assert local_key(f"http://{LOOPBACK}:8123") == local_key("http://127.0.0.1:8123")
    publish_local_key(KEY, port=8123)
    assert local_key(f"http://{LOOPBACK}:8123") == KEY


def test_an_agent_of_another_port_sends_no_key(gateway: FakeGateway) -> None:
    """Not at first, and not after a refusal either."""
    publish_local_key(KEY, port=port_of(gateway) ^ 1)
    gateway.rule = only(KEY)
    transport = Transport(api_url=gateway.url, api_key=None, connect_timeout_s=5, request_timeout_s=10)
    assert transport.post(b'{"events": []}').status == 401
    assert ["Authorization" in request.headers for request in gateway.requests] == [False]
    transport.close()


@pytest.mark.parametrize("content", [b"", b"two words", b"line\r\nX-Other: 1", b"\xff\xfe", b"atk\x00"])
def test_what_is_no_key_is_not_sent(content: bytes) -> None:
    """It would be a header."""
    publish_local_key(KEY, port=8123).write_bytes(content)
    assert local_key("http://127.0.0.1:8123") is None


def test_a_tracer_without_a_key_sends_it(gateway: FakeGateway, new_tracer: NewTracer) -> None:
    """Its events are accepted by a gateway that wants this key."""
    publish_local_key(KEY, port=port_of(gateway))
    gateway.rule = only(KEY)
    tracer = new_tracer()
    with tracer.start_run():
        pass
    assert tracer.flush().complete
    assert tracer.stats().accepted == 2


def test_a_key_of_its_own_comes_first(gateway: FakeGateway) -> None:
    """And is not given up for the local one when it is refused."""
    publish_local_key(KEY, port=port_of(gateway))
    gateway.rule = only(KEY)
    transport = Transport(api_url=gateway.url, api_key="own", connect_timeout_s=5, request_timeout_s=10)
    assert transport.post(b'{"events": []}').status == 401
    assert [request.headers["Authorization"] for request in gateway.requests] == ["Bearer own"]
    transport.close()


def test_it_is_looked_for_again_after_a_refusal(gateway: FakeGateway) -> None:
    """The stack came up, or made another key, after the agent had looked: the same request is sent with it, once."""
    transport = Transport(api_url=gateway.url, api_key=None, connect_timeout_s=5, request_timeout_s=10)
    gateway.rule = only(KEY)
    assert transport.post(b'{"events": []}').status == 401
    publish_local_key(KEY, port=port_of(gateway))
    assert transport.post(b'{"events": []}').status == 202
    gateway.rule = only("another")
    assert transport.post(b'{"events": []}').status == 401
    assert len(gateway.requests) == 4
    transport.close()
