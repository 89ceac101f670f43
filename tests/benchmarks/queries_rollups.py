"""Statistics of the filled runs as compaction leaves them once nothing is left to do: totals of every span that is still stored.

They are added up by SQL from the runs, also those of steps whose detail is not here: all steps of a run are of its minute and
last equally long, so nobody has to make a hundred million rows. What autovacuum has yet to reuse between two compactions is not
here.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import asyncpg

from ddl import rollups

STEPS_A_RUN: Final = 10
MODEL: Final = "gpt-4o"
INPUT_TOKENS: Final = 812
"""Of each step."""
TABLES: Final = ("run_rollup_totals", "step_rollup_totals")


async def fill_rollups(connection: asyncpg.Connection, *, detail_since: datetime, say: Callable[[str], None]) -> None:
    """Totals of all runs, and of the steps that they had. Only those that began since `detail_since` still have their steps."""
    now = int(time.time()) // 60
    for table, statement in zip(TABLES, (_RUNS, _STEPS), strict=True):
        for span in rollups.SPANS:
            oldest = rollups.oldest_stored(span, now=now)
            since = None if oldest is None else rollups.moment(oldest)
            done = await connection.execute(statement, span, since)
            say(f"{int(done.rpartition(' ')[2]):,} of {table} by {span} minutes")
        await connection.execute(f"VACUUM (ANALYZE) {table}")
    await connection.execute("INSERT INTO detail_horizons (project, before) VALUES ('default', $1)", detail_since)


_RUNS: Final = """
WITH by_bucket AS (
    SELECT project, date_bin(make_interval(mins => $1::integer), started_at, 'epoch') AS period, agent, agent_version, status,
           coalesce(failure_type, root_failure_type, '') AS failure_type,
           coalesce(failure_code, root_failure_code, '') AS failure_code,
           coalesce(latency_bucket(latency_us), -1::smallint) AS bucket, count(*) AS runs, sum(coalesce(latency_us, 0)) AS us
    FROM runs WHERE $2::timestamptz IS NULL OR started_at >= $2
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
)
INSERT INTO run_rollup_totals (
    project, span_minutes, period, agent, agent_version, status, failure_type, failure_code, runs, latency_us, histogram
)
SELECT project, $1::integer, period, agent, agent_version, status, failure_type, failure_code, sum(runs)::bigint, sum(us),
       string_agg(int2send(bucket) || int8send(runs), ''::bytea ORDER BY bucket)
FROM by_bucket GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""
_STEPS: Final = f"""
WITH timed AS (
    SELECT project, date_bin(make_interval(mins => $1::integer), started_at, 'epoch') AS period, agent, agent_version,
           failure_count > 0 AS failing, (extract(epoch FROM last_event_at - started_at) * 1000000)::bigint / 12 AS us
    FROM runs WHERE $2::timestamptz IS NULL OR started_at >= $2
), of_runs AS (
    SELECT project, period, agent, agent_version, failing, latency_bucket(us) AS bucket, count(*) AS runs, sum(us) AS us
    FROM timed GROUP BY 1, 2, 3, 4, 5, 6
), by_bucket AS (
    SELECT project, period, agent, agent_version, seq, failing AND seq = 7 AS failed, bucket, sum(runs)::bigint AS steps,
           sum(us) AS us
    FROM of_runs CROSS JOIN generate_series(1, {STEPS_A_RUN}) AS seq GROUP BY 1, 2, 3, 4, 5, 6, 7
)
INSERT INTO step_rollup_totals (
    project, span_minutes, period, agent, agent_version, kind, name, status, model, steps, latency_us, input_tokens, histogram
)
SELECT project, $1::integer, period, agent, agent_version, (ARRAY['plan', 'retrieve', 'tool', 'respond', 'other'])[1 + seq % 5],
       'step_' || seq, CASE WHEN failed THEN 'error' ELSE 'ok' END, '{MODEL}', sum(steps)::bigint, sum(us),
       {INPUT_TOKENS} * sum(steps),
       string_agg(int2send(bucket) || int8send(steps), ''::bytea ORDER BY bucket)
FROM by_bucket GROUP BY project, period, agent, agent_version, seq, failed
"""
