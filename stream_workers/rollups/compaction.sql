-- Compaction of statistics: deltas to totals (`ddl/rollups.py`). One transaction compacts one project's deltas of some minutes of
-- one kind, so every statement names its project, and whoever is killed leaves all of it as it was.

-- name: take_turn
-- One compaction at a time in a schema: nobody else reads totals in order to replace them.
SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || '.rollup_totals', 0));

-- name: await_turn
-- As take_turn, for a caller who cannot come again later.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.rollup_totals', 0));

-- name: projects
-- Those with anything to compact. `UNION` makes each of them one row.
SELECT project FROM run_rollup_deltas UNION SELECT project FROM step_rollup_deltas
UNION SELECT project FROM run_rollups UNION SELECT project FROM step_rollups;

-- name: count_deltas
-- How much readers have to add up besides totals.
SELECT (SELECT count(*) FROM run_rollup_deltas) + (SELECT count(*) FROM step_rollup_deltas);

-- name: projects_with_totals
-- As projects, for what is to be done once a day.
SELECT project FROM run_rollup_totals WHERE span_minutes = 1440
UNION SELECT project FROM step_rollup_totals WHERE span_minutes = 1440;

-- name: run_minutes
-- How many deltas each minute has, oldest first: a caller takes as many minutes as it has room for.
SELECT delta.minute, count(*) AS deltas
FROM run_rollup_deltas AS delta
WHERE project = :project AND minute <> ALL(:busy::timestamptz[])
  AND (:since::timestamptz IS NULL OR minute >= :since) AND (:until::timestamptz IS NULL OR minute < :until)
GROUP BY delta.minute ORDER BY delta.minute LIMIT :minutes_max;

-- name: step_minutes
-- As run_minutes.
SELECT delta.minute, count(*) AS deltas
FROM step_rollup_deltas AS delta
WHERE project = :project AND minute <> ALL(:busy::timestamptz[])
  AND (:since::timestamptz IS NULL OR minute >= :since) AND (:until::timestamptz IS NULL OR minute < :until)
GROUP BY delta.minute ORDER BY delta.minute LIMIT :minutes_max;

-- name: take_run_deltas
-- Takes all that these minutes hold, added up by key; histograms come one behind the other.
WITH taken AS (
    DELETE FROM run_rollup_deltas
    WHERE project = :project AND minute = ANY(:minutes::timestamptz[])
    RETURNING minute, agent, agent_version, status, failure_type, failure_code, runs, latency_us, histogram
)
SELECT minute, agent, agent_version, status, failure_type, failure_code,
       sum(runs)::bigint AS runs, sum(latency_us) AS latency_us, string_agg(histogram, ''::bytea) AS histogram
FROM taken GROUP BY 1, 2, 3, 4, 5, 6;

-- name: take_step_deltas
-- As take_run_deltas.
WITH taken AS (
    DELETE FROM step_rollup_deltas
    WHERE project = :project AND minute = ANY(:minutes::timestamptz[])
    RETURNING minute, agent, agent_version, kind, name, status, model, steps, latency_us, input_tokens, output_tokens, cost,
              histogram
)
SELECT minute, agent, agent_version, kind, name, status, model,
       sum(steps)::bigint AS steps, sum(latency_us) AS latency_us, sum(input_tokens) AS input_tokens,
       sum(output_tokens) AS output_tokens, sum(cost) AS cost, string_agg(histogram, ''::bytea) AS histogram
FROM taken GROUP BY 1, 2, 3, 4, 5, 6, 7;

-- name: run_names
-- The keys that totals of these days have.
SELECT period, agent, agent_version, status, failure_type, failure_code
FROM run_rollup_totals
WHERE project = :project AND span_minutes = 1440 AND period = ANY(:days::timestamptz[]);

-- name: step_names
-- As run_names.
SELECT period, agent, agent_version, kind, name, status, model
FROM step_rollup_totals
WHERE project = :project AND span_minutes = 1440 AND period = ANY(:days::timestamptz[]);

-- name: run_totals
-- The totals of these keys: each a span, the beginning of its period, and names.
SELECT asked.span, asked.period, asked.agent, asked.agent_version, asked.status, asked.failure_type, asked.failure_code, runs,
       latency_us, histogram
