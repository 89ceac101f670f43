"""The local stack for real: Kafka and PostgreSQL start, are adopted, live side by side, heal after crashes, keep their data."""

import asyncio
import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from pydantic import SecretStr

from agenttracer_cli.admin.topics import ensure_topic
from agenttracer_cli.errors import TopicError
from agenttracer_cli.local_stack import LocalStack
from agenttracer_cli.local_stack.kafka.probe import cluster_id_at
from agenttracer_cli.local_stack.owned_process import OwnedProcess, wait_gone
from agenttracer_cli.local_stack.process_table import identify
from servicekit.kafka import KafkaSecurity

TOPIC = "local.stack.test"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack of its own; as root its folder is one that PostgreSQL's account may not enter."""
    stack = LocalStack(tmp_path_factory.mktemp("stack"), print)
    stack.start()
    # Here, since any of the tests may be the first that a process runs.
    asyncio.run(ensure_topic(stack.endpoints.kafka_bootstrap, name=TOPIC, partitions=1))
    yield stack
    stack.stop()


async def ask(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def sql(dsn: str, statement: str) -> object:
    return asyncio.run(ask(dsn, statement))


async def produce(bootstrap: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, compression_type="zstd")
    await producer.start()
    try:
        await producer.send_and_wait(TOPIC, value)
    finally:
        await producer.stop()


async def consume_all(bootstrap: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id="local-stack-test", enable_auto_commit=False)
    await consumer.start()
    try:
        partition = TopicPartition(TOPIC, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        values = []
        while len(values) < end:
            values += [record.value for record in (await consumer.getmany(timeout_ms=500)).get(partition, [])]
        await consumer.commit()
        assert await consumer.committed(partition) == end
    finally:
        await consumer.stop()
    return values


def pids(stack: LocalStack) -> tuple[int | None, int | None]:
    return stack.kafka.pid, stack.postgres.pid


def test_both_servers_really_answer(stack: LocalStack) -> None:
    """PostgreSQL 18 in UTF-8, without row values in its log; Kafka takes an idempotent zstd record with acks from all."""
    dsn = stack.endpoints.postgres_dsn
    assert sql(dsn, "SELECT current_setting('server_version_num')::int / 10000") == 18
    assert sql(
        dsn, "SELECT current_database() || ' ' || pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'agenttracer'"
    ) == ("agenttracer UTF8")
    asyncio.run(produce(stack.endpoints.kafka_bootstrap, b"first"))
    assert b"first" in asyncio.run(consume_all(stack.endpoints.kafka_bootstrap))


def test_a_topic_is_checked_and_corrected(stack: LocalStack) -> None:
    """What differs is applied and nothing else is lost; another partition count is refused."""
    bootstrap = stack.endpoints.kafka_bootstrap
    report = asyncio.run(ensure_topic(bootstrap, name=TOPIC, partitions=1, retention_days=8))
    assert [setting.setting for setting in report.settings if setting.applied] == ["retention.ms"]
    report = asyncio.run(ensure_topic(bootstrap, name=TOPIC, partitions=1, retention_days=8))
    assert not any(setting.applied for setting in report.settings)
    with pytest.raises(TopicError, match="1 partitions, not 2"):
        asyncio.run(ensure_topic(bootstrap, name=TOPIC, partitions=2))


def test_a_running_stack_is_adopted_by_any_number_of_starts_at_once(stack: LocalStack) -> None:
    """Nothing is started twice, and all get the same endpoints."""
    before = pids(stack)
    others = [LocalStack(stack.state_dir) for _ in range(3)]
    threads = [threading.Thread(target=other.start) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pids(stack) == before
    assert {other.endpoints for other in others} == {stack.endpoints}


def test_a_failed_statement_leaves_no_value_in_the_log(stack: LocalStack) -> None:
    """Neither the statement nor the error that quotes it."""
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        sql(stack.endpoints.postgres_dsn, "SELECT 'canary-4711'::uuid")
    assert "canary-4711" not in stack.postgres.log.read_text()


def test_a_service_role_logs_in_with_its_own_password(stack: LocalStack) -> None:
    """Passwords are set for the roles that exist, and kept where only the owner reads them."""
    owner = stack.endpoints.postgres_dsn
    sql(owner, "CREATE ROLE agenttracer_query LOGIN")
    stack.postgres.set_service_passwords()
    assert sql(stack.postgres.dsn(role="agenttracer_query"), "SELECT current_user") == "agenttracer_query"
    for kept in (stack.state_dir / "secrets").iterdir():
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_database_can_be_created_twice(stack: LocalStack) -> None:
    """The second time changes nothing."""
    for _ in range(2):
        stack.postgres.create_database("another one")
    assert sql(stack.postgres.dsn(database="another one"), "SELECT current_database()") == "another one"


def test_a_second_stack_finds_other_ports(stack: LocalStack, tmp_path: Path) -> None:
    """Two live side by side on ports of their own, and the first does not notice."""
    before = pids(stack)
    other = LocalStack(tmp_path / "other")
    other.kafka.preferred_port, other.postgres.preferred_port = stack.kafka.port, stack.postgres.port
    try:
        found = other.start()
        assert len({stack.kafka.port, stack.postgres.port, other.kafka.port, other.postgres.port}) == 4
        assert sql(found.postgres_dsn, "SELECT 1") == 1
        assert asyncio.run(ensure_topic(found.kafka_bootstrap, name=TOPIC)).created
    finally:
        other.stop()
    assert pids(stack) == before
    assert sql(stack.endpoints.postgres_dsn, "SELECT 1") == 1


def test_killed_servers_come_back_with_their_data_on_their_ports(stack: LocalStack) -> None:
    """After SIGKILL of both, the next start heals: nothing acknowledged is lost, clients need no new address."""
    before = stack.endpoints
    sql(before.postgres_dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    asyncio.run(produce(before.kafka_bootstrap, b"second"))
    acknowledged = asyncio.run(consume_all(before.kafka_bootstrap))
    stack.kafka.kill()
    stack.postgres.kill()
    assert pids(stack) == (None, None)
    assert stack.start() == before
    assert sql(before.postgres_dsn, "SELECT answer FROM kept") == 42
    assert acknowledged[-1] == b"second"
    assert asyncio.run(consume_all(before.kafka_bootstrap)) == acknowledged


def test_a_server_killed_behind_our_back_comes_back(stack: LocalStack) -> None:
    """Only the postmaster is killed, its record is lost, its pid file is left: the next start heals that too."""
    pid = stack.postgres.pid
    assert pid is not None
    process = identify(pid)
    assert process is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_gone(process, timeout_s=10)
    (stack.state_dir / "run" / "postgres.json").unlink()
    stack.postgres.start()
    assert sql(stack.endpoints.postgres_dsn, "SELECT 1") == 1


def test_a_record_of_a_stranger_is_not_believed(stack: LocalStack) -> None:
    """A record that names a living stranger is set right, and the stranger is left alone."""
    before = pids(stack)
    OwnedProcess(state_dir=stack.state_dir, name="kafka").forget()
    (stack.state_dir / "run" / "kafka.json").write_text(f'{{"pid": {os.getpid()}, "born": "another boot:1"}}')
    assert pids(LocalStack(stack.state_dir)) == before


def test_an_orderly_stop_is_quick_and_leaves_nothing(stack: LocalStack) -> None:
    """Both processes are gone; a second stop does nothing."""
    running = [process for pid in pids(stack) if pid and (process := identify(pid))]
    assert len(running) == 2
    began = time.monotonic()
    stack.stop()
    assert time.monotonic() - began < 20
    assert not any(identify(process.pid) == process for process in running)
    stack.stop()


def test_a_protected_kafka_is_closed_to_the_machines_other_users(tmp_path: Path) -> None:
    """Without the password nobody reads or writes; with it the broker answers, also when another command looks at it."""
    stack = LocalStack(tmp_path, print, protected=True)
    stack.start_servers([stack.kafka])
    try:
        bootstrap = stack.kafka.bootstrap
        assert cluster_id_at(bootstrap, KafkaSecurity()) is None
        wrong = stack.kafka.security.model_copy(update={"password": SecretStr("guessed")})
        assert cluster_id_at(bootstrap, wrong) is None
        assert cluster_id_at(bootstrap, stack.kafka.security) is not None
        assert LocalStack(tmp_path).kafka.answers()
        for file in (tmp_path / "secrets" / "kafka_password", tmp_path / "kafka" / "server.properties"):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    finally:
        stack.stop_servers([stack.kafka])
