"""Apache Kafka's jars: fetched once by their Maven coordinates, checked against `kafka.lock`, kept in the user's cache.

Needs the network only while the cache lacks this very lock. `relock` makes the lock, `server` runs Kafka.
"""

import hashlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agenttracer_cli.errors import ProvisionError
from agenttracer_cli.installation import missing_from_extra
from agenttracer_cli.local_stack.files import locked

# The newest release when this was written. With aiokafka 0.14.0 and faust-streaming 0.15.3 it did idempotent and transactional
# zstd produce, group consume, commit, rebalance, topic administration and restarts, on Java 17 and 25
# (docs/adr/0003-local-stack.md). After a change run `relock` and the integration tests.
KAFKA_VERSION = "4.4.0"
LOCK = Path(__file__).with_name("kafka.lock")
CACHE_VARIABLE = "AGENTTRACER_CACHE_DIR"

_TRIES = 3
_HTTP_TIMEOUT_S = 30
_REPORT_EVERY_BYTES = 5_000_000


@dataclass(frozen=True)
class LockedJar:
    """One jar: its coordinates (`group:artifact:version`) and the SHA-256 of its bytes."""

    coordinates: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The name it has in the cache."""
        _, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"


def kafka_class_path(*, report: Callable[[str], None]) -> str:
    """Give the class path that runs Kafka, fetching what is missing. Raises ProvisionError if that does not work."""
    lock_text = LOCK.read_text()
    jars = parse_lock(lock_text)
    folder = cache_root() / f"kafka-{KAFKA_VERSION}-{hashlib.sha256(lock_text.encode()).hexdigest()[:12]}"
    if not folder.exists():
        _fetch_into(folder, jars=jars, report=report)
    return os.pathsep.join(str(folder / jar.file_name) for jar in jars)


def parse_lock(text: str) -> list[LockedJar]:
    """Read a lock: a line a jar, `coordinates sha256`; `#` starts a comment line."""
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return [LockedJar(coordinates, digest) for coordinates, digest in lines]


def cache_root() -> Path:
    """Give the folder for what all checkouts of this user share."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "agenttracer"


def maven_context(*, download_to: Path) -> Any:  # noqa: ANN401  jgo is not typed for strict use
    """Give jgo's view of the Maven repositories: the user's own from jgo's settings if any, else the central one."""
    try:
        constants, config, maven = (importlib.import_module(f"jgo{part}") for part in (".constants", ".config", ".maven"))
    except ImportError as error:
        raise missing_from_extra("jgo", "fetches Kafka") from error
    settings = config.GlobalSettings.load()
    return maven.MavenContext(
        repo_cache=download_to,
        local_repos=[settings.repo_cache],  # a user of Maven may have a jar already; the hash decides
        remote_repos={"central": constants.MAVEN_CENTRAL_URL, **settings.repositories},
        timeout=_HTTP_TIMEOUT_S,
    )


def _fetch_into(folder: Path, *, jars: list[LockedJar], report: Callable[[str], None]) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(
            folder.with_name(f"{folder.name}.lock"), waiting=lambda: report("waiting for another command that is fetching Kafka")
        ):
            if not folder.exists():
                _fetch_all(folder, jars=jars, report=report)
    except OSError as error:
        raise ProvisionError(f"cannot keep Kafka in {folder.parent} ({error.strerror or error}); set {CACHE_VARIABLE}") from error


def _fetch_all(folder: Path, *, jars: list[LockedJar], report: Callable[[str], None]) -> None:
    report(f"Kafka {KAFKA_VERSION}: fetching {len(jars)} files by Maven coordinates, about 45 MB, once")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as draft:
        context = maven_context(download_to=Path(draft) / "repository")
        complete = Path(draft) / "complete"
        complete.mkdir(mode=0o755)
        for line in _progress(_copied(jars, context=context, to=complete), total=len(jars)):
            report(f"Kafka {KAFKA_VERSION}: {line}")
        complete.rename(folder)  # there whole, or not at all


def _copied(jars: list[LockedJar], *, context: Any, to: Path) -> Iterator[int]:  # noqa: ANN401  jgo is not typed for strict use
    for jar in jars:
        target = to / jar.file_name
        shutil.copyfile(_fetch(jar, context=context), target)
        yield target.stat().st_size


def _progress(sizes: Iterator[int], *, total: int) -> Iterator[str]:
    done = reported = 0
    for count, size in enumerate(sizes, start=1):
        done += size
        if done - reported >= _REPORT_EVERY_BYTES or count == total:
            reported = done
            yield f"{count} of {total} files, {done / 1e6:.0f} MB"


def _fetch(jar: LockedJar, *, context: Any) -> Path:  # noqa: ANN401  jgo is not typed for strict use
    problem = ""
    for _ in range(_TRIES):
        artifact = context.create_dependency(jar.coordinates).artifact
        try:
            path = Path(artifact.resolve())
        except Exception as error:  # noqa: BLE001  jgo raises whatever its HTTP client raises
            problem = f"could not be fetched ({type(error).__name__})"
            artifact.cached_path.unlink(missing_ok=True)  # cut short
            continue
        if hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256:
            return path
        problem = f"differs from the SHA-256 in {LOCK.name}"
        context.local_repos.clear()
        artifact.cached_path.unlink(missing_ok=True)
    raise ProvisionError(f"{jar.coordinates} {problem}; check the network (or the repository in jgo's settings)")