FROM unnest(:spans::smallint[], :periods::timestamptz[], :agents::text[], :versions::text[], :statuses::text[],
            :failure_types::text[], :failure_codes::text[])
    AS asked (span, period, agent, agent_version, status, failure_type, failure_code)
JOIN run_rollup_totals AS totals
  ON totals.project = :project AND totals.span_minutes = asked.span
 AND totals.period = asked.period
 AND (totals.agent, totals.agent_version, totals.status, totals.failure_type, totals.failure_code)
   = (asked.agent, asked.agent_version, asked.status, asked.failure_type, asked.failure_code);

-- name: step_totals
-- As run_totals.
SELECT asked.span, asked.period, asked.agent, asked.agent_version, asked.kind, asked.name, asked.status, asked.model, steps,
       latency_us, input_tokens, output_tokens, cost, histogram
FROM unnest(:spans::smallint[], :periods::timestamptz[], :agents::text[], :versions::text[], :kinds::text[], :names::text[],
            :statuses::text[], :models::text[])
    AS asked (span, period, agent, agent_version, kind, name, status, model)
JOIN step_rollup_totals AS totals
  ON totals.project = :project AND totals.span_minutes = asked.span
 AND totals.period = asked.period
 AND (totals.agent, totals.agent_version, totals.kind, totals.name, totals.status, totals.model)
   = (asked.agent, asked.agent_version, asked.kind, asked.name, asked.status, asked.model);

-- name: write_run_totals
-- Replaces what the keys had: their totals are in the new values.
INSERT INTO run_rollup_totals (
    project, span_minutes, period, agent, agent_version, status, failure_type, failure_code, runs, latency_us, histogram
)
SELECT :project, span, period, agent, agent_version, status, failure_type,
       failure_code, runs, latency_us, histogram
FROM unnest(:spans::smallint[], :periods::timestamptz[], :agents::text[], :versions::text[], :statuses::text[],
            :failure_types::text[], :failure_codes::text[], :runs::bigint[], :latencies_us::numeric[], :histograms::bytea[])
    AS said (span, period, agent, agent_version, status, failure_type, failure_code, runs, latency_us, histogram)
ORDER BY 2, 3, 4, 5, 6, 7, 8
ON CONFLICT (project, span_minutes, period, agent, agent_version, status, failure_type, failure_code) DO UPDATE
SET runs = excluded.runs, latency_us = excluded.latency_us, histogram = excluded.histogram;

-- name: write_step_totals
-- As write_run_totals.
INSERT INTO step_rollup_totals (
    project, span_minutes, period, agent, agent_version, kind, name, status, model, steps, latency_us, input_tokens,
    output_tokens, cost, histogram
)
SELECT :project, span, period, agent, agent_version, kind, name, status, model,
       steps, latency_us, input_tokens, output_tokens, cost, histogram
FROM unnest(:spans::smallint[], :periods::timestamptz[], :agents::text[], :versions::text[], :kinds::text[], :names::text[],
            :statuses::text[], :models::text[], :steps::bigint[], :latencies_us::numeric[], :input_tokens::numeric[],
            :output_tokens::numeric[], :costs::numeric[], :histograms::bytea[])
    AS said (span, period, agent, agent_version, kind, name, status, model, steps, latency_us, input_tokens, output_tokens, cost,
             histogram)
ORDER BY 2, 3, 4, 5, 6, 7, 8, 9
ON CONFLICT (project, span_minutes, period, agent, agent_version, kind, name, status, model) DO UPDATE
SET steps = excluded.steps, latency_us = excluded.latency_us, input_tokens = excluded.input_tokens,
    output_tokens = excluded.output_tokens, cost = excluded.cost, histogram = excluded.histogram;

-- name: sweep_run_totals
-- Totals that count nothing: a name of what was deleted does not stay behind with a zero.
DELETE FROM run_rollup_totals AS totals
USING unnest(:spans::smallint[], :periods::timestamptz[], :agents::text[], :versions::text[], :statuses::text[],
            :failure_types::text[], :failure_codes::text[])
    AS asked (span, period, agent, agent_version, status, failure_type, failure_code)
WHERE totals.project = :project AND totals.span_minutes = asked.span
  AND totals.period = asked.period
  AND (totals.agent, totals.agent_version, totals.status, totals.failure_type, totals.failure_code)
    = (asked.agent, asked.agent_version, asked.status, asked.failure_type, asked.failure_code);

