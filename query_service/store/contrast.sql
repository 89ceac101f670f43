-- What runs of two sides have, of samples by the hash of their ids. As in queries.sql, every statement names its project.

-- name: draw_runs
-- Two samples: of the runs that pass the filters, and of the others. Which runs are drawn is known from an index alone (runs_newest,
-- or that of the agent or version), since few of many are; only these are looked at. A side has at most so many runs, and runs until
-- these have so many steps, in the order of the hash.
WITH hashed AS MATERIALIZED (
    SELECT run_id, uuid_hash_extended(run_id, 0) AS place
    FROM runs
    WHERE project = :project AND started_at >= :first::timestamptz AND started_at < :last::timestamptz
      AND (:within_agent::text IS NULL OR agent = :within_agent)
      AND (:within_version::text IS NULL OR agent_version = :within_version)
      AND (:below::bigint IS NULL OR uuid_hash_extended(run_id, 0) < :below)
), drawn AS MATERIALIZED (
    SELECT run.run_id, hashed.place, run.step_count, run.first_event_at, run.last_event_at, (
        true
        -- include: run_columns
        -- include: run_probes
    ) IS TRUE AS selected
    FROM hashed JOIN runs AS run ON run.project = :project AND run.run_id = hashed.run_id
), placed AS (
    SELECT selected, run_id, place, first_event_at, last_event_at, row_number() OVER side AS number,
           sum(step_count) OVER side - step_count AS steps_before, count(*) OVER (PARTITION BY selected) AS found
    FROM drawn
    WINDOW side AS (PARTITION BY selected ORDER BY place, run_id)
)
SELECT selected, found, array_agg(run_id ORDER BY place, run_id) AS run_ids, min(first_event_at) AS first_at,
       max(last_event_at) AS last_at
FROM placed
WHERE number <= :runs_max::bigint AND steps_before < :steps_max::bigint
GROUP BY selected, found;

-- name: count_run_attributes
-- What is said of these runs themselves.
WITH drawn AS MATERIALIZED (
    SELECT run_id, true AS selected FROM unnest(:selection::uuid[]) AS run_id
    UNION ALL
    SELECT run_id, false FROM unnest(:rest::uuid[]) AS run_id
)
SELECT attribute, key, said AS value, count(*) FILTER (WHERE selected) AS selection, count(*) FILTER (WHERE NOT selected) AS rest
FROM drawn JOIN runs_now AS run ON run.project = :project AND run.run_id = drawn.run_id
CROSS JOIN LATERAL (
    VALUES ('agent', NULL, agent), ('agent_version', NULL, agent_version), ('status', NULL, status_now),
           ('end_reason', NULL, coalesce(end_reason, CASE end_status WHEN 'failure' THEN 'error' WHEN 'success' THEN 'completed'
                                                                     WHEN 'partial' THEN 'completed' END)),
           ('root_cause', NULL, root_failure_type || '/' || root_failure_code), ('shape', NULL, shape),
           ('nested', NULL, CASE WHEN parent_run_id IS NOT NULL THEN 'true' END)
    UNION ALL
    SELECT 'metadata', member.key, member.value #>> '{}'
    FROM json_each(run.metadata) AS member WHERE json_typeof(member.value) IN ('string', 'boolean')
) AS has (attribute, key, said)
WHERE said IS NOT NULL
GROUP BY attribute, key, said
HAVING count(*) >= :runs_min::bigint
ORDER BY count(*) DESC
LIMIT :limit::bigint;

-- name: count_failure_attributes
-- What is said of the failures of these runs: each run counts once for each.
WITH drawn AS MATERIALIZED (
    SELECT run_id, true AS selected FROM unnest(:selection::uuid[]) AS run_id
    UNION ALL
    SELECT run_id, false FROM unnest(:rest::uuid[]) AS run_id
), had AS (
    SELECT DISTINCT drawn.run_id, selected, attribute, said
    FROM drawn JOIN failures ON failures.project = :project AND failures.run_id = drawn.run_id
    CROSS JOIN LATERAL (
        VALUES ('failure_code', failure_type || '/' || failure_code), ('failure_outcome', outcome),
               ('failure_fingerprint', fingerprint)
    ) AS has (attribute, said)
    WHERE said IS NOT NULL
)
SELECT attribute, NULL AS key, said AS value, count(*) FILTER (WHERE selected) AS selection,
       count(*) FILTER (WHERE NOT selected) AS rest
