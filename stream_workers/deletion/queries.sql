-- Deletion, as the schema's owner. What goes is listed in gone_runs first; every statement below takes its runs from there.
-- $1 and $2 of a removal bound the time in which the runs' rows lie, so that only those days' partitions are looked at; null: any.

-- name: make_gone_runs
-- Once a connection.
CREATE TEMPORARY TABLE gone_runs (project text COLLATE "C", run_id uuid, PRIMARY KEY (project, run_id)) ON COMMIT DELETE ROWS;

-- name: gone_run
-- One run, whether there is anything of it or not.
INSERT INTO gone_runs VALUES ($1, $2);

-- name: gone_project
-- Every run of which any table has a row.
INSERT INTO gone_runs
SELECT $1, run_id FROM (
    SELECT run_id FROM runs WHERE project = $1
    UNION SELECT run_id FROM steps WHERE project = $1
    UNION SELECT run_id FROM failures WHERE project = $1
    UNION SELECT run_id FROM declared_losses WHERE project = $1
    UNION SELECT run_id FROM run_producers WHERE project = $1
) AS found
ON CONFLICT DO NOTHING;

-- name: gone_on_day
-- Runs that touch the day [$1, $2) and whose last event is older than their project keeps.
INSERT INTO gone_runs
SELECT project, run_id FROM runs JOIN retention USING (project)
WHERE first_event_at < $2 AND last_event_at >= $1 AND last_event_at < now() - make_interval(days => days);

-- name: gone_expired
-- Runs of a project whose time is over for a whole day already, but for those that touch $3: nobody else frees their days.
INSERT INTO gone_runs
SELECT project, run_id FROM runs
WHERE project = $1 AND last_event_at < date_trunc('day', now() - make_interval(days => $2)) - interval '1 day'
  AND NOT tstzrange(first_event_at, last_event_at, '[]') && $3::tstzmultirange
LIMIT $4;

-- name: count_gone
-- How many go, by project.
SELECT project, count(*) AS runs FROM gone_runs GROUP BY project ORDER BY project;

-- name: span_of_gone
-- When the rows of what goes begin, and when they are over. Nulls where there is no run.
SELECT min(first_event_at) AS low, max(last_event_at) + interval '1 microsecond' AS high
FROM gone_runs JOIN runs USING (project, run_id);

-- name: others_on_day
-- Whether a run that stays has a step on the day [$1, $2). A run's span holds all its steps; each is asked by the key.
SELECT EXISTS (
    SELECT FROM runs
    CROSS JOIN LATERAL (
        SELECT FROM steps
        WHERE steps.project = runs.project AND steps.run_id = runs.run_id AND started_at >= $1 AND started_at < $2
        LIMIT 1
    ) AS step
    WHERE first_event_at < $2 AND last_event_at >= $1
      AND NOT EXISTS (SELECT FROM gone_runs WHERE (gone_runs.project, gone_runs.run_id) = (runs.project, runs.run_id))
);

-- name: say_runs
-- Said before anything goes: whoever writes afterwards leaves the run out. What was asked for outlives what expired.
INSERT INTO deletions (project, run_id, expired) SELECT project, run_id, $1 FROM gone_runs
ON CONFLICT (project, run_id) DO UPDATE SET expired = false WHERE deletions.expired AND NOT excluded.expired;

-- name: say_project
-- As say_runs; the runs' own marks are then superfluous.
INSERT INTO deletions (project, run_id, expired) VALUES ($1, NULL, false) ON CONFLICT DO NOTHING;

-- name: revoke_keys
-- A project that is no more opens no door. Answers how many keys could still have.
WITH revoked AS (UPDATE api_keys SET revoked_at = now() WHERE project = $1 AND revoked_at IS NULL RETURNING expires_at)
SELECT count(*) FROM revoked WHERE expires_at IS NULL OR expires_at > now();

-- name: remove_steps
-- With what they added to the rollups. Answers how many.
WITH removed AS (
    DELETE FROM steps USING gone_runs
    WHERE (steps.project, steps.run_id) = (gone_runs.project, gone_runs.run_id)
      AND ($1::timestamptz IS NULL OR started_at >= $1) AND ($2::timestamptz IS NULL OR started_at < $2)
    RETURNING steps.project, started_at, agent, agent_version, kind, name, status, latency_bucket, duration_us
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
    DELETE FROM runs USING gone_runs WHERE (runs.project, runs.run_id) = (gone_runs.project, gone_runs.run_id)
    RETURNING runs.project, started_at, agent, agent_version, status,
              coalesce(failure_type, root_failure_type) AS failure_type,
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
WITH removed AS (
    DELETE FROM failures USING gone_runs
    WHERE (failures.project, failures.run_id) = (gone_runs.project, gone_runs.run_id) RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_losses
-- Answers how many.
WITH removed AS (
    DELETE FROM declared_losses USING gone_runs
    WHERE (declared_losses.project, declared_losses.run_id) = (gone_runs.project, gone_runs.run_id) RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_producers
-- Answers how many.
WITH removed AS (
    DELETE FROM run_producers USING gone_runs
    WHERE (run_producers.project, run_producers.run_id) = (gone_runs.project, gone_runs.run_id) RETURNING 1
)
SELECT count(*) FROM removed;

-- name: sweep_run_rollups
-- Rows that count nothing any more.
DELETE FROM run_rollups
WHERE project IN (SELECT project FROM gone_runs) AND runs = 0 AND latency_us = 0
  AND ($1::timestamptz IS NULL OR minute >= date_trunc('minute', $1::timestamptz)) AND ($2::timestamptz IS NULL OR minute < $2);

-- name: sweep_step_rollups
-- Rows that count nothing any more.
DELETE FROM step_rollups
WHERE project IN (SELECT project FROM gone_runs) AND steps = 0 AND latency_us = 0
  AND ($1::timestamptz IS NULL OR minute >= date_trunc('minute', $1::timestamptz)) AND ($2::timestamptz IS NULL OR minute < $2);

-- name: clear_step_rollups
-- What all steps of the days [$1, $2) had added, since all of them go. A minute is of one day.
DELETE FROM step_rollups WHERE minute >= $1 AND minute < $2;

-- name: set_retention
-- Null days: for ever.
WITH gone AS (DELETE FROM retention WHERE project = $1 AND $2::integer IS NULL)
INSERT INTO retention (project, days) SELECT $1, $2 WHERE $2::integer IS NOT NULL
ON CONFLICT (project) DO UPDATE SET days = excluded.days;

-- name: retention
-- Who keeps what for how long.
SELECT project, days FROM retention ORDER BY project;

-- name: forget_expired
-- Marks of expired runs whose events the topic has long deleted: they guard nothing any more.
DELETE FROM deletions WHERE expired AND deleted_at < now() - make_interval(days => $1);

-- name: day_partitions
-- Partitions of steps by day, but for the default one.
SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = to_regclass('steps') AND relname ~ '^steps_\d{8}$' AND right(relname, 8) < to_char(now() - interval '2 days', 'YYYYMMDD')
ORDER BY relname;

-- name: partition_there
-- Whether this schema has the table: a shadow has only the days that it has filled.
SELECT to_regclass($1) IS NOT NULL;

-- name: one_partitioner
-- As ensure_steps_partition: whoever makes a partition meanwhile waits, instead of meeting us halfway.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.steps', 0));

-- name: one_key_maker
-- As the makers of keys: none is made of a project while its keys are revoked.
SELECT pg_advisory_xact_lock(hashtextextended('agenttracer api key ' || $1::text, 0));
