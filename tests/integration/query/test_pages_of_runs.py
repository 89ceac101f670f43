"""Pages of slow and of failed runs, however far they are looked for, are those that reading every run would give."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from query_service.store import postgres as module
from query_service.store.pool import PostgresPool
from query_service.store.postgres import PostgresReader
from query_service.store.store import RunFilter, RunPosition
from query_service.testing_rows import NOON

pytestmark = pytest.mark.anyio
RUNS = 150
_RUN = """
INSERT INTO runs (project, run_id, identity_rank, agent, agent_version, declared_started_at, ended_at, end_status,
                  first_event_at, last_event_at, last_received_at, silent_after, step_count, error_step_count, failure_count,
                  recorded_failure_count)
VALUES ('default', gen_random_uuid(), 0, $1, '1', $2, $3, $4, $5, $6, $6, $7, 0, 0, 0, 0) RETURNING run_id
"""
_FAILURE = """
INSERT INTO failures (project, run_id, failure_id, failure_rank, occurred_at, failure_type, failure_code, rule_id,
                      taxonomy_version, seq, agent, agent_version, fingerprint)
VALUES ('default', $1, $2, 1, $3, $4, $5, 'r', 1, 1, 'a', '1', $6)
"""
_WANTED = """
SELECT run_id FROM runs
WHERE ($1::text IS NULL OR agent = $1) AND ($2::timestamptz IS NULL OR started_at >= $2)
  AND ($3::timestamptz IS NULL OR started_at < $3) AND ($4::bigint IS NULL OR latency_us >= $4)
  AND (($5::text IS NULL AND $6::text IS NULL) OR EXISTS (
      SELECT 1 FROM failures WHERE failures.run_id = runs.run_id AND ($5::text IS NULL OR failure_type = $5)
                               AND ($6::text IS NULL OR failure_code = $6))
      OR (end_status IS NULL AND silent_after < now() AND coalesce($5, 'orchestration') = 'orchestration'
          AND coalesce($6, 'abandoned') = 'abandoned'))
ORDER BY started_at DESC, run_id DESC
"""


async def fill(owner: asyncpg.Connection, draw: random.Random) -> None:
    """Runs of a day, most of them short, some of many hours, some whose start comes after their events; many at one moment."""
    for _ in range(RUNS):
        first = NOON + timedelta(minutes=draw.choice((10, 1)) * draw.randrange(120))
        length = timedelta(seconds=draw.choice((1, 60, 3_600, 3_601, 40_000)))
        started = first + draw.choice((timedelta(), timedelta(), length / 2))
        ended = draw.random() < 0.9
        run_id = await owner.fetchval(
            _RUN,
            draw.choice(("often", "often", "rarely")),
            started,
            first + length if ended else None,
            "success" if ended else None,
            first,
            first + length,
            NOON - timedelta(days=1),
        )
        for number in range(draw.choice((0, 0, 1, 1, 3))):
            kind, code = draw.choice((("tool", "many"), ("tool", "many"), ("model", "few"), ("orchestration", "loop")))
            at = first + length * draw.choice((0.0, 0.5, 1.0))
            await owner.execute(_FAILURE, run_id, f"{number:016x}", at, kind, code, code)


def filters(draw: random.Random) -> RunFilter:
    """A failure or a latency, and other things beside it."""

    def moment() -> datetime:
        return NOON + timedelta(minutes=draw.randrange(1_300))

    asked: dict[str, Any] = draw.choice(
        (
            {"failure_code": "many"},
            {"failure_code": "few"},
            {"failure_code": "none"},
            {"failure_code": "abandoned"},
            {"failure_type": "orchestration"},
            {"failure_type": "tool"},
            {"min_latency_us": draw.choice((0, 60_000_000, 3_600_000_001))},
        )
    )
    if draw.random() < 0.3:
        asked["agent"] = draw.choice(("often", "rarely"))
    if draw.random() < 0.3:
        asked["since"] = moment()
    if draw.random() < 0.3:
        asked["until"] = moment()
    return RunFilter(**asked)


async def pages(reader: PostgresReader, which: RunFilter, limit: int) -> Sequence[UUID]:
    """The runs of all pages, one after the other."""
    found: list[UUID] = []
    after: RunPosition | None = None
    while True:
        page = await reader.list_runs("default", which, after=after, limit=limit)
        found += [run.run_id for run in page]
        if len(page) < limit:
            return found
        after = RunPosition(started_at=page[-1].started_at, run_id=page[-1].run_id)


@pytest.mark.parametrize("seed", range(3))
async def test_pages_are_what_every_run_would_give(
    owner: asyncpg.Connection, postgres: PostgresPool, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Where few runs and failures are looked at first, and ever more; where runs fail late, or before their start."""
    draw = random.Random(seed)
    await fill(owner, draw)
    reader = PostgresReader(postgres)
    for _ in range(40):
        monkeypatch.setattr(module, "_NEWEST_SLOW", draw.choice((1, 8)))
        monkeypatch.setattr(module, "_NEWEST_FAILED", draw.choice((1, 8)))
        monkeypatch.setattr(module, "_FAILURES_FIRST", draw.choice((1, 5, 20)))
        monkeypatch.setattr(module, "_FAILURES_MORE", 2)
        which = filters(draw)
        values = (which.agent, which.since, which.until, which.min_latency_us, which.failure_type, which.failure_code)
        wanted = [row["run_id"] for row in await owner.fetch(_WANTED, *values)]
        assert await pages(reader, which, draw.choice((3, 10))) == wanted, which
