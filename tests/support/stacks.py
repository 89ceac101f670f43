"""Real Kafka and PostgreSQL for tests: from containers where Docker has their images, else from the local stack."""

import asyncio
import os
import shutil
import socket
import tempfile
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from agenttracer_cli.local_stack.files import locked
from agenttracer_cli.local_stack.kafka.jars import KAFKA_VERSION
from agenttracer_cli.local_stack.stack import LocalStack
from ddl.migrate import migrate

KAFKA_IMAGE = f"apache/kafka:{KAFKA_VERSION}"
POSTGRES_IMAGE = "postgres:18"
_PASSWORD = "only-for-tests"
_TEMPLATE = "test_template"


class Part(Protocol):
    """Kafka or PostgreSQL: comes back on the same port after a stop."""

    def start(self) -> Any: ...

    def stop(self) -> Any: ...

    def kill(self) -> Any: ...


class Stack(Protocol):
    """Both, and how to reach them."""

    kafka: Part
    postgres: Part

    @property
    def bootstrap(self) -> str: ...

    def create_database(self, name: str) -> None: ...

    def migrated_database(self) -> str: ...

    def dsn(self, *, database: str, role: str) -> str: ...

    def set_service_passwords(self) -> None: ...

    def stop(self) -> None: ...


class Local:
    """The local stack in a state directory of a test's choice. Of one directory there is one stack, however many ask for it."""

    def __init__(self, state_dir: Path) -> None:
        self._stack = LocalStack(state_dir)
        self._stack.start()
        self.kafka = self._stack.kafka
        self.postgres = self._stack.postgres
        self._databases = MigratedDatabases(self, lock=state_dir / "test-databases.lock")

    @property
    def bootstrap(self) -> str:
        return self._stack.endpoints.kafka_bootstrap

    def create_database(self, name: str) -> None:
        self._stack.postgres.create_database(name)

    def migrated_database(self) -> str:
        return self._databases.new()

    def dsn(self, *, database: str, role: str) -> str:
        return self._stack.postgres.dsn(database=database, role=role)

    def set_service_passwords(self) -> None:
        self._stack.postgres.set_service_passwords()

    def stop(self) -> None:
        self._stack.stop()
        shutil.rmtree(self._stack.state_dir)


class Containers:
    """Official images by testcontainers, on fixed host ports so that a restart is found again."""

    def __init__(self) -> None:
        from testcontainers.core.container import DockerContainer

        self._kafka_port, self._postgres_port = free_port(), free_port()
        kafka = (
            DockerContainer(KAFKA_IMAGE)
            .with_bind_ports(9092, self._kafka_port)
            .with_env("KAFKA_NODE_ID", "1")
            .with_env("KAFKA_PROCESS_ROLES", "broker,controller")
            .with_env("KAFKA_LISTENERS", "PLAINTEXT://:9092,CONTROLLER://:9093")
            .with_env("KAFKA_ADVERTISED_LISTENERS", f"PLAINTEXT://127.0.0.1:{self._kafka_port}")
            .with_env("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
            .with_env("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT")
            .with_env("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093")
            .with_env("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1")
            .with_env("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
            .with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
        )
        postgres = (
            DockerContainer(POSTGRES_IMAGE)
            .with_bind_ports(5432, self._postgres_port)
            .with_env("POSTGRES_USER", "agenttracer_owner")
            .with_env("POSTGRES_PASSWORD", _PASSWORD)
        )
        self.kafka = _Container(kafka, self._kafka_port)
        self.postgres = _Container(postgres, self._postgres_port)
        self.kafka.start()
        self.postgres.start()
        self._lock = tempfile.NamedTemporaryFile(prefix="agenttracer-test-databases-")  # noqa: SIM115 - goes with this object
        self._databases = MigratedDatabases(self, lock=Path(self._lock.name))

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._kafka_port}"

    def create_database(self, name: str) -> None:
        self._as_owner(f'CREATE DATABASE "{name}"')

    def migrated_database(self) -> str:
        return self._databases.new()

    def dsn(self, *, database: str, role: str) -> str:
        return f"postgresql://{role}:{_PASSWORD}@127.0.0.1:{self._postgres_port}/{database}"

    def set_service_passwords(self) -> None:
        for role in ("agenttracer_gateway", "agenttracer_worker", "agenttracer_query"):
            self._as_owner(f"ALTER ROLE {role} PASSWORD '{_PASSWORD}'")

    def stop(self) -> None:
        self.kafka.remove()
        self.postgres.remove()

    def _as_owner(self, statement: str) -> None:
        asyncio.run(_execute(self.dsn(database="postgres", role="agenttracer_owner"), statement))


class MigratedDatabases:
    """Fresh databases with the newest schema: copies of one that was migrated once for the stack.

    Processes that share a stack take turns: roles belong to the server, and a database that somebody copies lets nobody else in.
    """

    def __init__(self, stack: Local | Containers, *, lock: Path) -> None:
        self._stack = stack
        self._lock = lock

    def new(self) -> str:
        """The name of a new one."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        with locked(self._lock, waiting=lambda: None):
            asyncio.run(self._copy(name))
        return name

    async def _copy(self, name: str) -> None:
        server = self._stack.dsn(database="postgres", role="agenttracer_owner")
        try:
            await _execute(server, f'CREATE DATABASE "{name}" TEMPLATE "{_TEMPLATE}"')
        except asyncpg.InvalidCatalogNameError:  # the first of this stack
            self._stack.create_database(_TEMPLATE)
            await migrate(self._stack.dsn(database=_TEMPLATE, role="agenttracer_owner"))
            self._stack.set_service_passwords()
            await _execute(server, f'CREATE DATABASE "{name}" TEMPLATE "{_TEMPLATE}"')


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


class _Container:
    """One container that can be stopped and started again."""

    def __init__(self, container: Any, port: int) -> None:
        self._container = container
        self._port = port
        self._made = False

    def start(self) -> None:
        if self._made:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._made = True
        until(lambda: _listens(self._port), timeout_s=60, what=f"port {self._port}")

    def stop(self) -> None:
        self._container.get_wrapped_container().stop()

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def remove(self) -> None:
        self._container.stop()


def wanted() -> str:
    """`containers` or `local`: what TEST_STACK says, else containers if Docker answers and has both images."""
    forced = os.environ.get("TEST_STACK", "")
    if forced in {"local", "containers"}:
        return forced
    if forced:
        raise ValueError("TEST_STACK is either `local` or `containers`")
    return "containers" if _docker_has_images() else "local"


def new_stack() -> Stack:
    """A stack of its own: two test sessions, or a test session and `agenttracer up`, never meet."""
    return Containers() if wanted() == "containers" else Local(Path(tempfile.mkdtemp(prefix="agenttracer-test-")))


def shared_stack(state_dir: Path) -> Stack:
    """The stack of all processes of a session, which is made by the first that asks. `end_shared_stack` stops it."""
    return Local(state_dir)


def end_shared_stack(state_dir: Path) -> None:
    """Stop it, if anybody asked for it."""
    if state_dir.exists():
        LocalStack(state_dir).stop()
        shutil.rmtree(state_dir)


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(condition: Any, *, timeout_s: float, what: str, every_s: float = 0.05) -> Any:
    """Poll until `condition()` is true and answer it; fail after the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(every_s)
    return answer


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _docker_has_images() -> bool:
    try:
        import docker

        client = docker.from_env(timeout=5)
        for image in (KAFKA_IMAGE, POSTGRES_IMAGE):
            client.images.get(image)
    except Exception:  # noqa: BLE001 - no engine, no permission, no image: all mean the same here
        return False
    return True
