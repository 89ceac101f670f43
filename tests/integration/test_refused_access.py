"""A store that refuses the user, the password or the database: services and commands say which of them it is."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agenttracer_cli.app import app
from servicekit.postgres import PostgresFault
from stream_workers.abort import EXIT_CONFIG
from stream_workers.errors import StoreAccessError
from stream_workers.store.batch import Topic
from stream_workers.store.postgres import PostgresStore
from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack, until

TOPIC = Topic("t", uuid.UUID(int=1))
WRONG = "canary-of-a-password"


def with_wrong_password(dsn: str) -> str:
    head, _, rest = dsn.partition("@")
    return f"{head.rpartition(':')[0]}:{WRONG}@{rest}"


def with_wrong_database(dsn: str) -> str:
    return dsn.rpartition("/")[0] + "/nowhere"


@pytest.fixture
def pipeline(stack: Stack) -> Iterator[Pipeline]:
    running = Pipeline(stack)
    yield running
    running.close()


@pytest.mark.parametrize(
    ("changed", "fault"),
    [(with_wrong_password, PostgresFault.CREDENTIALS), (with_wrong_database, PostgresFault.DATABASE)],
)
def test_the_workers_store_says_what_is_refused(
    migrated_dsn: dict[str, str], changed: Callable[[str], str], fault: PostgresFault
) -> None:
    """It is neither transient, which would be tried for ever, nor content, which would become dead letters."""
    store = PostgresStore(changed(migrated_dsn["worker"]), transaction_timeout_s=30)
    with pytest.raises(StoreAccessError) as refused:
        asyncio.run(store.frontiers(TOPIC, [0]))
    assert refused.value.fault == fault
    assert WRONG not in str(refused.value)


def test_a_worker_with_a_wrong_password_ends_and_says_so(pipeline: Pipeline) -> None:
    """Exit code 78, as for unsound settings: neither a restart nor a migration would help."""
    dsn = with_wrong_password(pipeline.stack.dsn(database=pipeline.database, role="agenttracer_worker"))
    worker = pipeline.worker(wait=False, AGENTTRACER_WORKER_POSTGRES_DSN=dsn)
    until(lambda: worker.pid is None, timeout_s=60, what="the worker ended", every_s=0.2)
    assert worker.exit_code == EXIT_CONFIG
    log = worker.log_tail()
    assert '"store_access_refused"' in log
    assert '"credentials"' in log
    assert WRONG not in log


@pytest.mark.parametrize("command", [("keys", "list"), ("dlq", "list"), ("migrate",), ("delete", "project", "shop", "--yes")])
def test_a_command_with_a_wrong_password_says_so(migrated_dsn: dict[str, str], tmp_path: Path, command: tuple[str, ...]) -> None:
    """It names user and password, and not the schema or the migrations."""
    store = {"AGENTTRACER_POSTGRES_DSN": with_wrong_password(migrated_dsn["owner"])}
    result = CliRunner(env=store).invoke(app, [*command, "--state-dir", str(tmp_path)])
    said = f"{result.output} {result.exception}"
    assert "refuses this user or password" in " ".join(said.split())
    assert "migrate`" not in said
    assert WRONG not in said
