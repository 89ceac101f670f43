"""Statistics outlive the detail that they are of: through retention, deletion, rebuild and an end of their own."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace

import asyncpg
import pytest

from agenttracer.wire.envelope import VERSION, Producer, Record
from agenttracer.wire.events import FailureRecorded, RunStarted
from agenttracer.wire.vocabulary import FailureType
from ddl import rollups
from stream_workers.core.fold import fold, rollups_of
from stream_workers.kafka.topic_log import LogRange
from stream_workers.operations.deletion import apply_retention, remove_project, remove_run, set_retention
from stream_workers.operations.rebuild.bulk import BulkStore
from stream_workers.operations.rebuild.plan import Plan
from stream_workers.operations.rebuild.shadow_schema import LogCutoff, finish, prepare
from stream_workers.operations.rebuild.swap import swap
from stream_workers.pipeline.decode import canonical_json
from stream_workers.rollups import name_cap
from stream_workers.store.read_tables import read_tables
from tests.support.statistics import DAY_US, TOPIC, Store, Sums, batch_of, now_minute, traffic_of
from tests.support.traffic import Traffic

Work = Callable[[Store], Awaitable[None]]


@pytest.fixture
def run(migrated_dsn: dict[str, str]) -> Callable[[Work], None]:
    def whole(work: Work) -> None:
        async def both() -> None:
            store = await Store.open(migrated_dsn)
            await work(store)
            await store.close()

        asyncio.run(both())

    return whole


@pytest.mark.parametrize("compacted", [False, True])
def test_what_expires_stays_counted(run: Callable[[Work], None], compacted: bool) -> None:  # noqa: FBT001 - a parameter
    """Runs and steps go, the statistics stay as they were, and verify compares the days that are whole."""
    records = [*traffic_of(1, days_ago=9), *traffic_of(2, days_ago=1.5)]

    async def work(store: Store) -> None:
        await store.save(records)
        if compacted:
            await store.compact()
        before = await store.sums()
        await set_retention(store.dsn, "shop", 5)
        assert (await apply_retention(store.dsn, report=str)).runs.total() == 10
        assert _open_alike(await store.sums()) == _open_alike(before)
        assert await store.wrong() == []
        await store.connection.execute("UPDATE step_rollup_totals SET steps = steps + 1 WHERE period > now() - interval '3 days'")
        await store.connection.execute("UPDATE step_rollup_deltas SET steps = steps + 1 WHERE minute > now() - interval '3 days'")
        assert await store.wrong() != []

    run(work)


def test_an_open_run_that_expires_is_counted_as_abandoned(run: Callable[[Work], None]) -> None:
    """With the failure that it had, or else that of its silence; the young ones are running."""
    failure = FailureRecorded(
        run_id="", failure_id="1" * 16, failure_type=FailureType.TOOL, failure_code="timeout", occurred_at=0, seq=1
    )
    records = []
    for number, (days_ago, failed) in enumerate([(9, False), (9, True), (1, False)]):
        began_us = time.time_ns() // 1000 - days_ago * DAY_US
        run_id = str(uuid.UUID(int=number + 1))
        started = RunStarted(run_id=run_id, seq=0, started_at=began_us)
        events = (started, *([replace(failure, run_id=run_id, occurred_at=began_us)] if failed else ()))
        producer = Producer(id="p", agent="a", agent_version="1")
        records.append(Record(v=VERSION, project="shop", producer=producer, received_at=began_us, events=events))

    async def work(store: Store) -> None:
        await store.save(records)
        await store.compact()
        await set_retention(store.dsn, "shop", 5)
        assert (await apply_retention(store.dsn, report=str)).runs.total() == 2
        await store.compact()
        counted = [(key[6:], count) for key, (count, *_) in (await store.sums()).items() if key[:2] == ("run", rollups.DAY)]
        wanted = [("abandoned", "orchestration", "abandoned"), ("abandoned", "tool", "timeout"), ("running", "", "")]
        assert sorted(counted) == [(key, 1) for key in wanted]
        assert await store.wrong() == []

    run(work)


def test_statistics_end_by_a_time_of_their_own(run: Callable[[Work], None]) -> None:
    """Whole days of totals, deltas and rollups of the release before; younger days and other projects stay."""
    records = [*traffic_of(3, days_ago=40), *traffic_of(4, days_ago=20), *traffic_of(5, days_ago=40, project="bank")]

    async def work(store: Store) -> None:
        await store.save(records)
        await store.compact()
        await store.save(traffic_of(6, days_ago=39))
        await store.connection.execute(
            "INSERT INTO step_rollups VALUES ('shop', now() - interval '40 days', 'a', '1', 'tool', 'n', 'ok', 1, 1, 1)"
        )
        await set_retention(store.dsn, "shop", 5, statistics_days=30)
        said: list[str] = []
        applied = await apply_retention(store.dsn, report=said.append)
        assert applied.statistics["shop"] > 0
        assert any("statistics" in line for line in said)
        oldest = {}
        for _, _, project, minute, *_ in await store.sums():
            oldest[project] = min(oldest.get(project, minute), minute)
        assert now_minute() - 21 * rollups.DAY < oldest["shop"] < oldest["bank"] + 21 * rollups.DAY
        assert await store.connection.fetchval("SELECT count(*) FROM step_rollups") == 0
        assert await store.wrong() == []

    run(work)


def test_statistics_are_not_kept_for_less_than_runs(run: Callable[[Work], None]) -> None:
    """They would differ from the detail that is there."""

    async def work(store: Store) -> None:
        with pytest.raises(asyncpg.CheckViolationError):
            await set_retention(store.dsn, "shop", 30, statistics_days=29)

    run(work)


@pytest.mark.parametrize("compacted", [False, True])
def test_a_run_that_is_deleted_on_request_leaves_no_name(run: Callable[[Work], None], compacted: bool) -> None:  # noqa: FBT001
    """Neither a total nor a delta names an agent of which there is nothing else."""
    secret = Traffic(7, base_us=time.time_ns() // 1000 - 2 * DAY_US).records(Traffic(7).runs(1))
    producer = replace(secret[0].producer, agent="secret")
    secret = [replace(record, project="shop", producer=producer) for record in secret]

    async def work(store: Store) -> None:
        others = traffic_of(8, days_ago=2)
        await store.save([*secret, *others])
        if compacted:
            await store.compact()
        assert any("secret" in key for key in await store.sums())
        await remove_run(store.dsn, "shop", secret[0].events[0].run_id)
        tables = [f"{kind}_{table}" for kind in ("run", "step") for table in ("rollup_deltas", "rollup_totals")]
        for table in tables:
            assert await store.connection.fetchval(f"SELECT count(*) FROM {table} WHERE agent = 'secret'") == 0
        assert (await read_tables(store.connection)).step_rollups == fold(others, canonical_json).step_rollups
        assert await store.wrong() == []

    run(work)


def test_a_deleted_project_leaves_no_statistics(run: Callable[[Work], None]) -> None:
    """Also of what had expired."""

    async def work(store: Store) -> None:
        await store.save([*traffic_of(9, days_ago=9), *traffic_of(10, days_ago=2), *traffic_of(11, days_ago=2, project="bank")])
        await store.compact()
        await store.save(traffic_of(12, days_ago=1))
        await set_retention(store.dsn, "shop", 5)
        await apply_retention(store.dsn, report=str)
        await remove_project(store.dsn, "shop")
        assert {key[2] for key in await store.sums()} == {"bank"}
        assert await store.connection.fetchval("SELECT count(*) FROM detail_horizons") == 0
        assert await store.wrong() == []

    run(work)


@pytest.mark.parametrize("names_max", [name_cap.NAMES_MAX, 2])
def test_a_rebuild_keeps_what_the_topic_no_longer_tells(
    run: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch, names_max: int
) -> None:
    """Totals of every span are those of the live store, what has expired among them, also where days have too many names."""
    monkeypatch.setattr(name_cap, "NAMES_MAX", names_max)
    gone, left = (
        traffic_of(13, days_ago=9),
        [
            *traffic_of(14, days_ago=_before_noon(4.2)),
            *traffic_of(15, days_ago=_before_noon(0.1)),
            *traffic_of(16, days_ago=_before_noon(4)),
        ],
    )

    async def work(store: Store) -> None:
        plan = Plan(store.dsn, "nowhere:1", TOPIC)
        await store.save([*gone, *left[: len(left) // 2]])
        await store.compact()
        await set_retention(store.dsn, "shop", 6)
        assert (await apply_retention(store.dsn, report=str)).runs.total() == 10
        await store.save([*gone, *left])  # deltas that are not compacted, of days before the horizon as well
        rebuilder = await asyncpg.connect(store.dsn, server_settings={"timezone": "UTC"})
        await prepare(rebuilder, plan, {0: LogRange(0, len(gone) + len(left))})
        shadow = BulkStore(store.dsn, transaction_timeout_s=30, schema=plan.shadow)
        await shadow.save(TOPIC, batch_of([*gone, *left]))
        await shadow.close()
        await finish(rebuilder, plan, past=LogCutoff(None, silent=False), report=str)
        wanted, found = await store.sums(), await store.sums(plan.shadow)
        assert _by_project(found) == _by_project(wanted)
        if names_max > 2:
            assert found == wanted
        else:
            assert "__other__" in {name for key in found for name in key}
        assert await swap(rebuilder, plan) is not None
        await rebuilder.close()
        assert await store.wrong() == []

    run(work)


def _before_noon(days: float) -> float:
    """How many days ago it was so many days before yesterday's noon: traffic there keeps clear of midnight at any hour."""
    return days + 0.5 + time.time() / 86_400 % 1


def _open_alike(sums: Sums) -> Sums:
    """Figures in which a run that did not end is of one kind, whether it is open or has expired so."""
    return rollups_of(
        ((*key[:6], "open") if {"running", "abandoned"} & set(key) else key, one._replace(histogram=()))
        for key, one in sums.items()
    )


def _by_project(sums: Sums) -> Sums:
    """Figures without names: what a cap on these never changes."""
    return rollups_of((key[:4], one._replace(histogram=())) for key, one in sums.items())
