-- How a rebuild adds up statistics: from the shadow's detail, and from what the live store counts of detail that has expired.
-- `live.` and `shadow.` stand for the two schemas' names.

-- name: make_renamed
-- Names that totals of a day are too many of, for the transaction that adds up.
CREATE TEMPORARY TABLE renamed (
    project text COLLATE "C", day timestamptz, dimension text COLLATE "C", name text COLLATE "C",
    PRIMARY KEY (project, day, dimension, name)
) ON COMMIT DROP;

-- name: forget_renamed
-- What is renamed of one kind of statistics is not of the other.
DELETE FROM renamed;

-- name: gather_runs
-- The shadow's detail by minute, key and bucket: the totals of every span are added up from these.
CREATE TEMPORARY TABLE gathered_runs ON COMMIT DROP AS
SELECT project, date_trunc('minute', started_at, 'UTC') AS minute, agent, agent_version, status,
       coalesce(failure_type, root_failure_type, '') AS failure_type,
       coalesce(failure_code, root_failure_code, '') AS failure_code,
       coalesce(shadow.latency_bucket(latency_us), -1::smallint) AS bucket, count(*) AS n,
       sum(coalesce(latency_us, 0)) AS latency_us
FROM shadow.runs GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

-- name: gather_kept_runs
-- The live store's detail of days of which some has expired: what its statistics count besides is of what expired.
CREATE TEMPORARY TABLE kept_runs ON COMMIT DROP AS
SELECT project, date_trunc('minute', started_at, 'UTC') AS minute, agent, agent_version, status,
       coalesce(failure_type, root_failure_type, '') AS failure_type,
       coalesce(failure_code, root_failure_code, '') AS failure_code,
       coalesce(live.latency_bucket(latency_us), -1::smallint) AS bucket, count(*) AS n,
       sum(coalesce(latency_us, 0)) AS latency_us
FROM live.runs JOIN live.detail_horizons USING (project)
WHERE started_at < date_trunc('day', before, 'UTC') + interval '1 day'
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

-- name: add_up_runs
-- Totals of :span minutes from :oldest (null: all): of the shadow, and of what expired. Entries without a bucket hold figures,
-- the others a count by bucket.
WITH expired AS (
    SELECT project, period, agent, agent_version, status, failure_type, failure_code, runs AS n, latency_us, histogram
    FROM live.run_rollup_totals JOIN live.detail_horizons USING (project)
    WHERE span_minutes = :span AND period < before
    UNION ALL
    SELECT project, date_bin(make_interval(mins => :span), minute, 'epoch'), agent, agent_version, status, failure_type,
           failure_code, runs, latency_us, histogram
    FROM live.run_rollup_deltas JOIN live.detail_horizons USING (project)
    WHERE date_bin(make_interval(mins => :span), minute, 'epoch') < before
    UNION ALL
    SELECT project, date_bin(make_interval(mins => :span), minute, 'epoch'), agent, agent_version, status, failure_type,
           failure_code, runs, latency_us, int2send(latency_bucket) || int8send(runs)
    FROM live.run_rollups JOIN live.detail_horizons USING (project)
    WHERE date_bin(make_interval(mins => :span), minute, 'epoch') < before
), entries AS (
    SELECT project, date_bin(make_interval(mins => :span), minute, 'epoch') AS period, agent, agent_version, status,
           failure_type, failure_code, bucket, sum(n) AS n, 0 AS latency_us
    FROM gathered_runs GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    UNION ALL
    SELECT project, date_bin(make_interval(mins => :span), minute, 'epoch'), agent, agent_version, status, failure_type,
           failure_code, NULL, sum(n), sum(latency_us)
    FROM gathered_runs GROUP BY 1, 2, 3, 4, 5, 6, 7
    UNION ALL
    SELECT project, period, agent, agent_version, status, failure_type, failure_code, NULL, n, latency_us FROM expired
    UNION ALL
    SELECT project, period, agent, agent_version, status, failure_type, failure_code,
           substr(histogram, entry * 10 + 1, 2)::smallint, substr(histogram, entry * 10 + 3, 8)::bigint, 0
    FROM expired CROSS JOIN generate_series(0, length(histogram) / 10 - 1) AS entry
    UNION ALL
    SELECT project, date_bin(make_interval(mins => :span), minute, 'epoch'), agent, agent_version, status, failure_type,
           failure_code, bucket, -n, 0
    FROM kept_runs JOIN live.detail_horizons USING (project)
    WHERE date_bin(make_interval(mins => :span), minute, 'epoch') < before
    UNION ALL
    SELECT project, date_bin(make_interval(mins => :span), minute, 'epoch'), agent, agent_version, status, failure_type,
           failure_code, NULL, -n, -latency_us
    FROM kept_runs JOIN live.detail_horizons USING (project)
    WHERE date_bin(make_interval(mins => :span), minute, 'epoch') < before
), sums AS (
    SELECT project, period, agent, agent_version, status, failure_type, failure_code, bucket, sum(n)::bigint AS n,
           sum(latency_us) AS latency_us
    FROM entries WHERE :oldest::timestamptz IS NULL OR period >= :oldest
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
)
INSERT INTO shadow.run_rollup_totals (
    project, span_minutes, period, agent, agent_version, status, failure_type, failure_code, runs, latency_us, histogram
)
SELECT project, :span, period, agent, agent_version, status, failure_type, failure_code,
       coalesce(sum(n) FILTER (WHERE bucket IS NULL), 0)::bigint, sum(latency_us),
       coalesce(string_agg(int2send(bucket) || int8send(n), ''::bytea ORDER BY bucket)
                FILTER (WHERE bucket IS NOT NULL AND n <> 0), ''::bytea)
