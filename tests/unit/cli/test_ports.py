import socket
import threading
from pathlib import Path

import pytest

from agenttracer_cli.errors import StateError
from agenttracer_cli.local_stack.ports import LOOPBACK, PortBook, accepts_connections, is_free


def listener() -> socket.socket:
    server = socket.socket()
    server.bind((LOOPBACK, 0))
    server.listen()
    return server


def test_the_preferred_port_is_taken_when_it_is_free(tmp_path: Path) -> None:
    """A free preferred port is chosen and remembered."""
    with listener() as server:
        port = server.getsockname()[1]
    book = PortBook(tmp_path)
    assert book.choose("kafka", preferred=port) == port
    assert PortBook(tmp_path).remembered("kafka") == port


def test_another_port_is_chosen_when_the_preferred_one_is_taken(tmp_path: Path) -> None:
    """It lies outside the system's range for outgoing connections, and stays for later starts."""
    with listener() as server:
        taken = server.getsockname()[1]
        assert accepts_connections(taken)
        assert not is_free(taken)
        chosen = PortBook(tmp_path).choose("kafka", preferred=taken)
    assert 20_000 <= chosen < 32_000
    assert PortBook(tmp_path).choose("kafka", preferred=taken) == chosen


def test_two_parts_never_share_a_port(tmp_path: Path) -> None:
    """A port that another part of the same state directory remembers is passed over, even while that part is stopped."""
    with listener() as server:
        port = server.getsockname()[1]
    book = PortBook(tmp_path)
    assert book.choose("gateway", preferred=port) == port
    assert book.choose("query", preferred=port) != port


def test_a_remembered_port_is_waited_for(tmp_path: Path) -> None:
    """No other one is given meanwhile."""
    server = listener()
    port = server.getsockname()[1]
    (tmp_path / "ports").mkdir()
    (tmp_path / "ports" / "kafka").write_text(str(port))
    with server:
        with pytest.raises(StateError, match=f"port {port} of kafka is taken"):
            PortBook(tmp_path).await_remembered("kafka", timeout_s=0.2)
        threading.Timer(0.3, server.close).start()
        assert PortBook(tmp_path).await_remembered("kafka", timeout_s=20) == port


def test_a_damaged_memory_counts_as_none(tmp_path: Path) -> None:
    """A ports file that is no number is not an error."""
    (tmp_path / "ports").mkdir()
    (tmp_path / "ports" / "kafka").write_text("")
    assert PortBook(tmp_path).remembered("kafka") is None
