"""Runs beyond the bounds of the diagnosis on real PostgreSQL: as the fold has them, flagged, and at a cost that does not grow."""

import asyncio
import json
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import pytest

from agenttracer.wire.events import Event
from ddl.migrate import SCHEMA
from query_service.store.pool import STATEMENTS
from stream_workers.core.diagnosis import FAILURES_MAX
from stream_workers.core.fold import fold, truncated_runs
from stream_workers.core.loop_detection import IN_A_ROW
from stream_workers.core.step_tree import STEPS_MAX
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.batch import Received, Topic, make_batch
from stream_workers.store.postgres import PostgresStore
from stream_workers.store.read_tables import differences, read_tables
from stream_workers.store.statements import QUERIES
from tests.support.long_run import AT, RUN, end, recorded, records, run_ids, start, step, steps

TOPIC = Topic("t", uuid.UUID(int=7))
FAR = FAILURES_MAX + 100
_Work = Callable[["Subject"], Awaitable[None]]


class Subject:
    """The workers' store, a connection that looks into it, and what was written so far."""

    def __init__(self, store: PostgresStore, owner: asyncpg.Connection) -> None:
        self.store = store
        self.owner = owner
        self.written: list[Event] = []
        self._offset = 0

    async def write(self, events: Sequence[Event], *, flush: int = 5) -> None:
        """One batch of records of `flush` events."""
        self.written += events
        received = [Received(0, self._offset + n, 100, None, one, None) for n, one in enumerate(records(events, flush=flush))]
        self._offset += len(received)
        await self.store.save(TOPIC, make_batch(received, canonical_json))

    async def differences(self) -> list[str]:
        """Between the store and the fold of all that was written."""
        return differences(fold(records(self.written, flush=1), canonical_json), await read_tables(self.owner))

    @property
    def connection(self) -> asyncpg.Connection:
        """The store's own, with the settings under which its statements are planned."""
        assert self.store._connection is not None
        return self.store._connection


def running(dsn: dict[str, str], work: _Work) -> None:
    async def run() -> None:
        store = PostgresStore(dsn["worker"], transaction_timeout_s=60)
        owner = await asyncpg.connect(dsn["owner"], server_settings={"search_path": SCHEMA, "timezone": "UTC"})
        try:
            await work(Subject(store, owner))
        finally:
            await store.close()
            await owner.close()

    asyncio.run(run())


def at_the_bounds() -> dict[str, list[Event]]:
    """Runs just below, at and above each bound."""
    ids = run_ids()
    found: dict[str, list[Event]] = {}
    for count in (STEPS_MAX - 1, STEPS_MAX, STEPS_MAX + 1):
        run_id = next(ids)
        found[run_id] = list(steps(count, run_id=run_id))
    for count in (FAILURES_MAX - 1, FAILURES_MAX, FAILURES_MAX + 1):
        for tries in (0, IN_A_ROW):
            run_id = next(ids)
            loop = [step(900 + n, failed=False, run_id=run_id, name="again") for n in range(tries)]
            found[run_id] = [*steps(count, failing=1, run_id=run_id), *loop]
    return found


def test_the_store_says_truncated_where_the_fold_does(migrated_dsn: dict[str, str]) -> None:
    """Just below, at and above each bound, with and without a loop, which does not count."""
    runs = at_the_bounds()

    async def work(subject: Subject) -> None:
        for events in runs.values():
            await subject.write(events)
        assert await subject.differences() == []
        rows = await subject.owner.fetch(*STATEMENTS["runs"].bind(project="default", run_ids=list(runs)))
        found = {str(row["run_id"]) for row in rows if row["truncated"]}
        assert len(rows) == len(runs)
        wanted = truncated_runs(fold(records(subject.written, flush=1), canonical_json))
        assert found == {run_id for _, run_id in wanted}
        assert len(found) == 3
        assert await subject.owner.fetchval("SELECT count(*) FROM failures WHERE failure_rank = 3") == 3

    running(migrated_dsn, work)


@pytest.mark.parametrize("seed", range(2))
def test_a_long_run_in_any_order_is_the_folds(migrated_dsn: dict[str, str], seed: int) -> None:
    """Beyond both bounds, shuffled, in small records and batches, its end somewhere among them: row for row the fold's."""
    events: list[Event] = [start(), *steps(STEPS_MAX + 200, failing=4), end(STEPS_MAX + 200)]
    events += [recorded(4 * n, occurred_at=AT + n * 500_000) for n in range(1, 20)]
    random.Random(seed).shuffle(events)

    async def work(subject: Subject) -> None:
        for first in range(0, len(events), 40):
            await subject.write(events[first : first + 40], flush=3)
        assert await subject.differences() == []

    running(migrated_dsn, work)


