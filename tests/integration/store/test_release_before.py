"""A store of the release before, whose workers keep rollups by minute and bucket, moves to deltas and totals online."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from agenttracer.wire.envelope import Record
from agenttracer.wire.events import Event, StepFinished
from servicekit import sql
from stream_workers.core.fold import Tables, fold
from stream_workers.core.rows import StepRow
from stream_workers.core.run import RunState
from stream_workers.kafka.topic_log import LogRange
from stream_workers.operations.rebuild.bulk import BulkStore
from stream_workers.operations.rebuild.plan import Plan
from stream_workers.operations.rebuild.shadow_schema import LogCutoff, finish, prepare
from stream_workers.pipeline.decode import canonical_json
from stream_workers.rollups.compaction import compact, projects, settled
from stream_workers.store import insert_rows, write_rows
from stream_workers.store.read_tables import differences, read_tables
from stream_workers.store.statements import QUERIES
from tests.support.statistics import TOPIC, Store, batch_of, now_minute, traffic_of

_OLD = {**QUERIES, **sql.load(Path(__file__).parents[2] / "support" / "release_before.sql")}
_LEFT = "SELECT (SELECT count(*) FROM run_rollups) + (SELECT count(*) FROM step_rollups)"


async def _save_as_before(store: Store, records: Sequence[Record]) -> None:
    """As a worker of the release before does."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (insert_rows, write_rows):
            patch.setattr(module, "QUERIES", _OLD)
        await store.save(records)


async def _killed_compaction(store: Store) -> None:
    """One that is ended in the middle, after some of its transactions."""
    connection = await asyncpg.connect(store.dsn, server_settings={"search_path": "agenttracer", "timezone": "UTC"})
    compacting = asyncio.create_task(compact(connection, "shop", now=now_minute(), deltas_max=2))
    await asyncio.sleep(0.05)
    connection.terminate()
    await asyncio.gather(compacting, return_exceptions=True)


def test_a_store_of_the_release_before_becomes_what_a_rebuild_makes(migrated_dsn: dict[str, str]) -> None:
    """At every moment statistics are those of the fold; in the end nothing is left in the old tables, and every span is right."""
    older, newer = _without_usage(traffic_of(31, days_ago=3.3)), _of_before(traffic_of(32, days_ago=1.1))
    recent, mixed = _without_usage(traffic_of(33, days_ago=0.02)), _without_usage(traffic_of(34, days_ago=0.5, project="bank"))
    late = _without_usage(traffic_of(35, days_ago=0.02))
    seen: list[Record] = []

    async def work() -> None:
        store = await Store.open(migrated_dsn)

        async def is_right() -> None:
            wanted, found = fold(seen, canonical_json), await read_tables(store.connection)
            assert differences(_known_before(wanted), _known_before(found)) == []
            assert await store.wrong() == []

        for records in (older, recent):
            await _save_as_before(store, records)
            seen.extend(records)
        await is_right()
        await _killed_compaction(store)
        await is_right()
        await store.save([*newer, *older])
        seen.extend(newer)
        await is_right()
        await _killed_compaction(store)
        await _save_as_before(store, [*mixed, *newer, *late])
        seen.extend([*mixed, *late])
        await is_right()
        await store.compact(settled(now_minute()))
        await is_right()
        assert await store.connection.fetchval(_LEFT) > 0, "those of the last hour stay: a worker of before may correct them"
        await store.compact()
        await is_right()
        assert await store.connection.fetchval(_LEFT) == 0
        assert not await projects(store.connection)
        await _rebuilt_is_equal(store, seen)
        await store.close()

    asyncio.run(work())


def _of_before(records: Sequence[Record]) -> list[Record]:
    """Without what later judgement rests on: that release's rows have no place for it."""
    return [replace(record, events=tuple(map(_event_of_before, record.events))) for record in records]


def _event_of_before(event: Event) -> Event:
    if not isinstance(event, StepFinished):
        return event
    return replace(event, work_digest=None, returned_error=None, agent=None)


def _without_usage(records: Sequence[Record]) -> list[Record]:
    """Without what statistics of that release do not count: it is counted once the run is rebuilt."""
    return [replace(record, events=tuple(map(_event_without_usage, record.events))) for record in _of_before(records)]


def _event_without_usage(event: Event) -> Event:
    if not isinstance(event, StepFinished):
        return event
    said = {key: value for key, value in event.metadata.items() if key not in {"model", "input_tokens", "output_tokens"}}
    return replace(event, cost=None, metadata=said)


def _known_before(tables: Tables) -> Tables:
    """Without the columns that came after that release: rows of its workers have none of them until they are rebuilt."""
    steps = {key: StepRow(*row[: StepRow._fields.index("work_digest")]) for key, row in tables.steps.items()}
    runs = {
        key: (_run_before(state, verdict.status), counts, verdict._replace(said_success=False))
        for key, (state, counts, verdict) in tables.runs.items()
    }
    return replace(tables, steps=steps, runs=runs)


def _run_before(state: RunState, status: str | None) -> RunState:
    """It knew one status: the one that its end said was the one that is shown."""
    start = state.start and state.start._replace(declared_kind=None)
    end = state.end and state.end._replace(end_reason=None, end_status=str(status))
    return state._replace(start=start, end=end, session_digest=None, receipt=None)


async def _rebuilt_is_equal(store: Store, records: Sequence[Record]) -> None:
    plan = Plan(store.dsn, "nowhere:1", TOPIC)
    rebuilder = await asyncpg.connect(store.dsn, server_settings={"timezone": "UTC"})
    await prepare(rebuilder, plan, {0: LogRange(0, len(records))})
    shadow = BulkStore(store.dsn, transaction_timeout_s=30, schema=plan.shadow)
    await shadow.save(TOPIC, batch_of(records))
    await shadow.close()
    await finish(rebuilder, plan, past=LogCutoff(None, silent=False), report=str)
    await rebuilder.close()
    assert await store.sums(plan.shadow) == await store.sums()
