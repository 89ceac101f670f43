"""Models, tokens and cost from the events of steps to the answers: a worker's store, read by the query service."""

import time
import uuid
from collections.abc import Sequence
from typing import Any

import asyncpg
import httpx
import pytest

from agenttracer.wire.envelope import VERSION, Producer, Record
from agenttracer.wire.events import Cost, MetadataValue, StepFinished
from agenttracer.wire.vocabulary import StepKind, StepStatus
from query_service.app import create_app
from query_service.settings import QuerySettings
from query_service.store.pool import PostgresPool
from query_service.store.postgres import PostgresReader
from servicekit.auth.keys import Scope
from servicekit.testing import MemoryKeys, cache_of
from stream_workers.operations.deletion import remove_run
from stream_workers.pipeline.decode import canonical_json
from stream_workers.rollups.compaction import compact
from stream_workers.store.batch import Received, Topic, make_batch
from stream_workers.store.postgres import PostgresStore

pytestmark = pytest.mark.anyio
RUN, OTHER_RUN = (str(uuid.UUID(int=number)) for number in (1, 2))
AT_US = time.time_ns() // 1000 - 10 * 60_000_000


def _step(number: int, *, run_id: str = RUN, duration_us: int = 10, cost: Cost | None = None, **said: MetadataValue) -> Record:
    step = StepFinished(
        run_id=run_id,
        seq=number,
        step_id=f"{number:016x}",
        kind=StepKind.OTHER,
        name="call",
        started_at=AT_US,
        duration_us=duration_us,
        status=StepStatus.OK,
        metadata=said,
        cost=cost,
    )
    producer = Producer(id="p", agent="support-bot", agent_version="1.0")
    return Record(v=VERSION, project="default", producer=producer, received_at=AT_US + number, events=(step,))


RECORDS = (
    _step(1, model="gpt-4o", input_tokens=1_000, output_tokens=100, cost=Cost(nano=2_500_000, currency="USD")),
    _step(2, model="gpt-4o", input_tokens=10, output_tokens=1, cost=Cost(nano=7, currency="EUR")),
    _step(3, run_id=OTHER_RUN, model="house-model", input_tokens=5, output_tokens=3),
    _step(4, input_tokens=2),
    _step(5),
    _step(6, model=4, input_tokens=-1, output_tokens=0.5),
)
CORRECTED = _step(1, duration_us=11, model="gpt-4o-mini", input_tokens=20, output_tokens=2)
"""The first one said again: the longer row of a key wins, and nothing of the other one stays counted."""


class _Answers:
    """What the routes say, by model."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def _get(self, path: str, **params: str) -> dict[str, Any]:
        found = await self._client.get(path, params=params)
        assert found.status_code == 200, found.text
        document: dict[str, Any] = found.json()
        return document

    async def usage(self) -> dict[str | None, tuple[int, int, int, float]]:
        """Steps, tokens and the cost that was said."""
        rows = (await self._get("/v1/usage"))["rows"]
        return {row["key"]["model"]: (row["steps"], row["input_tokens"], row["output_tokens"], row["cost_said"]) for row in rows}

    async def series(self) -> dict[str | None, tuple[float, ...]]:
        """The same, added up over the buckets."""
        said = (await self._get("/v1/series", of="steps", by="model"))["series"]
        names = ("steps", "input_tokens", "output_tokens", "cost")
        return {one["key"]["model"]: tuple(sum(one["values"][name]) for name in names) for one in said}

    async def models(self) -> dict[str, int]:
        """The facet."""
        return {one["name"]: one["count"] for one in (await self._get("/v1/names"))["names"]["model"]}


async def _save(worker: PostgresStore, records: Sequence[Record]) -> None:
    received = [Received(0, offset, 100, None, record, None) for offset, record in enumerate(records)]
    await worker.save(Topic("t", uuid.UUID(int=6)), make_batch(received, canonical_json))


@pytest.mark.parametrize("compacting", [False, True])
async def test_what_steps_say_of_models_is_answered(
    migrated_dsn: dict[str, str], owner: asyncpg.Connection, postgres: PostgresPool, settings: QuerySettings, *, compacting: bool
) -> None:
    """As it was stored, once a step was corrected, and once a run was deleted; compacted after each of these or never."""
    keys = MemoryKeys()
    key, ring = keys.create(Scope.READ), cache_of(keys)
    await ring.refresh()
    worker = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30)
    transport = httpx.ASGITransport(create_app(settings, PostgresReader(postgres), keys=ring))
    headers = {"authorization": f"Bearer {key}"}

    async def stored() -> None:
        if compacting:
            await compact(owner, "default", now=time.time_ns() // 60_000_000_000)

    async with httpx.AsyncClient(transport=transport, base_url="http://query", headers=headers) as client:
        answers = _Answers(client)
        await _save(worker, RECORDS)
        await stored()
        wanted: dict[str | None, tuple[float, ...]] = {
            "gpt-4o": (2, 1_010, 101, 0.0025),
            "house-model": (1, 5, 3, 0),
            None: (3, 2, 0, 0),
        }
        assert await answers.usage() == wanted
        assert await answers.series() == wanted
        assert await answers.models() == {"gpt-4o": 2, "house-model": 1}

        await _save(worker, [CORRECTED])
        await stored()
        corrected = wanted | {"gpt-4o": (1, 10, 1, 0), "gpt-4o-mini": (1, 20, 2, 0)}
        assert await answers.usage() == corrected
        assert await answers.series() == corrected

        await worker.close()
        await remove_run(migrated_dsn["owner"], "default", OTHER_RUN)
        await stored()
        del corrected["house-model"]
        assert await answers.usage() == corrected
        assert await answers.series() == corrected
        assert await answers.models() == {"gpt-4o": 1, "gpt-4o-mini": 1}