def test_a_failure_that_is_replaced_by_a_later_one_makes_room(migrated_dsn: dict[str, str]) -> None:
    """A place among the judged ones is taken away by a word for a time beyond them: the next failure moves up."""

    async def work(subject: Subject) -> None:
        await subject.write(steps(FAR, failing=1))
        await subject.write([recorded(7, occurred_at=AT + 10**9)])
        assert await subject.differences() == []
        judged = await subject.owner.fetch("SELECT failure_id FROM failures WHERE fingerprint IS NOT NULL")
        assert {int(row["failure_id"], 16) for row in judged} == {*range(1, FAILURES_MAX + 2)} - {7}

    running(migrated_dsn, work)


def test_failures_beyond_those_judged_cost_no_diagnosis(migrated_dsn: dict[str, str]) -> None:
    """Far beyond its bounds a run that goes on failing is written as one that only began, with one more question."""

    async def work(subject: Subject) -> None:
        await subject.write([start()])
        sent: list[str] = []
        await subject.write([step(1, failed=False)])
        subject.connection.add_query_logger(lambda query: sent.append(query.query))
        await subject.write([step(2, failed=False)])
        young = set(sent)
        await subject.write(steps(STEPS_MAX + 100, failing=3)[2:])
        sent.clear()
        await subject.write([step(number, failed=True) for number in range(STEPS_MAX + 200, STEPS_MAX + 205)])
        of_failures = {query for query in sent if "stage_failures" in query}
        assert set(sent) - young == {QUERIES["last_judged"].text, *of_failures}
        assert await subject.differences() == []

    running(migrated_dsn, work)


FILL = f"""
SELECT ensure_steps_partition(day::date) FROM generate_series(to_timestamp({AT} / 1e6), to_timestamp({AT} / 1e6), '1 day') AS day;

INSERT INTO steps (project, run_id, step_id, started_at, duration_us, seq, latency_bucket, attempt, kind, name, status, agent,
                   agent_version)
SELECT 'default', run_id, lpad(to_hex(n), 16, '0'), to_timestamp({AT} / 1e6) + n * interval '1 ms', 1, n, 1, 1, 'tool', 'n', 'ok',
       'a', '1'
FROM (VALUES ('{RUN}'::uuid, 30000), (gen_random_uuid(), 10), (gen_random_uuid(), 10)) AS made (run_id, steps),
     generate_series(1, steps) AS n;

INSERT INTO failures (project, run_id, failure_id, failure_rank, occurred_at, failure_type, failure_code, rule_id,
                      taxonomy_version, step_id, seq, agent, agent_version, fingerprint)
SELECT project, run_id, step_id, 1, started_at, 'tool', 'timeout', 'r', 1, step_id, seq, 'a', '1',
       CASE WHEN seq <= {FAILURES_MAX} THEN 'f' END
FROM steps WHERE seq % 3 = 0 OR run_id <> '{RUN}';
"""


@pytest.mark.parametrize("statistics", ["", "ANALYZE steps, failures"], ids=["no statistics", "statistics"])
def test_what_a_diagnosis_reads_is_bounded(migrated_dsn: dict[str, str], statistics: str) -> None:
    """Of 30,000 steps and 10,000 failures PostgreSQL reads the first 1,000 and some 200, whatever it knows of the tables."""

    async def rows_read(subject: Subject, name: str, **values: object) -> int:
        statement, *arguments = QUERIES[name].bind(**values)
        query = f"EXPLAIN (ANALYZE, TIMING off, FORMAT json) {statement}"
        nodes: list[dict[str, Any]] = [json.loads(await subject.connection.fetchval(query, *arguments))[0]["Plan"]]
        for node in nodes:
            nodes += node.get("Plans", [])
        return max(
            int(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))
            for node in nodes
            if "Relation Name" in node or "Index Name" in node
        )

    async def work(subject: Subject) -> None:
        await subject.write([start()])
        await subject.owner.execute(FILL + statistics)
        run = {"project": "default", "run_ids": [RUN]}
        days = {"first_us": [AT], "last_us": [AT + 40_000 * 1_000]}
        assert await rows_read(subject, "steps_of_runs", **run, **days, steps_max=STEPS_MAX) <= STEPS_MAX + 1
        assert await rows_read(subject, "failures_of_runs", **run, failures=[FAILURES_MAX + 5]) <= FAILURES_MAX + 6
        assert await rows_read(subject, "last_judged", **run, failures_max=FAILURES_MAX) <= FAILURES_MAX + 1

    running(migrated_dsn, work)