-- name: sweep_step_totals
-- As sweep_run_totals.
DELETE FROM step_rollup_totals AS totals
USING unnest(:spans::smallint[], :periods::timestamptz[], :agents::text[], :versions::text[], :kinds::text[], :names::text[],
            :statuses::text[], :models::text[])
    AS asked (span, period, agent, agent_version, kind, name, status, model)
WHERE totals.project = :project AND totals.span_minutes = asked.span
  AND totals.period = asked.period
  AND (totals.agent, totals.agent_version, totals.kind, totals.name, totals.status, totals.model)
    = (asked.agent, asked.agent_version, asked.kind, asked.name, asked.status, asked.model);

-- name: drain_run_rollups
-- Rollups of the release before become deltas, some minutes at a time: its workers may still add to the table. A row that one of
-- them is writing is left for the next time, since each would wait for the other.
WITH minutes AS (
    SELECT DISTINCT minute FROM run_rollups
    WHERE project = :project
      AND (:since::timestamptz IS NULL OR minute >= :since) AND (:until::timestamptz IS NULL OR minute < :until)
    ORDER BY minute LIMIT :minutes_max
), locked AS (
    SELECT minute, agent, agent_version, status, failure_type, failure_code, latency_bucket
    FROM run_rollups WHERE project = :project AND minute IN (SELECT minute FROM minutes)
    FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM run_rollups AS rollup USING locked
    WHERE rollup.project = :project
      AND (rollup.minute, rollup.agent, rollup.agent_version, rollup.status, rollup.failure_type, rollup.failure_code,
           rollup.latency_bucket)
        = (locked.minute, locked.agent, locked.agent_version, locked.status, locked.failure_type, locked.failure_code,
           locked.latency_bucket)
    RETURNING rollup.*
)
INSERT INTO run_rollup_deltas (
    project, minute, agent, agent_version, status, failure_type, failure_code, runs, latency_us, histogram
)
SELECT :project, minute, agent, agent_version, status, failure_type, failure_code, sum(runs)::bigint, sum(latency_us),
       coalesce(string_agg(int2send(latency_bucket) || int8send(runs), ''::bytea ORDER BY latency_bucket)
                FILTER (WHERE runs <> 0), ''::bytea)
FROM taken GROUP BY 2, 3, 4, 5, 6, 7
HAVING sum(runs) <> 0 OR sum(latency_us) <> 0 OR bool_or(runs <> 0)
ON CONFLICT DO NOTHING;

-- name: drain_step_rollups
-- As drain_run_rollups.
WITH minutes AS (
    SELECT DISTINCT minute FROM step_rollups
    WHERE project = :project
      AND (:since::timestamptz IS NULL OR minute >= :since) AND (:until::timestamptz IS NULL OR minute < :until)
    ORDER BY minute LIMIT :minutes_max
), locked AS (
    SELECT minute, agent, agent_version, kind, name, status, latency_bucket
    FROM step_rollups WHERE project = :project AND minute IN (SELECT minute FROM minutes)
    FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM step_rollups AS rollup USING locked
    WHERE rollup.project = :project
      AND (rollup.minute, rollup.agent, rollup.agent_version, rollup.kind, rollup.name, rollup.status, rollup.latency_bucket)
        = (locked.minute, locked.agent, locked.agent_version, locked.kind, locked.name, locked.status, locked.latency_bucket)
    RETURNING rollup.*
)
INSERT INTO step_rollup_deltas (project, minute, agent, agent_version, kind, name, status, steps, latency_us, histogram)
SELECT :project, minute, agent, agent_version, kind, name, status, sum(steps)::bigint, sum(latency_us),
       coalesce(string_agg(int2send(latency_bucket) || int8send(steps), ''::bytea ORDER BY latency_bucket)
                FILTER (WHERE steps <> 0), ''::bytea)
FROM taken GROUP BY 2, 3, 4, 5, 6, 7
HAVING sum(steps) <> 0 OR sum(latency_us) <> 0 OR bool_or(steps <> 0)
ON CONFLICT DO NOTHING;

-- name: expire_run_totals
-- Totals of a span from before `before`, in which windows are read by longer spans.
DELETE FROM run_rollup_totals
WHERE project = :project AND span_minutes = :span AND period < :before;

-- name: expire_step_totals
-- As expire_run_totals.
DELETE FROM step_rollup_totals
WHERE project = :project AND span_minutes = :span AND period < :before;
