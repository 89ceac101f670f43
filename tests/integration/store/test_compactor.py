"""Who compacts: a worker in its spare time, and an operator who does not wait for it."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from agenttracer_cli.app import app
from ddl.migrate import SCHEMA
from servicekit import postgres
from stream_workers.metrics import WorkerMetrics
from stream_workers.rollups.compactor import Compactor
from tests.support.statistics import Store, now_minute, traffic_of

_DELTAS = "SELECT (SELECT count(*) FROM run_rollup_deltas) + (SELECT count(*) FROM step_rollup_deltas)"


async def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


def test_a_worker_compacts_and_goes_on_after_failures(migrated_dsn: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is away, then it ends the session in the middle: both are counted, and the next turns do the work."""
    metrics = WorkerMetrics()
    connected: list[asyncpg.Connection] = []
    connect = postgres.connect

    async def at_the_second_try(*arguments: object, **options: object) -> asyncpg.Connection:
        if not connected:
            connected.append(await connect(*arguments, **options))  # type: ignore[arg-type]
            raise OSError
        connected.append(await connect(*arguments, **options))  # type: ignore[arg-type]
        return connected[-1]

    def figure(name: str) -> float:
        return metrics.registry.get_sample_value(f"agenttracer_worker_{name}") or 0.0

    async def work() -> None:
        store = await Store.open(migrated_dsn)
        await store.save(traffic_of(51, days_ago=0.5))
        monkeypatch.setattr(postgres, "connect", at_the_second_try)
        compacting = asyncio.create_task(Compactor(migrated_dsn["worker"], metrics, every_s=0.05).run())
        await _until(lambda: figure("deltas_compacted_total") > 0, "nothing is compacted")
        assert figure("compaction_failures_total") == 1
        connected[-1].terminate()
        before = figure("deltas_compacted_total")
        await store.save(traffic_of(52, days_ago=0.4))
        await _until(lambda: figure("deltas_compacted_total") > before, "nothing is compacted after the failure")
        await _until(lambda: figure("deltas_waiting") == 0, "deltas are left")
        assert await store.connection.fetchval(_DELTAS) == 0
        assert len(connected) > 2
        assert not compacting.done()
        compacting.cancel()
        await asyncio.gather(compacting, return_exceptions=True)
        assert await store.wrong() == []
        connected[0].terminate()
        await store.close()

    asyncio.run(work())
    assert figure("compaction_seconds_total") > 0


def test_a_worker_leaves_the_minutes_that_are_written_to(migrated_dsn: dict[str, str]) -> None:
    """Each of them is compacted once, a minute after it is over; a clock that is ahead holds back nothing for ever."""

    async def work() -> None:
        store = await Store.open(migrated_dsn)
        now = now_minute()
        await store.save([*traffic_of(53, days_ago=0), *traffic_of(54, days_ago=-3)])
        compactor = Compactor(migrated_dsn["worker"], WorkerMetrics(), every_s=1)
        await compactor.compact(store.connection, now=now)
        left = await store.connection.fetchval("SELECT min(minute) FROM step_rollup_deltas")
        assert left is not None
        ahead = "SELECT count(*) FROM step_rollup_deltas WHERE minute > now() + interval '1 day'"
        assert await store.connection.fetchval(ahead) == 0
        await compactor.compact(store.connection, now=now + 200)
        assert await store.connection.fetchval(_DELTAS) == 0
        assert await store.wrong() == []
        await store.close()

    asyncio.run(work())


def test_an_operator_compacts_everything_at_once(migrated_dsn: dict[str, str], tmp_path: Path) -> None:
    """The command says how many deltas there were, and how many are left."""

    async def filled() -> int:
        store = await Store.open(migrated_dsn)
        await store.save([*traffic_of(55, days_ago=0), *traffic_of(56, days_ago=1, project="bank")])
        count = int(await store.connection.fetchval(_DELTAS))
        await store.close()
        return count

    count = asyncio.run(filled())
    runner = CliRunner(env={"AGENTTRACER_POSTGRES_DSN": migrated_dsn["owner"]})
    done = runner.invoke(app, ["rollups", "compact", "--state-dir", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert f"{count} deltas compacted, 0 left" in done.output


def test_whoever_compacts_in_spare_time_waits_for_nobody(migrated_dsn: dict[str, str]) -> None:
    """Two would replace the same totals: while one has its turn, the other does nothing."""

    async def work() -> None:
        store = await Store.open(migrated_dsn)
        await store.save(traffic_of(57, days_ago=1))
        other = await asyncpg.connect(migrated_dsn["owner"], server_settings={"search_path": SCHEMA})
        async with other.transaction():
            await other.execute("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.rollup_totals', 0))")
            await store.compact()
            assert await store.connection.fetchval(_DELTAS) > 0
        await store.compact()
        assert await store.connection.fetchval(_DELTAS) == 0
        await other.close()
        await store.close()

    asyncio.run(work())
