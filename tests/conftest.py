"""Fixtures of every suite: the real stack, databases that are migrated and empty, and what the session ran on."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from agenttracer_cli.local_stack.ports import PortBook
from tests.support import long_tests, stacks

_PORTS_OF_A_PROCESS = 300
_USUAL_PORTS = 10_000
"""The ports that services and servers usually have lie below; tests that ask for a port of their own get a higher one."""
_SHARED_STACK = "AGENTTRACER_TEST_SHARED_STACK"
"""Where the stack of a session lies that runs tests side by side; its processes inherit it."""


def pytest_report_header() -> str:
    return f"stack: {stacks.wanted()} (TEST_STACK=local or TEST_STACK=containers forces one)"


@pytest.fixture(scope="session", autouse=True)
def own_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keys of stacks that the tests start stay out of the user's own configuration, and the user's out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session", autouse=True)
def ports_apart() -> Iterator[None]:
    """Each test process prefers ports of its own: between looking for a free one and listening, another process can take it."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    choose = PortBook.choose

    def apart(book: PortBook, part: str, *, preferred: int) -> int:
        moved = (process + 1) * _PORTS_OF_A_PROCESS if preferred < _USUAL_PORTS else 0
        return choose(book, part, preferred=preferred + moved)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PortBook, "choose", apart)
        yield


def pytest_configure(config: pytest.Config) -> None:
    """The session's first process chooses the place of the stack that the others share."""
    if _leads_others(config) and stacks.wanted() == "local":
        os.environ[_SHARED_STACK] = str(Path(tempfile.gettempdir()) / f"agenttracer-test-{uuid.uuid4().hex[:8]}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long modules begin first where tests run side by side."""
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    if processes > 1:
        items[:] = long_tests.longest_first(items, processes)


def pytest_unconfigure(config: pytest.Config) -> None:
    """And stops it when all have ended."""
    if _leads_others(config) and _SHARED_STACK in os.environ:
        stacks.end_shared_stack(Path(os.environ.pop(_SHARED_STACK)))


def _leads_others(config: pytest.Config) -> bool:
    return bool(getattr(config.option, "numprocesses", None)) and not hasattr(config, "workerinput")


@pytest.fixture(scope="session")
def stack() -> Iterator[stacks.Stack]:
    """Kafka and PostgreSQL that all tests of the session share."""
    if _SHARED_STACK in os.environ:
        yield stacks.shared_stack(Path(os.environ[_SHARED_STACK]))
        return
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
    return stack.migrated_database()


@pytest.fixture
def migrated_dsn(stack: stacks.Stack, database: str) -> dict[str, str]:
    """DSNs of a fresh, migrated database by role: owner, worker, query, gateway."""
    return {role: stack.dsn(database=database, role=f"agenttracer_{role}") for role in ("owner", "worker", "query", "gateway")}