FROM sums GROUP BY project, period, agent, agent_version, status, failure_type, failure_code
HAVING bool_or(n <> 0 OR latency_us <> 0)
ON CONFLICT DO NOTHING;

-- name: choose_run_names
-- Names that are too many for their day, beyond the :names_max that the live totals have or that count most.
WITH named AS (
    SELECT project, period, dimension, named.name, sum(runs) AS n
    FROM shadow.run_rollup_totals AS totals
    CROSS JOIN LATERAL (
        VALUES ('agent', totals.agent), ('agent_version', totals.agent_version), ('failure_code', totals.failure_code)
    ) AS named (dimension, name)
    WHERE span_minutes = 1440 AND named.name NOT IN ('', '__other__') GROUP BY 1, 2, 3, 4
), crowded AS (
    SELECT project, period, dimension FROM named GROUP BY 1, 2, 3 HAVING count(*) > :names_max
), known AS (
    SELECT DISTINCT totals.project, totals.period, crowded.dimension, named.name
    FROM live.run_rollup_totals AS totals
    CROSS JOIN LATERAL (
        VALUES ('agent', totals.agent), ('agent_version', totals.agent_version), ('failure_code', totals.failure_code)
    ) AS named (dimension, name)
    JOIN crowded ON (crowded.project, crowded.period, crowded.dimension) = (totals.project, totals.period, named.dimension)
    WHERE span_minutes = 1440
), ranked AS (
    SELECT named.*, known.name IS NOT NULL AS is_known,
           row_number() OVER (PARTITION BY project, period, dimension ORDER BY known.name IS NULL, n DESC, named.name) AS place
    FROM named JOIN crowded USING (project, period, dimension) LEFT JOIN known USING (project, period, dimension, name)
)
INSERT INTO renamed (project, day, dimension, name)
SELECT project, period, dimension, name FROM ranked WHERE NOT is_known AND place > :names_max
ON CONFLICT DO NOTHING;

