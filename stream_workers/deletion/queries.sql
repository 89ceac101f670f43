-- Deletion, as the schema's owner. $1 is a project, $2 its runs; null runs are all of them.

-- name: say_run
-- Said before anything goes: whoever writes afterwards leaves the run out.
INSERT INTO deletions (project, run_id, expired) SELECT $1, run_id, $3 FROM unnest($2::uuid[]) AS run_id ON CONFLICT DO NOTHING;

-- name: say_project
-- As say_run; the runs' own marks are then superfluous.
INSERT INTO deletions (project, run_id, expired) VALUES ($1, NULL, false) ON CONFLICT DO NOTHING;

-- name: remove_steps
-- With what they added to the rollups. Answers how many.
WITH removed AS (
    DELETE FROM steps WHERE project = $1 AND ($2::uuid[] IS NULL OR run_id = ANY($2))
    RETURNING project, started_at, agent, agent_version, kind, name, status, latency_bucket, duration_us
), sums AS (
    SELECT project, date_trunc('minute', started_at) AS minute, agent, agent_version, kind, name, status, latency_bucket,
           count(*) AS steps, sum(duration_us)::bigint AS latency_us
    FROM removed GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
), taken_back AS (
    UPDATE step_rollups AS rollup
    SET steps = rollup.steps - sums.steps, latency_us = rollup.latency_us - sums.latency_us
    FROM sums
    WHERE (rollup.project, rollup.minute, rollup.agent, rollup.agent_version, rollup.kind, rollup.name, rollup.status,
           rollup.latency_bucket)
        = (sums.project, sums.minute, sums.agent, sums.agent_version, sums.kind, sums.name, sums.status, sums.latency_bucket)
)
SELECT count(*) FROM removed;

-- name: remove_runs
-- With what they added to the rollups. Answers how many.
WITH removed AS (
    DELETE FROM runs WHERE project = $1 AND ($2::uuid[] IS NULL OR run_id = ANY($2))
    RETURNING project, started_at, agent, agent_version, status, coalesce(failure_type, root_failure_type) AS failure_type,
              coalesce(failure_code, root_failure_code) AS failure_code, latency_us
), sums AS (
    SELECT project, date_trunc('minute', started_at) AS minute, agent, agent_version, status,
           coalesce(failure_type, '') AS failure_type, coalesce(failure_code, '') AS failure_code,
           coalesce(latency_bucket(latency_us), -1::smallint) AS latency_bucket,
           count(*) AS runs, sum(coalesce(latency_us, 0))::bigint AS latency_us
    FROM removed GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
), taken_back AS (
    UPDATE run_rollups AS rollup SET runs = rollup.runs - sums.runs, latency_us = rollup.latency_us - sums.latency_us
    FROM sums
    WHERE (rollup.project, rollup.minute, rollup.agent, rollup.agent_version, rollup.status, rollup.failure_type,
           rollup.failure_code, rollup.latency_bucket)
        = (sums.project, sums.minute, sums.agent, sums.agent_version, sums.status, sums.failure_type, sums.failure_code,
           sums.latency_bucket)
)
SELECT count(*) FROM removed;

-- name: remove_failures
-- Answers how many.
WITH removed AS (DELETE FROM failures WHERE project = $1 AND ($2::uuid[] IS NULL OR run_id = ANY($2)) RETURNING 1)
SELECT count(*) FROM removed;

-- name: remove_losses
-- Answers how many.
WITH removed AS (DELETE FROM declared_losses WHERE project = $1 AND ($2::uuid[] IS NULL OR run_id = ANY($2)) RETURNING 1)
SELECT count(*) FROM removed;

-- name: remove_producers
-- Answers how many.
WITH removed AS (DELETE FROM run_producers WHERE project = $1 AND ($2::uuid[] IS NULL OR run_id = ANY($2)) RETURNING 1)
SELECT count(*) FROM removed;

-- name: sweep_run_rollups
-- Rows that count nothing any more.
DELETE FROM run_rollups WHERE project = $1 AND runs = 0 AND latency_us = 0;

-- name: sweep_step_rollups
-- Rows that count nothing any more.
DELETE FROM step_rollups WHERE project = $1 AND steps = 0 AND latency_us = 0;

-- name: set_retention
-- Null days: for ever.
WITH gone AS (DELETE FROM retention WHERE project = $1 AND $2::integer IS NULL)
INSERT INTO retention (project, days) SELECT $1, $2 WHERE $2::integer IS NOT NULL
ON CONFLICT (project) DO UPDATE SET days = excluded.days;

-- name: retention
-- Who keeps what for how long.
SELECT project, days FROM retention ORDER BY project;

-- name: expired_runs
-- Runs whose last event is older than their project keeps.
SELECT run_id FROM runs WHERE project = $1 AND last_event_at < now() - make_interval(days => $2) LIMIT $3;

-- name: forget_expired
-- Marks of expired runs whose events the topic has long deleted: they guard nothing any more.
DELETE FROM deletions WHERE expired AND deleted_at < now() - make_interval(days => $1);

-- name: day_partitions
-- Partitions of steps by day, but for the default one.
SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = to_regclass('steps') AND relname ~ '^steps_\d{8}$' AND right(relname, 8) < to_char(now() - interval '2 days', 'YYYYMMDD')
ORDER BY relname;
