-- Statistics held against the detail. All of it in the caller's read-only snapshot, as the schema's owner, project by project.

-- name: projects
-- Every project, and the first day that is compared: of the days before, detail may have expired (null: none has).
SELECT project, date_trunc('day', before, 'UTC') + interval '1 day' AS since
FROM (
    SELECT project FROM runs UNION SELECT project FROM steps
    UNION SELECT project FROM run_rollup_totals UNION SELECT project FROM step_rollup_totals
    UNION SELECT project FROM run_rollup_deltas UNION SELECT project FROM step_rollup_deltas
    UNION SELECT project FROM run_rollups UNION SELECT project FROM step_rollups
) AS found LEFT JOIN detail_horizons USING (project) ORDER BY project;

-- name: wrong_run_rollups
-- How many days and keys have statistics that are not what GROUP BY over the runs gives: count, latency, and count by bucket must
-- come to nothing where statistics are subtracted. Where a day has too many names of one kind, only sums over all of them are
-- compared. The runs themselves are compared with the fold.
WITH detail AS (
    SELECT date_trunc('day', started_at, 'UTC') AS day, agent, agent_version, status,
           coalesce(failure_type, root_failure_type, '') AS failure_type,
           coalesce(failure_code, root_failure_code, '') AS failure_code,
           coalesce(latency_bucket(latency_us), -1::smallint) AS bucket, coalesce(latency_us, 0) AS latency_us
    FROM runs WHERE project = :project AND (:since::timestamptz IS NULL OR started_at >= :since)
), capped AS (
    SELECT period AS day,
           bool_or(agent = '__other__') AS agent_capped,
           bool_or(agent_version = '__other__') AS agent_version_capped,
           bool_or(failure_code = '__other__') AS failure_code_capped
    FROM run_rollup_totals
    WHERE project = :project AND span_minutes = 1440 AND (:since::timestamptz IS NULL OR period >= :since)
      AND '__other__' IN (agent, agent_version, failure_code)
    GROUP BY 1
), statistics AS (
    SELECT period AS day, agent, agent_version, status, failure_type, failure_code, runs, latency_us, histogram
    FROM run_rollup_totals
    WHERE project = :project AND span_minutes = 1440 AND (:since::timestamptz IS NULL OR period >= :since)
    UNION ALL
    SELECT date_trunc('day', minute, 'UTC'), agent, agent_version, status, failure_type, failure_code, runs, latency_us, histogram
    FROM run_rollup_deltas WHERE project = :project AND (:since::timestamptz IS NULL OR minute >= :since)
    UNION ALL
    SELECT date_trunc('day', minute, 'UTC'), agent, agent_version, status, failure_type, failure_code, runs, latency_us,
           int2send(latency_bucket) || int8send(runs)
    FROM run_rollups WHERE project = :project AND (:since::timestamptz IS NULL OR minute >= :since)
), signed AS (
    SELECT day, agent, agent_version, status, failure_type, failure_code, bucket, count(*) AS runs,
           CASE WHEN grouping(bucket) = 1 THEN sum(latency_us) ELSE 0 END AS latency_us
    FROM detail GROUP BY GROUPING SETS (
        (day, agent, agent_version, status, failure_type, failure_code),
        (day, agent, agent_version, status, failure_type, failure_code, bucket))
    UNION ALL
    SELECT day, agent, agent_version, status, failure_type, failure_code, NULL, -runs, -latency_us FROM statistics
    UNION ALL
    SELECT day, agent, agent_version, status, failure_type, failure_code, substr(histogram, entry * 10 + 1, 2)::smallint,
           -(substr(histogram, entry * 10 + 3, 8)::bigint), 0
    FROM statistics CROSS JOIN generate_series(0, length(histogram) / 10 - 1) AS entry
), wrong AS (
    SELECT day, agent, agent_version, status, failure_type, failure_code
    FROM (
        SELECT day, CASE WHEN agent_capped THEN '' ELSE agent END AS agent,
               CASE WHEN agent_version_capped THEN '' ELSE agent_version END AS agent_version, status, failure_type,
               CASE WHEN failure_code_capped THEN '' ELSE failure_code END AS failure_code, bucket, runs, latency_us
        FROM signed LEFT JOIN capped USING (day)
    ) AS renamed
    GROUP BY day, agent, agent_version, status, failure_type, failure_code, bucket HAVING sum(runs) <> 0 OR sum(latency_us) <> 0
)
SELECT count(*) FROM (SELECT DISTINCT * FROM wrong) AS keys;

-- name: uneven_run_rollups
-- How many days and keys have totals of :span minutes that do not add up to those of the day. :since is a day.
SELECT count(*) FROM (
    SELECT 1
    FROM run_rollup_totals
    WHERE project = :project AND span_minutes IN (1440, :span) AND period >= :since
    GROUP BY date_trunc('day', period, 'UTC'), agent, agent_version, status, failure_type, failure_code
    HAVING sum(CASE span_minutes WHEN 1440 THEN runs ELSE -runs END) <> 0
        OR sum(CASE span_minutes WHEN 1440 THEN latency_us ELSE -latency_us END) <> 0
) AS uneven;

