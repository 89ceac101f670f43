"""A pipeline of real processes for acceptance tests: its own database, topic and group on a stack, services as needed."""

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from agenttracer.wire.envelope import Record
from agenttracer.wire.topics import record_key
from agenttracer_cli.admin.api_keys import ApiKeys
from agenttracer_cli.admin.topics import ensure_topic
from agenttracer_cli.local import services
from agenttracer_cli.local.local_key import (
    ensure_local_key,
    key_pepper,
    name_key_text,
    pepper_text,
    publish_local_key,
    remove_local_key,
)
from ddl.migrate import SCHEMA
from servicekit import codec
from servicekit.auth.keys import Pepper
from stream_workers.core.fold import Tables, fold
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.read_tables import differences, read_tables
from tests.support.stacks import Stack, until

_T = TypeVar("_T")
PARTITIONS = 6
# Quick rebalances; the defaults are calmer than a test has time for.
_WORKER = {
    "AGENTTRACER_WORKER_SESSION_TIMEOUT_S": "6",
    "AGENTTRACER_WORKER_RETRY_MAX_S": "1",
    "AGENTTRACER_WORKER_TRANSACTION_TIMEOUT_S": "10",
}


class Pipeline:
    """Owns its processes and its folder; `close` ends the ones and removes the other."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.name = f"test_{uuid.uuid4().hex[:12]}"
        self.topic = f"{self.name}.events"
        self.database = self.new_database()
        self.processes: list[services.Service] = []
        asyncio.run(ensure_topic(stack.bootstrap, name=self.topic, partitions=PARTITIONS, replication_factor=1))
        self.state_dir = Path(tempfile.mkdtemp(prefix="agenttracer-pipeline-"))  # last: nobody closes what was not made

    def new_database(self) -> str:
        return self.stack.migrated_database()

    def gateway(self, **extra: str) -> services.Service:
        """A gateway whose key agents on this machine find by themselves, as with `agenttracer up`."""
        return self.gateway_of(1, **extra)

    def gateway_of(self, processes: int, *, wait: bool = True, **extra: str) -> services.Service:
        """The same in so many processes."""
        key = self.local_key  # before the gateway reads them
        started = self._started(
            services.gateway(
                state_dir=self.state_dir,
                kafka_bootstrap=self.stack.bootstrap,
                topic=self.topic,
                postgres_dsn=self.stack.dsn(database=self.database, role="agenttracer_gateway"),
                key_pepper=pepper_text(self.state_dir),
                name_key=name_key_text(self.state_dir),
                processes=processes,
                extra=extra,
            ),
            wait=wait,
        )
        publish_local_key(key, port=started.port)
        return started

    def query(
        self, *, wait: bool = True, gateway: services.Service | None = None, private: bool = False, **extra: str
    ) -> services.Service:
        """Without a key it shows the project `default`, unless it is private."""
        dsn = self.stack.dsn(database=self.database, role="agenttracer_query")
        pepper = pepper_text(self.state_dir)
        service = services.query(
            state_dir=self.state_dir, postgres_dsn=dsn, key_pepper=pepper, private=private, gateway=gateway, extra=extra
        )
        return self._started(service, wait=wait)

    # -- API keys ---------------------------------------------------------------------------------------------------------

    @property
    def pepper(self) -> Pepper:
        return key_pepper(self.state_dir)

    @property
    def keys(self) -> ApiKeys:
        return ApiKeys(self.stack.dsn(database=self.database, role="agenttracer_owner"))

    @cached_property
    def local_key(self) -> str:
        """The ingest key of project `default`."""
        return ensure_local_key(self.state_dir, keys=self.keys, pepper=self.pepper)

    def worker(
        self, number: int = 1, *, database: str | None = None, group: str | None = None, wait: bool = True, **extra: str
    ) -> services.Service:
        service = services.worker(
            number=number,
            state_dir=self.state_dir,
            kafka_bootstrap=self.stack.bootstrap,
            postgres_dsn=self.stack.dsn(database=database or self.database, role="agenttracer_worker"),
            topic=self.topic,
            extra={**_WORKER, "AGENTTRACER_WORKER_GROUP": group or self.name, **extra},
        )
        return self._started(service, wait=wait)

    def _started(self, service: services.Service, *, wait: bool = True) -> services.Service:
        self.processes.append(service)
        service.start()
        if wait:
            service.wait_ready()
        return service

    def close(self) -> None:
        for service in reversed(self.processes):
            service.terminate(grace_s=15)
        remove_local_key(self.state_dir)
        shutil.rmtree(self.state_dir, ignore_errors=True)  # a soak that failed can have started a process this very moment

    # -- the topic --------------------------------------------------------------------------------------------------------

    def produce(self, records: Sequence[Record]) -> None:
        """Write records straight to the topic, acks=all."""
        self.produce_raw([(record_key(one.project, one.events[0].run_id), codec.encode_record(one)) for one in records])

    def produce_raw(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Write keys and values as they are."""
        asyncio.run(_produce(self.stack.bootstrap, self.topic, pairs))

    def topic_values(self) -> list[bytes]:
        """The values of all records in the topic."""
        return asyncio.run(_values(self.stack.bootstrap, self.topic))

    # -- the store --------------------------------------------------------------------------------------------------------

    def sql(self, query: str, *arguments: object, database: str | None = None) -> list[asyncpg.Record]:
        return self.with_store(lambda connection: connection.fetch(query, *arguments), database=database)

    def with_store(self, work: Callable[[asyncpg.Connection], Coroutine[Any, Any, _T]], *, database: str | None = None) -> _T:
        async def run() -> _T:
            dsn = self.stack.dsn(database=database or self.database, role="agenttracer_owner")
            connection = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA, "timezone": "UTC"})
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(run())

    def tables(self, *, database: str | None = None) -> Tables:
        return self.with_store(read_tables, database=database)

    def covered(self, *, database: str | None = None) -> int:
        """How many offsets the ledger covers."""
        query = "SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint AS n FROM ingest_ledger, unnest(covered) AS r"
        return int(self.sql(query, database=database)[0]["n"])

    def holes(self, *, database: str | None = None) -> int:
        """How many partitions have more than one covered range, or one that does not begin at 0."""
        query = (
            "SELECT count(*) AS n FROM ingest_ledger WHERE covered <> '{}' AND "
            "((SELECT count(*) FROM unnest(covered)) <> 1 OR lower(covered) <> 0 OR lost <> '{}')"
        )
        return int(self.sql(query, database=database)[0]["n"])

    def wait_covered(self, records: int, *, timeout_s: float = 90, database: str | None = None) -> None:
        """Wait until the ledger covers so many records."""
        until(
            lambda: self.covered(database=database) >= records,
            timeout_s=timeout_s,
            what=f"{records} records covered",
            every_s=0.2,
        )

    def assert_store_is_fold(self, *, database: str | None = None) -> Tables:
        """The store equals the fold of the topic, row for row, and the ledger has no hole. Answers the fold."""
        wanted = fold(readable(self.topic_values()), canonical_json)
        assert differences(wanted, self.tables(database=database)) == []
        assert self.holes(database=database) == 0
        return wanted


def readable(values: Iterable[bytes]) -> list[Record]:
    """The records among the values; what is no record of the contract is left out."""
    found = []
    for value in values:
        try:
            found.append(codec.read_record(value)[0])
        except ValueError:
            continue
    return found


def get_json(url: str, **parameters: Any) -> Any:
    """The JSON of a GET that must succeed."""
    answer = httpx.get(url, params=parameters, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _produce(bootstrap: str, topic: str, pairs: Iterable[tuple[bytes, bytes]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", compression_type="zstd", linger_ms=5)
    try:  # around the start as well: one that found no broker has to be closed, too
        await producer.start()
        for key, value in pairs:
            await producer.send(topic, value, key=key)
        await producer.flush()
    finally:
        await producer.stop()


async def _values(bootstrap: str, topic: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        await consumer.start()
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        values: list[bytes] = []
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                values += [record.value for record in records]
        return values
    finally:
        await consumer.stop()