-- name: rename_runs
-- Totals of those names become totals of `__other__`, in every span. Histograms, one behind the other, add up.
WITH changed AS (
    DELETE FROM shadow.run_rollup_totals AS totals USING renamed
    WHERE renamed.project = totals.project AND day = date_trunc('day', totals.period, 'UTC')
      AND (dimension, renamed.name) IN (
          ('agent', totals.agent), ('agent_version', totals.agent_version), ('failure_code', totals.failure_code))
    RETURNING totals.*
), others AS (
    SELECT changed.project, span_minutes, period,
           CASE WHEN agent_renamed.name IS NULL THEN changed.agent ELSE '__other__' END AS agent,
           CASE WHEN agent_version_renamed.name IS NULL THEN changed.agent_version ELSE '__other__' END AS agent_version,
           changed.status, changed.failure_type,
           CASE WHEN failure_code_renamed.name IS NULL THEN changed.failure_code ELSE '__other__' END AS failure_code,
           runs, latency_us, histogram
    FROM changed
    LEFT JOIN renamed AS agent_renamed
      ON agent_renamed.project = changed.project AND agent_renamed.day = date_trunc('day', period, 'UTC')
     AND agent_renamed.dimension = 'agent' AND agent_renamed.name = changed.agent
    LEFT JOIN renamed AS agent_version_renamed
      ON agent_version_renamed.project = changed.project AND agent_version_renamed.day = date_trunc('day', period, 'UTC')
     AND agent_version_renamed.dimension = 'agent_version' AND agent_version_renamed.name = changed.agent_version
    LEFT JOIN renamed AS failure_code_renamed
      ON failure_code_renamed.project = changed.project AND failure_code_renamed.day = date_trunc('day', period, 'UTC')
     AND failure_code_renamed.dimension = 'failure_code' AND failure_code_renamed.name = changed.failure_code
)
INSERT INTO shadow.run_rollup_totals AS totals (
    project, span_minutes, period, agent, agent_version, status, failure_type, failure_code, runs, latency_us, histogram
)
SELECT project, span_minutes, period, agent, agent_version, status, failure_type, failure_code, sum(runs)::bigint,
       sum(latency_us), string_agg(histogram, ''::bytea)
FROM others GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ON CONFLICT (project, span_minutes, period, agent, agent_version, status, failure_type, failure_code) DO UPDATE
SET runs = totals.runs + excluded.runs, latency_us = totals.latency_us + excluded.latency_us,
    histogram = totals.histogram || excluded.histogram;

-- name: gather_steps
-- As gather_runs.
CREATE TEMPORARY TABLE gathered_steps ON COMMIT DROP AS
SELECT project, date_trunc('minute', started_at + coalesce(shift_us, 0) * interval '1 microsecond', 'UTC') AS minute, agent,
       agent_version, kind, name, status, coalesce(model, '') AS model, latency_bucket AS bucket, count(*) AS n,
       sum(duration_us) AS latency_us,
       sum(coalesce(input_tokens, 0)) AS input_tokens, sum(coalesce(output_tokens, 0)) AS output_tokens,
       sum(CASE cost_currency WHEN 'USD' THEN cost_nano ELSE 0 END) AS cost
FROM shadow.steps
LEFT JOIN (SELECT project, run_id, time_shift_us AS shift_us FROM shadow.runs WHERE time_shift_us <> 0) AS shifted
USING (project, run_id)
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;

-- name: gather_kept_steps
-- As gather_kept_runs.
CREATE TEMPORARY TABLE kept_steps ON COMMIT DROP AS
SELECT project, date_trunc('minute', started_at + coalesce(shift_us, 0) * interval '1 microsecond', 'UTC') AS minute, agent,
       agent_version, kind, name, status, coalesce(model, '') AS model, latency_bucket AS bucket, count(*) AS n,
       sum(duration_us) AS latency_us,
       sum(coalesce(input_tokens, 0)) AS input_tokens, sum(coalesce(output_tokens, 0)) AS output_tokens,
       sum(CASE cost_currency WHEN 'USD' THEN cost_nano ELSE 0 END) AS cost
FROM live.steps JOIN live.detail_horizons USING (project)
LEFT JOIN (SELECT project, run_id, time_shift_us AS shift_us FROM live.runs WHERE time_shift_us <> 0) AS shifted
USING (project, run_id)
WHERE started_at + coalesce(shift_us, 0) * interval '1 microsecond' < date_trunc('day', before, 'UTC') + interval '1 day'
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;

