"""Fills a store with runs of thirty days as workers would leave them: by set-based SQL, and faster than workers could.

Every second run has a random id, as OTLP's are, the others one that begins with their time, as the SDK's do; a store can have
either kind alone. What is rare is rare in absolute numbers, and lies on some of the first days: no page may cost more because of
it. Runs are the same for equal numbers, so nothing is drawn by chance. Secondary indexes are made when the rows are there, and
the tables are vacuumed, as autovacuum would have done in thirty days.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final, NamedTuple

import asyncpg

from stream_workers.core.run import ABANDON_AFTER_S
from tests.benchmarks.queries_rollups import INPUT_TOKENS, MODEL, STEPS_A_RUN, fill_rollups

DAYS: Final = 30
DETAIL_DAYS: Final = 6
"""The newest days, which have every step: at ten million runs twenty million steps."""
AGENTS: Final = 40
RARE: Final = 60  # runs of each rare kind, a little more than a page
OLD_VERSION: Final = "1.0.0"
RARE_VERSION: Final = "0.9.0-rare"
RETIRED_AGENT: Final = "agent-retired"
RARE_AGENT: Final = "agent-rare"
RARE_SHAPE: Final = "0a0a0a0a0a0a0a0a"
RARE_FINGERPRINT: Final = "fafafafafafafafa"
SLOW_MS: Final = 600_000  # as slow are RARE runs
SLOW_OLD_MS: Final = 120_000  # as slow are some hundredths of the runs of one old day
_CHUNK: Final = 100_000  # runs a statement: a moment's progress
_TABLES: Final = ("runs", "failures", "run_producers", "declared_losses", "steps")


class Ids(IntEnum):
    """Which runs have a random id: one in so many."""

    RANDOM = 1
    BOTH = 2
    TIME_ORDERED = 1 << 40


class Store(NamedTuple):
    """What a store was filled with."""

    runs: int
    steps: int
    begin: datetime
    end: datetime
    seconds: float
    bytes_by_table: dict[str, int]


class _Clock:
    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def say(self, what: str) -> None:
        print(f"{self.seconds:7.0f} s  {what}", flush=True)


async def fill(dsn: str, *, runs: int, ids: Ids = Ids.BOTH) -> Store:
    """So many runs of the thirty days until some minutes ago, those of the newest days with their steps."""
    clock, end = _Clock(), datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
    begin = end - timedelta(days=DAYS)
    settings = {
        "search_path": "agenttracer",
        "synchronous_commit": "off",
        "timezone": "UTC",
        "maintenance_work_mem": "1GB",
        "work_mem": "256MB",
    }
    connection = await asyncpg.connect(dsn, server_settings=settings)
    try:
        for day in range(DETAIL_DAYS + 1):
            await connection.execute("SELECT ensure_steps_partition($1)", (end - timedelta(days=day)).date())
        indexes = await _drop_indexes(connection)
        steps = await _rows(connection, runs, begin, clock, ids)
        await fill_rollups(connection, detail_since=begin + timedelta(days=DAYS - DETAIL_DAYS), say=clock.say)
        for index in indexes:
            await connection.execute(index)
            clock.say(index.partition(" USING")[0])
        for table in _TABLES:
            await connection.execute(f"VACUUM (ANALYZE) {table}")
            clock.say(f"vacuumed {table}")
        return Store(runs, steps, begin, end, clock.seconds, await _bytes(connection))
    finally:
        await connection.close()


async def _rows(connection: asyncpg.Connection, runs: int, begin: datetime, clock: _Clock, ids: Ids) -> int:
    steps, first = 0, 0
    while first < runs:
        day = first * DAYS // runs
        last = min(first + _CHUNK, -(-(day + 1) * runs // DAYS), runs)
        detail = day >= DAYS - DETAIL_DAYS
        await connection.execute(_FILL, first, last, runs, begin, day, detail, float(ABANDON_AFTER_S), ids.value)
        steps += (last - first) * STEPS_A_RUN * detail
        first = last
        clock.say(f"{first:,} of {runs:,} runs, {steps:,} steps")
    return steps


async def _drop_indexes(connection: asyncpg.Connection) -> Sequence[str]:
    """Drop the indexes that guard nothing. Returns how they are made again."""
    rows = await connection.fetch(
        "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index "
        "WHERE indrelid = ANY(ARRAY['runs'::regclass, 'failures'::regclass]) AND NOT indisunique ORDER BY 1"
    )
    for row in rows:
        await connection.execute(f"DROP INDEX {row['name']}")
    return [row["definition"] for row in rows]


async def _bytes(connection: asyncpg.Connection) -> dict[str, int]:
    """Bytes of each table with its partitions, indexes and TOAST."""
    rows = await connection.fetch(
        "SELECT root.relname, sum(pg_total_relation_size(tree.relid))::bigint AS bytes "
        "FROM pg_class AS root, pg_partition_tree(root.oid) AS tree "
        "WHERE root.relnamespace = 'agenttracer'::regnamespace AND root.relkind IN ('r', 'p') AND NOT root.relispartition "
        "GROUP BY 1 ORDER BY 2 DESC"
    )
    plain = await connection.fetch(
        "SELECT relname, pg_total_relation_size(oid) AS bytes FROM pg_class "
        "WHERE relnamespace = 'agenttracer'::regnamespace AND relkind = 'r' AND NOT relispartition"
    )
    return {row["relname"]: row["bytes"] for row in [*plain, *rows]}


_R: Final = "((hashint8extended(n, {0}) >> 11) & 1048575) / 1048576.0"
_FILL: Final = f"""
WITH drawn AS (
    SELECT n, $4::timestamptz + n * (interval '{DAYS} days' / $3::bigint) AS at,
           n - ceil($5::bigint * $3::bigint / {DAYS}.0)::bigint AS of_day,
           {_R.format(1)} AS r1, {_R.format(2)} AS r2, {_R.format(3)} AS r3, {_R.format(4)} AS r4, {_R.format(5)} AS r5,
           {_R.format(6)} AS r6
    FROM generate_series($1::bigint, $2::bigint - 1) AS n
), chosen AS (
    SELECT n, at, at + interval '1 microsecond' * us AS ended_at, us,
           CASE WHEN n % $8::bigint = $8 - 1 THEN md5(n::text || 'run')::uuid
                ELSE (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
                      || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid END AS run_id,
           CASE WHEN $5::integer = 2 AND of_day < {RARE} THEN '{RARE_AGENT}'
                WHEN $5::integer < 4 AND r1 < 0.05 THEN '{RETIRED_AGENT}'
                ELSE 'agent-' || floor({AGENTS} * r2 * r2) END AS agent,
           CASE WHEN $5::integer = 3 AND of_day < {RARE} THEN '{RARE_VERSION}'
                ELSE '1.' || $5::integer / 7 || '.0' END AS agent_version,
           CASE WHEN $5::integer = 4 AND of_day < {RARE} THEN 'partial' WHEN r3 < 0.01 THEN NULL
                WHEN r3 < 0.045 THEN 'failure' ELSE 'success' END AS end_status,
           CASE WHEN $5::integer = 8 AND of_day < {RARE} THEN '{RARE_SHAPE}'
                ELSE substr(md5(floor(200 * r1 * r2)::text), 1, 16) END AS shape,
           failing, failure_type, failure_code,
           CASE WHEN failure_code = 'rare_code' THEN '{RARE_FINGERPRINT}'
                ELSE substr(md5(failure_code || floor(100 * r1 * r4)), 1, 16) END AS fingerprint
    FROM drawn CROSS JOIN LATERAL (
        SELECT ($5::integer = 7 AND of_day < {RARE}) OR (r3 >= 0.01 AND r3 < 0.045) OR r5 < 0.02 AS failing,
               CASE WHEN $5::integer = 5 AND of_day < {RARE} THEN {SLOW_MS}000 + of_day
                    WHEN $5::integer = 6 AND r4 < 0.03 THEN ({SLOW_OLD_MS}000 * (1 + r5))::bigint
                    ELSE (200000 * exp(5.7 * r4))::bigint END AS us
    ) AS timed CROSS JOIN LATERAL (
        SELECT CASE WHEN $5::integer = 7 AND of_day < {RARE} THEN ARRAY['retrieval', 'rare_code']
                    WHEN $5::integer < 6 AND r6 < 0.3 THEN ARRAY['model', 'old_code']
                    WHEN r6 < 0.6 THEN ARRAY['tool', 'timeout']
                    WHEN r6 < 0.8 THEN ARRAY['model', 'rate_limited']
                    WHEN r6 < 0.95 THEN ARRAY['tool', 'server_error']
                    ELSE ARRAY['orchestration', 'loop'] END AS kind
    ) AS kinds CROSS JOIN LATERAL (SELECT kind[1] AS failure_type, kind[2] AS failure_code) AS named
), made AS (
    INSERT INTO runs (
        project, run_id, identity_rank, agent, agent_version, declared_started_at, start_digest, metadata, ended_at, end_digest,
        end_status, emitted, first_ended_at, first_event_at, last_event_at, last_received_at, silent_after, step_count,
        error_step_count, failure_count, recorded_failure_count, failure_rank, failure_at, failure_id, failure_type, failure_code,
        root_failure_id, root_failure_type, root_failure_code, shape
    )
    SELECT 'default', run_id, 0, agent, agent_version, at, n, '{{"channel":"chat","tier":"gold"}}',
           CASE WHEN end_status IS NOT NULL THEN ended_at END, n, end_status, CASE WHEN end_status IS NOT NULL THEN 12 END,
           CASE WHEN end_status IS NOT NULL THEN ended_at END, at, ended_at, ended_at, ended_at + make_interval(secs => $7),
           {STEPS_A_RUN}, failing::integer, failing::integer, 0, CASE WHEN failing THEN 1 END,
           CASE WHEN failing THEN at END, CASE WHEN failing THEN '0000000000000007' END, CASE WHEN failing THEN failure_type END,
           CASE WHEN failing THEN failure_code END, CASE WHEN failing THEN '0000000000000007' END,
           CASE WHEN failing THEN failure_type END, CASE WHEN failing THEN failure_code END,
           CASE WHEN end_status IS NOT NULL THEN shape END
    FROM chosen
), producers AS (
    INSERT INTO run_producers (project, run_id, producer, seen, emitted)
    SELECT 'default', run_id, 'sdk', '{{[0,12)}}', CASE WHEN end_status IS NOT NULL THEN 12 END FROM chosen
), failed AS (
    INSERT INTO failures (
        project, run_id, failure_id, failure_rank, occurred_at, failure_type, failure_code, rule_id, taxonomy_version, step_id,
        seq, attempt, error_class, agent, agent_version, outcome, fingerprint
    )
    SELECT 'default', run_id, '0000000000000007', 1, at + interval '1 microsecond' * (us * 7 / 12), failure_type, failure_code,
           'bench', 1, '0000000000000007', 7, 1, 'SomeError', agent, agent_version, 'fatal', fingerprint
    FROM chosen WHERE failing
)
INSERT INTO steps (
    project, run_id, step_id, started_at, duration_us, seq, latency_bucket, attempt, kind, name, status, agent, agent_version,
    error_class, metadata, model, input_tokens
)
SELECT 'default', run_id, lpad(to_hex(seq), 16, '0'),
       -- Within the run's own minute, as statistics count them (queries_rollups).
       least(at + interval '1 microsecond' * (us * seq / 12),
             date_trunc('minute', at) + interval '1 minute' - interval '1 microsecond' * (12 - seq)),
       us / 12, seq,
       latency_bucket(us / 12), 1, (ARRAY['plan', 'retrieve', 'tool', 'respond', 'other'])[1 + seq % 5], 'step_' || seq,
       CASE WHEN failing AND seq = 7 THEN 'error' ELSE 'ok' END, agent, agent_version,
       CASE WHEN failing AND seq = 7 THEN 'SomeError' END,
       '{{"input_tokens":{INPUT_TOKENS},"model":"{MODEL}"}}', '{MODEL}', {INPUT_TOKENS}
FROM chosen CROSS JOIN generate_series(1, {STEPS_A_RUN}) AS seq
WHERE $6::boolean
"""