-- name: wrong_step_rollups
-- As wrong_run_rollups, over the steps, with tokens and cost.
WITH detail AS (
    SELECT date_trunc('day', started_at + coalesce(shift_us, 0) * interval '1 microsecond', 'UTC') AS day, agent, agent_version,
           kind, name, status, coalesce(model, '') AS model, latency_bucket AS bucket, duration_us AS latency_us,
           coalesce(input_tokens, 0) AS input_tokens, coalesce(output_tokens, 0) AS output_tokens,
           CASE cost_currency WHEN 'USD' THEN cost_nano ELSE 0 END AS cost
    FROM steps
    LEFT JOIN (
        SELECT run_id, time_shift_us AS shift_us FROM runs WHERE project = :project AND time_shift_us <> 0
    ) AS shifted USING (run_id)
    WHERE steps.project = :project
      AND (:since::timestamptz IS NULL OR started_at + coalesce(shift_us, 0) * interval '1 microsecond' >= :since)
), capped AS (
    SELECT period AS day,
           bool_or(agent = '__other__') AS agent_capped,
           bool_or(agent_version = '__other__') AS agent_version_capped,
           bool_or(name = '__other__') AS name_capped,
           bool_or(model = '__other__') AS model_capped
    FROM step_rollup_totals
    WHERE project = :project AND span_minutes = 1440 AND (:since::timestamptz IS NULL OR period >= :since)
      AND '__other__' IN (agent, agent_version, name, model)
    GROUP BY 1
), statistics AS (
    SELECT period AS day, agent, agent_version, kind, name, status, model, steps, latency_us, input_tokens, output_tokens, cost,
           histogram
    FROM step_rollup_totals
    WHERE project = :project AND span_minutes = 1440 AND (:since::timestamptz IS NULL OR period >= :since)
    UNION ALL
    SELECT date_trunc('day', minute, 'UTC'), agent, agent_version, kind, name, status, model, steps, latency_us, input_tokens,
           output_tokens, cost, histogram
    FROM step_rollup_deltas WHERE project = :project AND (:since::timestamptz IS NULL OR minute >= :since)
    UNION ALL
    SELECT date_trunc('day', minute, 'UTC'), agent, agent_version, kind, name, status, '', steps, latency_us, 0, 0, 0,
           int2send(latency_bucket) || int8send(steps)
    FROM step_rollups WHERE project = :project AND (:since::timestamptz IS NULL OR minute >= :since)
), signed AS (
    SELECT day, agent, agent_version, kind, name, status, model, bucket, count(*) AS steps,
           CASE WHEN grouping(bucket) = 1 THEN sum(latency_us) ELSE 0 END AS latency_us,
           CASE WHEN grouping(bucket) = 1 THEN sum(input_tokens) ELSE 0 END AS input_tokens,
           CASE WHEN grouping(bucket) = 1 THEN sum(output_tokens) ELSE 0 END AS output_tokens,
           CASE WHEN grouping(bucket) = 1 THEN sum(cost) ELSE 0 END AS cost
    FROM detail GROUP BY GROUPING SETS (
        (day, agent, agent_version, kind, name, status, model),
        (day, agent, agent_version, kind, name, status, model, bucket))
    UNION ALL
    SELECT day, agent, agent_version, kind, name, status, model, NULL, -steps, -latency_us, -input_tokens, -output_tokens,
           -cost
    FROM statistics
    UNION ALL
    SELECT day, agent, agent_version, kind, name, status, model, substr(histogram, entry * 10 + 1, 2)::smallint,
           -(substr(histogram, entry * 10 + 3, 8)::bigint), 0, 0, 0, 0
    FROM statistics CROSS JOIN generate_series(0, length(histogram) / 10 - 1) AS entry
), wrong AS (
    SELECT day, agent, agent_version, kind, name, status, model
    FROM (
        SELECT day, CASE WHEN agent_capped THEN '' ELSE agent END AS agent,
               CASE WHEN agent_version_capped THEN '' ELSE agent_version END AS agent_version, kind,
               CASE WHEN name_capped THEN '' ELSE name END AS name, status,
               CASE WHEN model_capped THEN '' ELSE model END AS model, bucket, steps, latency_us, input_tokens,
               output_tokens, cost
        FROM signed LEFT JOIN capped USING (day)
    ) AS renamed
    GROUP BY day, agent, agent_version, kind, name, status, model, bucket
    HAVING sum(steps) <> 0 OR sum(latency_us) <> 0 OR sum(input_tokens) <> 0 OR sum(output_tokens) <> 0 OR sum(cost) <> 0
)
SELECT count(*) FROM (SELECT DISTINCT * FROM wrong) AS keys;

-- name: uneven_step_rollups
-- As uneven_run_rollups.
SELECT count(*) FROM (
    SELECT 1
    FROM step_rollup_totals
    WHERE project = :project AND span_minutes IN (1440, :span) AND period >= :since
    GROUP BY date_trunc('day', period, 'UTC'), agent, agent_version, kind, name, status, model
    HAVING sum(CASE span_minutes WHEN 1440 THEN steps ELSE -steps END) <> 0
        OR sum(CASE span_minutes WHEN 1440 THEN latency_us ELSE -latency_us END) <> 0
        OR sum(CASE span_minutes WHEN 1440 THEN input_tokens ELSE -input_tokens END) <> 0
        OR sum(CASE span_minutes WHEN 1440 THEN output_tokens ELSE -output_tokens END) <> 0
        OR sum(CASE span_minutes WHEN 1440 THEN cost ELSE -cost END) <> 0
) AS uneven;
