import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import pytest

from agenttracer_cli.errors import ProvisionError
from agenttracer_cli.local_stack.kafka import jars
from agenttracer_cli.local_stack.kafka.jars import KAFKA_VERSION, LOCK, LockedJar, kafka_class_path, parse_lock

CONTENT = b"jar bytes"
Stock = Callable[..., "FakeContext"]  # takes what the repository is to answer


class FakeArtifact:
    """A jar in a repository, or the error that fetching it gives."""

    def __init__(self, folder: Path, content: bytes | Exception) -> None:
        self.cached_path = folder / "a-1.jar"
        self._content = content

    def resolve(self) -> Path:
        """Fetch it."""
        if isinstance(self._content, Exception):
            raise self._content
        self.cached_path.parent.mkdir(parents=True, exist_ok=True)
        self.cached_path.write_bytes(self._content)
        return self.cached_path


class FakeContext:
    """Answers each request with the next of the given contents."""

    def __init__(self, folder: Path, contents: Sequence[bytes | Exception]) -> None:
        self.local_repos = []
        self._folder = folder
        self._contents = list(contents)
        self.requests = []

    def create_dependency(self, coordinates: str) -> Self:
        """Answer the next request."""
        self.requests.append(coordinates)
        self.artifact = FakeArtifact(self._folder, self._contents.pop(0))
        return self


@pytest.fixture
def stocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stock:
    """A lock of one jar, an empty cache, and a way to say what the repository answers."""
    lock = tmp_path / "kafka.lock"
    lock.write_text(f"# comment\ng:a:1 {hashlib.sha256(CONTENT).hexdigest()}\n")
    monkeypatch.setattr(jars, "LOCK", lock)
    monkeypatch.setenv("AGENTTRACER_CACHE_DIR", str(tmp_path / "cache"))

    def answers(*contents: Sequence[bytes | Exception]) -> FakeContext:
        context = FakeContext(tmp_path / "repository", contents)
        monkeypatch.setattr(jars, "maven_context", lambda **_: context)
        return context

    return answers


def test_the_lock_names_the_broker_and_a_hash_for_every_jar() -> None:
    """The shipped lock is of the version that the code names, and each digest has the form of a SHA-256."""
    jars = parse_lock(LOCK.read_text())
    assert f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}" in {jar.coordinates for jar in jars}
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)
    assert len({jar.file_name for jar in jars}) == len(jars)


def test_jars_are_fetched_once(stocked: Stock) -> None:
    """The second call needs no repository."""
    stocked(CONTENT)
    lines = []
    first = kafka_class_path(report=lines.append)
    assert os.path.basename(first) == "a-1.jar"  # noqa: PTH119  a class path of one entry
    assert lines[-1].endswith("1 of 1 files, 0 MB")
    stocked()
    assert kafka_class_path(report=lines.append) == first


def test_a_failed_fetch_is_tried_again(stocked: Stock) -> None:
    """Two failures and a success are a success."""
    stocked(OSError(), OSError(), CONTENT)
    assert kafka_class_path(report=lambda _: None).endswith("a-1.jar")


def test_a_jar_with_another_hash_is_refused(stocked: Stock, tmp_path: Path) -> None:
    """Wrong bytes never reach the class path, and nothing is kept of the attempt."""
    stocked(b"other", b"other", b"other")
    with pytest.raises(ProvisionError, match="g:a:1 differs from the SHA-256"):
        kafka_class_path(report=lambda _: None)
    assert [entry.suffix for entry in (tmp_path / "cache").iterdir()] == [".lock"]


def test_without_a_network_the_error_says_so(stocked: Stock) -> None:
    """The line names the jar and the network, and no address."""
    stocked(*[ConnectionError("secret proxy")] * 3)
    with pytest.raises(ProvisionError, match=r"g:a:1 could not be fetched \(ConnectionError\); check the network") as caught:
        kafka_class_path(report=lambda _: None)
    assert "secret" not in str(caught.value)


def test_a_locked_jar_knows_its_file_name() -> None:
    """It is Maven's: artifact and version."""
    assert LockedJar("org.x:some-lib_2.13:1.2", "00").file_name == "some-lib_2.13-1.2.jar"