-- name: add_up_steps
-- As add_up_runs.
WITH expired AS (
    SELECT project, period, agent, agent_version, kind, name, status, model, steps AS n, latency_us, input_tokens,
           output_tokens, cost, histogram
    FROM live.step_rollup_totals JOIN live.detail_horizons USING (project)
    WHERE span_minutes = :span AND period < before
    UNION ALL
    SELECT project, date_bin(make_interval(mins => :span), minute, 'epoch'), agent, agent_version, kind, name, status, model,
           steps, latency_us, input_tokens, output_tokens, cost, histogram
    FROM live.step_rollup_deltas JOIN live.detail_horizons USING (project)
    WHERE date_bin(make_interval(mins => :span), minute, 'epoch') < before
    UNION ALL
    SELECT project, date_bin(make_interval(mins => :span), minute, 'epoch'), agent, agent_version, kind, name, status, '',
           steps, latency_us, 0, 0, 0, int2send(latency_bucket) || int8send(steps)
    FROM live.step_rollups JOIN live.detail_horizons USING (project)
    WHERE date_bin(make_interval(mins => :span), minute, 'epoch') < before
), entries AS (
    SELECT project, date_bin(make_interval(mins => :span), minute, 'epoch') AS period, agent, agent_version, kind, name,
           status, model, bucket, sum(n) AS n, 0 AS latency_us, 0 AS input_tokens, 0 AS output_tokens, 0 AS cost
    FROM gathered_steps GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    UNION ALL
    SELECT project, date_bin(make_interval(mins => :span), minute, 'epoch'), agent, agent_version, kind, name, status, model,
           NULL, sum(n), sum(latency_us), sum(input_tokens), sum(output_tokens), sum(cost)
    FROM gathered_steps GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    UNION ALL
    SELECT project, period, agent, agent_version, kind, name, status, model, NULL, n, latency_us, input_tokens, output_tokens,
           cost
    FROM expired
    UNION ALL
    SELECT project, period, agent, agent_version, kind, name, status, model, substr(histogram, entry * 10 + 1, 2)::smallint,
           substr(histogram, entry * 10 + 3, 8)::bigint, 0, 0, 0, 0
    FROM expired CROSS JOIN generate_series(0, length(histogram) / 10 - 1) AS entry
    UNION ALL
    SELECT project, date_bin(make_interval(mins => :span), minute, 'epoch'), agent, agent_version, kind, name, status, model,
           bucket, -n, 0, 0, 0, 0
    FROM kept_steps JOIN live.detail_horizons USING (project)
    WHERE date_bin(make_interval(mins => :span), minute, 'epoch') < before
    UNION ALL
    SELECT project, date_bin(make_interval(mins => :span), minute, 'epoch'), agent, agent_version, kind, name, status, model,
           NULL, -n, -latency_us, -input_tokens, -output_tokens, -cost
    FROM kept_steps JOIN live.detail_horizons USING (project)
    WHERE date_bin(make_interval(mins => :span), minute, 'epoch') < before
), sums AS (
    SELECT project, period, agent, agent_version, kind, name, status, model, bucket, sum(n)::bigint AS n,
           sum(latency_us) AS latency_us, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, sum(cost) AS cost
    FROM entries WHERE :oldest::timestamptz IS NULL OR period >= :oldest
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
)
INSERT INTO shadow.step_rollup_totals (
    project, span_minutes, period, agent, agent_version, kind, name, status, model, steps, latency_us, input_tokens,
    output_tokens, cost, histogram
)
SELECT project, :span, period, agent, agent_version, kind, name, status, model,
       coalesce(sum(n) FILTER (WHERE bucket IS NULL), 0)::bigint, sum(latency_us), sum(input_tokens), sum(output_tokens),
       sum(cost),
       coalesce(string_agg(int2send(bucket) || int8send(n), ''::bytea ORDER BY bucket)
                FILTER (WHERE bucket IS NOT NULL AND n <> 0), ''::bytea)
FROM sums GROUP BY project, period, agent, agent_version, kind, name, status, model
HAVING bool_or(n <> 0 OR latency_us <> 0 OR input_tokens <> 0 OR output_tokens <> 0 OR cost <> 0)
ON CONFLICT DO NOTHING;