FROM had
GROUP BY attribute, said
HAVING count(*) >= :runs_min::bigint
ORDER BY count(*) DESC
LIMIT :limit::bigint;

-- name: count_step_attributes
-- What is said of the steps of these runs: each run counts once for each. Steps that say the same are one, before what they say is
-- taken apart.
WITH drawn AS MATERIALIZED (
    SELECT run_id, true AS selected FROM unnest(:selection::uuid[]) AS run_id
    UNION ALL
    SELECT run_id, false FROM unnest(:rest::uuid[]) AS run_id
), step AS MATERIALIZED (
    SELECT DISTINCT drawn.run_id, selected, kind, name, status, coalesce(model, metadata ->> 'model') AS model,
           metadata ->> 'provider' AS provider, error_class, error_code, http_status, own_agent
    FROM drawn JOIN steps ON steps.project = :project AND steps.run_id = drawn.run_id
    WHERE steps.started_at >= :first_at::timestamptz AND steps.started_at <= :last_at::timestamptz
), had AS (
    SELECT DISTINCT run_id, selected, attribute, said
    FROM step
    CROSS JOIN LATERAL (
        VALUES ('step', kind || '/' || name), ('failed_step', CASE WHEN status = 'error' THEN kind || '/' || name END),
               ('model', model), ('provider', provider), ('error_class', error_class), ('error_code', error_code),
               ('http_status', http_status::text), ('called_agent', own_agent)
    ) AS has (attribute, said)
    WHERE said IS NOT NULL
)
SELECT attribute, NULL AS key, said AS value, count(*) FILTER (WHERE selected) AS selection,
       count(*) FILTER (WHERE NOT selected) AS rest
FROM had
GROUP BY attribute, said
HAVING count(*) >= :runs_min::bigint
ORDER BY count(*) DESC
LIMIT :limit::bigint;

-- name: count_step_metadata
-- Labels and flags that steps of these runs say: each run counts once for each. Models and providers are counted above.
WITH drawn AS MATERIALIZED (
    SELECT run_id, true AS selected FROM unnest(:selection::uuid[]) AS run_id
    UNION ALL
    SELECT run_id, false FROM unnest(:rest::uuid[]) AS run_id
), had AS (
    SELECT DISTINCT drawn.run_id, selected, member.key, member.value #>> '{}' AS said
    FROM drawn JOIN steps ON steps.project = :project AND steps.run_id = drawn.run_id
    CROSS JOIN LATERAL json_each(steps.metadata) AS member
    WHERE steps.started_at >= :first_at::timestamptz AND steps.started_at <= :last_at::timestamptz
      AND json_typeof(member.value) IN ('string', 'boolean') AND member.key NOT IN ('model', 'provider')
)
SELECT 'step_metadata' AS attribute, key, said AS value, count(*) FILTER (WHERE selected) AS selection,
       count(*) FILTER (WHERE NOT selected) AS rest
FROM had
GROUP BY key, said
HAVING count(*) >= :runs_min::bigint
ORDER BY count(*) DESC
LIMIT :limit::bigint;

