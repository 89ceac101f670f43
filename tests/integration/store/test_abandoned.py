"""Runs that fell silent: abandoned for whoever looks, and not any more once they are heard of again."""

import asyncio
import uuid

import asyncpg

from agenttracer.wire.envelope import Producer, Record
from agenttracer.wire.events import Event, Evidence, RunFinished, RunStarted, StepFinished
from agenttracer.wire.vocabulary import RunEnd, StepKind, StepStatus
from ddl.migrate import SCHEMA
from stream_workers.core.fold import fold
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.batch import Received, Topic, make_batch
from stream_workers.store.postgres import PostgresStore
from stream_workers.store.read_tables import differences, read_tables

RUN = "0198c0de-0000-7000-8000-000000000001"
LONG_AGO = 1_700_000_000_000_000
_PRODUCER = Producer(id="p", agent="a", agent_version="1")
_START = RunStarted(run_id=RUN, seq=0, started_at=LONG_AGO, abandon_after_s=60)
_FAILED = StepFinished(
    run_id=RUN,
    seq=1,
    step_id="00000000000000a1",
    kind=StepKind.TOOL,
    name="search",
    started_at=LONG_AGO + 1,
    duration_us=5,
    status=StepStatus.ERROR,
    evidence=Evidence(error_class="TimeoutError"),
)
_END = RunFinished(run_id=RUN, seq=2, ended_at=LONG_AGO + 90_000_000, status=RunEnd.FAILURE, emitted=3)


def _record(*events: Event) -> Record:
    return Record(v="1.0", project="default", producer=_PRODUCER, received_at=LONG_AGO, events=events)


def test_a_late_end_takes_abandonment_back(migrated_dsn: dict[str, str]) -> None:
    """Silence is judged by the store's clock, each time somebody looks; the failures of a silent run are judged as well."""
    records = [_record(_START, _FAILED), _record(_END)]

    async def work() -> None:
        store = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30)
        connection = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": SCHEMA, "timezone": "UTC"})
        found = []
        for offset, record in enumerate(records):
            batch = make_batch([Received(0, offset, 100, None, record, None)], canonical_json)
            await store.save(Topic("t", uuid.UUID(int=7)), batch)
            assert differences(fold(records[: offset + 1], canonical_json), await read_tables(connection)) == []
            found.append(tuple(await connection.fetchrow("SELECT status_now, status, root_failure_code, shape FROM runs_now")))
        await store.close()
        await connection.close()
        assert found[0] == ("abandoned", "running", "timeout", None)
        assert found[1][:3] == ("failure", "failure", "timeout")
        assert len(found[1][3]) == 16

    asyncio.run(work())
