"""Writes `kafka.lock` for `KAFKA_VERSION`. Needs the network; not for users."""

import hashlib
import sys
import tempfile
from pathlib import Path

from agenttracer_cli.local_stack.kafka.jars import KAFKA_VERSION, LOCK, maven_context

BROKER = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
# Kafka logs through SLF4J 1.7 and leaves the binding to who runs it; its version is log4j's own, from Kafka's dependencies.
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:{version}"
_RUN_TIME_SCOPES = ("compile", "runtime", None)


def main() -> None:
    """Resolve the broker's dependencies, hash every jar, write the lock."""
    with tempfile.TemporaryDirectory() as folder:
        context = maven_context(download_to=Path(folder))
        direct, indirect = context.resolver.resolve([context.create_dependency(BROKER)])
        needed = [dependency for dependency in (*direct, *indirect) if dependency.scope in _RUN_TIME_SCOPES]
        log4j = next(dependency.version for dependency in needed if dependency.artifactId == "log4j-core")
        artifacts = [d.artifact for d in (*needed, context.create_dependency(LOGGING.format(version=log4j)))]
        lines = [f"{a.groupId}:{a.artifactId}:{a.version} {_sha256(Path(a.resolve()))}" for a in artifacts]
    LOCK.write_text("\n".join(["# Made by agenttracer_cli.local_stack.kafka.relock.", *sorted(lines), ""]))
    sys.stdout.write(f"{LOCK.name}: {len(lines)} jars for {BROKER}\n")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