-- name: choose_step_names
-- As choose_run_names.
WITH named AS (
    SELECT project, period, dimension, named.name, sum(steps) AS n
    FROM shadow.step_rollup_totals AS totals
    CROSS JOIN LATERAL (
        VALUES ('agent', totals.agent), ('agent_version', totals.agent_version), ('name', totals.name), ('model', totals.model)
    ) AS named (dimension, name)
    WHERE span_minutes = 1440 AND named.name NOT IN ('', '__other__') GROUP BY 1, 2, 3, 4
), crowded AS (
    SELECT project, period, dimension FROM named GROUP BY 1, 2, 3 HAVING count(*) > :names_max
), known AS (
    SELECT DISTINCT totals.project, totals.period, crowded.dimension, named.name
    FROM live.step_rollup_totals AS totals
    CROSS JOIN LATERAL (
        VALUES ('agent', totals.agent), ('agent_version', totals.agent_version), ('name', totals.name), ('model', totals.model)
    ) AS named (dimension, name)
    JOIN crowded ON (crowded.project, crowded.period, crowded.dimension) = (totals.project, totals.period, named.dimension)
    WHERE span_minutes = 1440
), ranked AS (
    SELECT named.*, known.name IS NOT NULL AS is_known,
           row_number() OVER (PARTITION BY project, period, dimension ORDER BY known.name IS NULL, n DESC, named.name) AS place
    FROM named JOIN crowded USING (project, period, dimension) LEFT JOIN known USING (project, period, dimension, name)
)
INSERT INTO renamed (project, day, dimension, name)
SELECT project, period, dimension, name FROM ranked WHERE NOT is_known AND place > :names_max
ON CONFLICT DO NOTHING;

-- name: rename_steps
-- As rename_runs.
WITH changed AS (
    DELETE FROM shadow.step_rollup_totals AS totals USING renamed
    WHERE renamed.project = totals.project AND day = date_trunc('day', totals.period, 'UTC')
      AND (dimension, renamed.name) IN (
          ('agent', totals.agent), ('agent_version', totals.agent_version), ('name', totals.name), ('model', totals.model))
    RETURNING totals.*
), others AS (
    SELECT changed.project, span_minutes, period,
           CASE WHEN agent_renamed.name IS NULL THEN changed.agent ELSE '__other__' END AS agent,
           CASE WHEN agent_version_renamed.name IS NULL THEN changed.agent_version ELSE '__other__' END AS agent_version,
           changed.kind,
           CASE WHEN name_renamed.name IS NULL THEN changed.name ELSE '__other__' END AS name,
           changed.status,
           CASE WHEN model_renamed.name IS NULL THEN changed.model ELSE '__other__' END AS model,
           steps, latency_us, input_tokens, output_tokens, cost, histogram
    FROM changed
    LEFT JOIN renamed AS agent_renamed
      ON agent_renamed.project = changed.project AND agent_renamed.day = date_trunc('day', period, 'UTC')
     AND agent_renamed.dimension = 'agent' AND agent_renamed.name = changed.agent
    LEFT JOIN renamed AS agent_version_renamed
      ON agent_version_renamed.project = changed.project AND agent_version_renamed.day = date_trunc('day', period, 'UTC')
     AND agent_version_renamed.dimension = 'agent_version' AND agent_version_renamed.name = changed.agent_version
    LEFT JOIN renamed AS name_renamed
      ON name_renamed.project = changed.project AND name_renamed.day = date_trunc('day', period, 'UTC')
     AND name_renamed.dimension = 'name' AND name_renamed.name = changed.name
    LEFT JOIN renamed AS model_renamed
      ON model_renamed.project = changed.project AND model_renamed.day = date_trunc('day', period, 'UTC')
     AND model_renamed.dimension = 'model' AND model_renamed.name = changed.model
)
INSERT INTO shadow.step_rollup_totals AS totals (
    project, span_minutes, period, agent, agent_version, kind, name, status, model, steps, latency_us, input_tokens,
    output_tokens, cost, histogram
)
SELECT project, span_minutes, period, agent, agent_version, kind, name, status, model, sum(steps)::bigint, sum(latency_us),
       sum(input_tokens), sum(output_tokens), sum(cost), string_agg(histogram, ''::bytea)
FROM others GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
ON CONFLICT (project, span_minutes, period, agent, agent_version, kind, name, status, model) DO UPDATE
SET steps = totals.steps + excluded.steps, latency_us = totals.latency_us + excluded.latency_us,
    input_tokens = totals.input_tokens + excluded.input_tokens,
    output_tokens = totals.output_tokens + excluded.output_tokens, cost = totals.cost + excluded.cost,
    histogram = totals.histogram || excluded.histogram;
