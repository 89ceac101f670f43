"""Fixtures of every suite: the real stack, databases that are migrated and empty, and what the session ran on."""

import asyncio
import uuid
from collections.abc import Iterator

import pytest

from ddl.migrate import migrate
from tests.support import stacks


def pytest_report_header() -> str:
    return f"stack: {stacks.wanted()} (TEST_STACK=local or TEST_STACK=containers forces one)"


@pytest.fixture(scope="session", autouse=True)
def own_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keys of stacks that the tests start stay out of the user's own configuration, and the user's out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def stack() -> Iterator[stacks.Stack]:
    """Kafka and PostgreSQL that all tests of the session share."""
    running = stacks.new_stack()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def own_stack() -> Iterator[stacks.Stack]:
    """Kafka and PostgreSQL that a module may stop and start as it likes."""
    running = stacks.new_stack()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def kafka_bootstrap(stack: stacks.Stack) -> str:
    return stack.bootstrap


@pytest.fixture
def database(stack: stacks.Stack) -> str:
    """The name of a fresh, migrated database."""
    return fresh_database(stack)


@pytest.fixture
def migrated_dsn(stack: stacks.Stack, database: str) -> dict[str, str]:
    """DSNs of a fresh, migrated database by role: owner, worker, query, gateway."""
    return {role: stack.dsn(database=database, role=f"agenttracer_{role}") for role in ("owner", "worker", "query", "gateway")}


def fresh_database(stack: stacks.Stack) -> str:
    name = f"test_{uuid.uuid4().hex[:12]}"
    stack.create_database(name)
    asyncio.run(migrate(stack.dsn(database=name, role="agenttracer_owner")))
    stack.set_service_passwords()
    return name
