"""Statistics of any window are the sums of what writers appended in it, whatever of that is compacted and by which spans."""

import random
from collections import Counter
from datetime import timedelta

import asyncpg
import pytest

from ddl.rollups import DAY, Part, minute_of, moment, parts
from query_service.store.pool import PostgresPool
from query_service.store.postgres import PostgresReader
from query_service.store.store import CountFilter
from query_service.testing_rows import RunRollupSeed, StepRollupSeed
from stream_workers.rollups.compaction import Which, compact
from tests.integration.query.conftest import Putting

pytestmark = pytest.mark.anyio
NOW = DAY * 20_000 + 611
AGES = (1, 3 * DAY, 20 * DAY, 120 * DAY)
"""Minutes: of each span by which windows are read."""


def _window(chosen: random.Random) -> list[Part]:
    since, until = sorted(NOW - chosen.randrange(chosen.choice(AGES) + 2 * DAY) for _ in range(2))
    return parts(since, until + 1, now=NOW)


@pytest.mark.parametrize("seed", range(4))
async def test_a_window_counts_what_lies_in_it(
    put: Putting, owner: asyncpg.Connection, postgres: PostgresPool, seed: int
) -> None:
    """Totals of whole days, hours, quarters and minutes, and deltas: together neither more nor less."""
    chosen = random.Random(seed)
    minutes = [NOW - chosen.randrange(chosen.choice(AGES) + 2 * DAY) for _ in range(150)]
    rows = [
        StepRollupSeed(minute=moment(at), steps=1 + number % 3, latency_bucket=number % 5) for number, at in enumerate(minutes)
    ]
    await put(*rows, *(RunRollupSeed(minute=moment(at)) for at in minutes))
    await compact(owner, "default", now=NOW, which=Which(until=NOW - chosen.choice(AGES)), deltas_max=40)
    reader = PostgresReader(postgres)
    for _ in range(40):
        found = _window(chosen)
        since, until = moment(found[0].since), moment(found[-1].until)
        counts = await reader.counts("default", CountFilter(since=since, until=until, parts=found))
        inside = [row for row in rows if since <= row.minute < until]
        wanted: Counter[int] = Counter()
        for row in inside:
            wanted[row.latency_bucket] += row.steps
        assert sum(row.runs for row in counts.runs) == len(inside)
        assert [row.histogram for row in counts.steps] == ([dict(wanted)] if inside else [])


async def test_a_window_by_the_minute_is_what_was_asked(put: Putting, owner: asyncpg.Connection, postgres: PostgresPool) -> None:
    """Within two days; the minute before and the minute after are not counted, compacted or not."""
    at = moment(NOW - 100)
    await put(*(StepRollupSeed(minute=at + timedelta(minutes=shift), steps=10 ** (shift + 1)) for shift in (-1, 0, 1)))
    reader = PostgresReader(postgres)
    asked = parts(minute_of(at), minute_of(at) + 1, now=NOW)
    which = CountFilter(since=at, until=at + timedelta(minutes=1), parts=asked)
    for _ in range(2):
        assert [row.steps for row in (await reader.counts("default", which)).steps] == [10]
        await compact(owner, "default", now=NOW)
