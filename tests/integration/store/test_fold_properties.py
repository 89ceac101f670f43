"""The fold's properties on the real store: any order, duplication and batching of records ends in its rows and rollups.

Statistics are compacted after every other batch, by a clock that keeps every span.

Two hundred examples, or a hundredth of what FOLD_EXAMPLES says (`make properties`): each is some real transactions.
"""

import asyncio
import os
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agenttracer.wire.envelope import Record
from ddl.migrate import SCHEMA
from stream_workers.core.fold import Tables, fold
from stream_workers.pipeline.decode import canonical_json
from stream_workers.rollups import compaction
from stream_workers.store.batch import Received, Topic, make_batch
from stream_workers.store.postgres import PostgresStore
from stream_workers.store.read_tables import differences, read_tables
from tests.support import extremes
from tests.support.limits import make_small
from tests.support.stacks import Stack
from tests.support.traffic import Traffic

_EXAMPLES = max(100, int(os.environ.get("FOLD_EXAMPLES", "0")) // 200)
_NOW = 20_000 * 1_440
_TABLES = (
    "runs",
    "steps",
    "failures",
    "declared_losses",
    "run_producers",
    "run_rollup_deltas",
    "step_rollup_deltas",
    "run_rollup_totals",
    "step_rollup_totals",
)


class Real:
    """The workers' store in a database that is emptied before each example, and its owner's connection to look into it."""

    def __init__(self, stack: Stack) -> None:
        name = stack.migrated_database()
        owner = stack.dsn(database=name, role="agenttracer_owner")
        self._runner = asyncio.Runner()
        self._store = PostgresStore(stack.dsn(database=name, role="agenttracer_worker"), transaction_timeout_s=30)
        self._owner = self._runner.run(asyncpg.connect(owner, server_settings={"search_path": SCHEMA, "timezone": "UTC"}))
        role = stack.dsn(database=name, role="agenttracer_worker")
        session = {"search_path": SCHEMA, "timezone": "UTC", **compaction.SETTINGS}
        self._compacting = self._runner.run(asyncpg.connect(role, server_settings=session))
        # Nothing here is about crashes: no example has to wait for the disk.
        self._runner.run(self._owner.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))

    def tables_after(self, batches: Sequence[Sequence[Record]]) -> Tables:
        """What is stored once these batches were written, one transaction each."""
        return self._runner.run(self._written(batches))

    async def _written(self, batches: Sequence[Sequence[Record]]) -> Tables:
        await self._owner.execute("; ".join(f"DELETE FROM {table}" for table in _TABLES))
        topic, offset = Topic("properties", uuid.uuid4()), 0
        for number, batch in enumerate(batches):
            received = [Received(0, offset + at, 0, None, record, None) for at, record in enumerate(batch)]
            await self._store.save(topic, make_batch(received, canonical_json))
            offset += len(batch)
            if number % 2:
                for project in await compaction.projects(self._compacting):
                    await compaction.compact(self._compacting, project, now=_NOW)
        return await read_tables(self._owner)

    def close(self) -> None:
        self._runner.run(self._store.close())
        self._runner.run(self._owner.close())
        self._runner.run(self._compacting.close())
        self._runner.close()


@pytest.fixture(scope="module")
def real(stack: Stack) -> Iterator[Real]:
    made = Real(stack)
    yield made
    made.close()


_SEEDS = st.integers(0, 2**32)
_SHUFFLES = st.randoms(use_true_random=False)
_CUTS = st.lists(st.integers(1, 5), max_size=12)


@settings(max_examples=_EXAMPLES, deadline=None)
@given(seed=_SEEDS, shuffle=_SHUFFLES, cuts=_CUTS)
def test_batches_in_any_order_with_repeats_are_stored_as_the_fold(
    real: Real, seed: int, shuffle: random.Random, cuts: list[int]
) -> None:
    """Records shuffled, repeated and cut into transactions at random end in the fold's rows and rollups."""
    records = _records(seed, runs=2, steps=3)
    assert differences(fold(records, canonical_json), real.tables_after(_delivered(records, shuffle, cuts))) == []


@settings(max_examples=_EXAMPLES, deadline=None)
@given(seed=_SEEDS, shuffle=_SHUFFLES, cuts=_CUTS)
def test_diagnoses_at_their_limits_are_stored_as_the_fold(real: Real, seed: int, shuffle: random.Random, cuts: list[int]) -> None:
    """Runs that go in circles, are too long and fail too often: what the store skips of them never changes a diagnosis."""
    records = _records(seed, runs=1, steps=12)
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        assert differences(fold(records, canonical_json), real.tables_after(_delivered(records, shuffle, cuts))) == []


@settings(max_examples=_EXAMPLES, deadline=None)
@given(seed=_SEEDS, shuffle=_SHUFFLES, cuts=_CUTS)
def test_the_worst_values_of_every_field_are_stored_as_the_fold(
    real: Real, seed: int, shuffle: random.Random, cuts: list[int]
) -> None:
    """Both ends of every field, in runs that are diagnosed again and statistics that are compacted: no SQLSTATE refuses any."""
    records = extremes.hostile(seed)
    assert differences(fold(records, canonical_json), real.tables_after(_delivered(records, shuffle, cuts))) == []


def _records(seed: int, *, runs: int, steps: int) -> list[Record]:
    """Few examples must meet many contradictions: a third of the records says something else in another one."""
    traffic = Traffic(seed)
    records = traffic.off_clocks(traffic.mischief(traffic.records(traffic.runs(runs, steps=steps), flush=3)))
    chosen = traffic.random.sample(records, len(records) // 3)
    return [*records, *(replace(one, events=tuple(map(traffic._contradict, one.events))) for one in chosen)]


def _delivered(records: Sequence[Record], shuffle: random.Random, cuts: list[int]) -> list[list[Record]]:
    """All of them and a third again, in any order, in batches of the sizes given and of three."""
    left = [*records, *shuffle.sample(records, len(records) // 3)]
    shuffle.shuffle(left)
    batches = []
    while left:
        size = cuts.pop() if cuts else 3
        batches.append(left[:size])
        left = left[size:]
    return batches