-- name: count_numbers
-- How many of these runs reach a bound, for bounds that cut all of them together at their percentiles, whatever the side is.
WITH drawn AS MATERIALIZED (
    SELECT run_id, true AS selected FROM unnest(:selection::uuid[]) AS run_id
    UNION ALL
    SELECT run_id, false FROM unnest(:rest::uuid[]) AS run_id
), spent AS MATERIALIZED (
    SELECT steps.run_id, sum(coalesce(input_tokens::bigint, 0) + coalesce(output_tokens, 0))
               FILTER (WHERE input_tokens IS NOT NULL OR output_tokens IS NOT NULL) AS tokens,
           sum(cost_nano) FILTER (WHERE cost_currency = 'USD') / 1e9 AS cost_usd
    FROM drawn JOIN steps ON steps.project = :project AND steps.run_id = drawn.run_id
    WHERE steps.started_at >= :first_at::timestamptz AND steps.started_at <= :last_at::timestamptz
    GROUP BY steps.run_id
), said AS MATERIALIZED (
    SELECT selected, attribute, key, number
    FROM drawn JOIN runs AS run ON run.project = :project AND run.run_id = drawn.run_id
    LEFT JOIN spent ON spent.run_id = drawn.run_id
    CROSS JOIN LATERAL (
        VALUES ('latency_ms', '', latency_us / 1e3), ('steps', '', step_count), ('error_steps', '', error_step_count),
               ('failures', '', failure_count), ('tokens', '', tokens), ('cost_usd', '', cost_usd)
        UNION ALL
        SELECT 'metadata_number', member.key, (member.value #>> '{}')::float8
        FROM json_each(run.metadata) AS member WHERE json_typeof(member.value) = 'number'
    ) AS has (attribute, key, number)
    WHERE number IS NOT NULL
), cuts AS MATERIALIZED (
    SELECT attribute, key, percentile_disc(:quantiles::float8[]) WITHIN GROUP (ORDER BY number::float8) AS bounds,
           min(number::float8) AS least
    FROM said
    GROUP BY attribute, key
    HAVING count(*) >= :runs_min::bigint
    ORDER BY count(*) DESC
    LIMIT :limit::bigint
)
SELECT cut.attribute, nullif(cut.key, '') AS key, bound, count(*) FILTER (WHERE selected) AS selection,
       count(*) FILTER (WHERE NOT selected) AS rest
FROM (SELECT DISTINCT attribute, key, unnest(bounds) AS bound, least FROM cuts) AS cut
JOIN said ON said.attribute = cut.attribute AND said.key = cut.key AND said.number >= cut.bound
WHERE cut.bound > cut.least OR cut.key <> ''
GROUP BY cut.attribute, cut.key, bound
ORDER BY cut.attribute, cut.key, bound;

-- name: cohort_runs
-- These runs one by one, as they stand now, with their first failures.
SELECT status_now AS status,
       coalesce(failure_type, root_failure_type, CASE WHEN status_now = 'abandoned' THEN 'orchestration' END, '') AS failure_type,
       coalesce(failure_code, root_failure_code, CASE WHEN status_now = 'abandoned' THEN 'abandoned' END, '') AS failure_code,
       latency_us, step_count
FROM runs_now
WHERE project = :project AND run_id = ANY(:run_ids::uuid[]);

-- name: cohort_steps
-- The steps of these runs, counted as statistics count them.
SELECT kind, name, status, latency_bucket, count(*) AS steps, coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
       coalesce(sum(output_tokens), 0)::bigint AS output_tokens,
       coalesce(sum(cost_nano) FILTER (WHERE cost_currency = 'USD'), 0)::bigint AS cost
FROM steps
WHERE project = :project AND run_id = ANY(:run_ids::uuid[]) AND started_at >= :first_at::timestamptz AND started_at <= :last_at::timestamptz
GROUP BY kind, name, status, latency_bucket;

-- name: cohort_tokens
-- The sum of the tokens of these runs, and that of their squares.
SELECT coalesce(sum(tokens), 0) AS total, coalesce(sum(tokens * tokens), 0) AS squares
FROM (
    SELECT sum(coalesce(input_tokens::bigint, 0) + coalesce(output_tokens, 0)) AS tokens
    FROM steps
    WHERE project = :project AND run_id = ANY(:run_ids::uuid[])
      AND started_at >= :first_at::timestamptz AND started_at <= :last_at::timestamptz
    GROUP BY run_id
) AS run;
