-- Deletion, as the schema's owner. The runs to delete are listed in gone_runs first; every statement below takes them from there,
-- those of one project at a time. `low` and `high` bound the time of the runs' rows, so that only those days' partitions are
-- looked at; null: any.

-- name: make_gone_runs
-- Once a connection.
CREATE TEMPORARY TABLE gone_runs (project text COLLATE "C", run_id uuid, PRIMARY KEY (project, run_id)) ON COMMIT DELETE ROWS;

-- name: gone_run
-- One run, whether there is anything of it or not.
INSERT INTO gone_runs VALUES (:project, :run_id);

-- name: some_gone
-- Some of a deleted project's runs.
INSERT INTO gone_runs SELECT project, run_id FROM runs WHERE project = :project LIMIT :runs_max;

-- name: leave_none
-- Before the same in another schema.
DELETE FROM gone_runs;

-- name: filled_schemas
-- Those of these schemas that have all tables of runs.
SELECT name FROM unnest(:names::text[]) WITH ORDINALITY AS schemas (name, place)
WHERE to_regclass(format('%I.runs', name)) IS NOT NULL AND to_regclass(format('%I.steps', name)) IS NOT NULL
  AND to_regclass(format('%I.failures', name)) IS NOT NULL AND to_regclass(format('%I.declared_losses', name)) IS NOT NULL
  AND to_regclass(format('%I.run_producers', name)) IS NOT NULL
ORDER BY place;

-- name: gone_project
-- Every run of which any table has a row.
INSERT INTO gone_runs
SELECT :project, run_id FROM (
    SELECT run_id FROM runs WHERE project = :project
    UNION SELECT run_id FROM steps WHERE project = :project
    UNION SELECT run_id FROM failures WHERE project = :project
    UNION SELECT run_id FROM declared_losses WHERE project = :project
    UNION SELECT run_id FROM run_producers WHERE project = :project
) AS found
ON CONFLICT DO NOTHING;

-- name: gone_on_day
-- Runs of a project that touch the day [:low, :high) and that are older than the project keeps: by their last event, in the time
-- that counts for the run, and whatever it says by their last receipt.
INSERT INTO gone_runs
SELECT project, run_id FROM runs
WHERE project = :project AND first_event_at < :high AND last_event_at >= :low
  AND least(last_event_at + time_shift_us * interval '1 microsecond', last_received_at) < now() - make_interval(days => :days);

-- name: gone_expired
-- Runs of a project whose time is over for a whole day already, but for those that touch :held: their days are dropped later.
INSERT INTO gone_runs
SELECT project, run_id FROM runs
WHERE project = :project
  AND least(last_event_at + time_shift_us * interval '1 microsecond', last_received_at)
      < date_trunc('day', now() - make_interval(days => :days)) - interval '1 day'
  AND NOT tstzrange(first_event_at, last_event_at, '[]') && :held::tstzmultirange
LIMIT :runs_max;

-- name: count_gone
-- How many go, by project.
SELECT project, count(*) AS runs FROM gone_runs GROUP BY project ORDER BY project;

-- name: time_range_of_gone
-- When the rows of what goes of a project begin, and when they are over, by what events say and by the time that counts. Nulls
-- where there is no run.
SELECT min(first_event_at + least(time_shift_us, 0) * interval '1 microsecond') AS low,
       max(last_event_at + (greatest(time_shift_us, 0) + 1) * interval '1 microsecond') AS high
FROM gone_runs JOIN runs ON runs.project = :project AND runs.run_id = gone_runs.run_id
WHERE gone_runs.project = :project;

-- name: project_on_day
-- The first project after :after, in their order, that has a step on the day [:low, :high); null where there is no more.
SELECT min(project) FROM steps WHERE project > :after AND started_at >= :low AND started_at < :high;

-- name: others_on_day
-- Whether a run of the project that stays has a step on the day [:low, :high). A run's span holds all its steps; each run is asked
-- by the key.
SELECT count(*) > 0 FROM (
    SELECT 1 FROM runs
    LEFT JOIN gone_runs ON gone_runs.project = :project AND gone_runs.run_id = runs.run_id
    CROSS JOIN LATERAL (
        SELECT 1 FROM steps
        WHERE steps.project = :project AND steps.run_id = runs.run_id AND started_at >= :low AND started_at < :high
        LIMIT 1
    ) AS step
    WHERE runs.project = :project AND first_event_at < :high AND last_event_at >= :low AND gone_runs.run_id IS NULL
    LIMIT 1
) AS others;

-- name: mark_runs_deleted
-- Marked before anything is deleted: later writers leave the run out. A mark by request replaces a mark of retention.
INSERT INTO deletions (project, run_id, expired) SELECT project, run_id, :expired FROM gone_runs
ON CONFLICT (project, run_id) DO UPDATE SET expired = false WHERE deletions.expired AND NOT excluded.expired;

-- name: mark_project_deleted
-- As mark_runs_deleted; the runs' own marks are then superfluous.
INSERT INTO deletions (project, run_id, expired) VALUES (:project, NULL, false) ON CONFLICT DO NOTHING;

-- name: revoke_keys
-- A deleted project has no valid key. Returns how many keys were live.
WITH revoked AS (UPDATE api_keys SET revoked_at = now() WHERE project = :project AND revoked_at IS NULL RETURNING expires_at)
SELECT count(*) FROM revoked WHERE expires_at IS NULL OR expires_at > now();

-- name: forget_names
-- The names that a deleted project allowed. Whether it is closed stays: late events of it must not have names in plain.
DELETE FROM allowed_names WHERE project = :project;

-- name: take_back_steps
-- What statistics count of these steps, as negative deltas. For deletions on request: statistics keep what expires, but for what
-- lies at or after :ahead (null: all), where they are compared with the detail.
WITH by_bucket AS (
    SELECT steps.project,
           date_trunc('minute', steps.started_at + coalesce(time_shift_us, 0) * interval '1 microsecond', 'UTC') AS minute,
           steps.agent, steps.agent_version, kind, name, steps.status,
           coalesce(model, '') AS model, latency_bucket, count(*) AS steps, sum(duration_us) AS latency_us,
           sum(coalesce(input_tokens, 0)) AS input_tokens, sum(coalesce(output_tokens, 0)) AS output_tokens,
           sum(CASE cost_currency WHEN 'USD' THEN cost_nano ELSE 0 END) AS cost
    FROM gone_runs JOIN steps ON steps.project = :project AND steps.run_id = gone_runs.run_id
    LEFT JOIN runs ON runs.project = :project AND runs.run_id = gone_runs.run_id
    WHERE gone_runs.project = :project
      AND (:low::timestamptz IS NULL OR steps.started_at >= :low) AND (:high::timestamptz IS NULL OR steps.started_at < :high)
      AND (:ahead::timestamptz IS NULL OR (
          runs.last_event_at + time_shift_us * interval '1 microsecond' >= :ahead
          AND steps.started_at + time_shift_us * interval '1 microsecond' >= :ahead
      ))
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
)
INSERT INTO step_rollup_deltas (
    project, minute, agent, agent_version, kind, name, status, model, steps, latency_us, input_tokens, output_tokens, cost,
    histogram
)
SELECT project, minute, agent, agent_version, kind, name, status, model, -sum(steps)::bigint, -sum(latency_us),
       -sum(input_tokens), -sum(output_tokens), -sum(cost),
       string_agg(int2send(latency_bucket) || int8send(-steps), ''::bytea ORDER BY latency_bucket)
FROM by_bucket GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ON CONFLICT DO NOTHING;

-- name: take_back_runs
-- As take_back_steps, of the runs.
WITH by_bucket AS (
    SELECT runs.project, date_trunc('minute', started_at, 'UTC') AS minute, agent, agent_version, status,
           coalesce(failure_type, root_failure_type, '') AS failure_type,
           coalesce(failure_code, root_failure_code, '') AS failure_code,
           coalesce(latency_bucket(latency_us), -1::smallint) AS latency_bucket, count(*) AS runs,
           sum(coalesce(latency_us, 0)) AS latency_us
    FROM gone_runs JOIN runs ON runs.project = :project AND runs.run_id = gone_runs.run_id
    WHERE gone_runs.project = :project AND (:ahead::timestamptz IS NULL OR started_at >= :ahead)
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
)
INSERT INTO run_rollup_deltas (
    project, minute, agent, agent_version, status, failure_type, failure_code, runs, latency_us, histogram
)
SELECT project, minute, agent, agent_version, status, failure_type, failure_code, -sum(runs)::bigint, -sum(latency_us),
       string_agg(int2send(latency_bucket) || int8send(-runs), ''::bytea ORDER BY latency_bucket)
FROM by_bucket GROUP BY 1, 2, 3, 4, 5, 6, 7
ON CONFLICT DO NOTHING;

-- name: count_as_abandoned
-- Runs that expire while they are open count as abandoned from then on: nobody can look any more whether they fell silent. Those
-- that began at or after :ahead were taken back.
INSERT INTO run_rollup_deltas (
    project, minute, agent, agent_version, status, failure_type, failure_code, runs, latency_us, histogram
)
SELECT project, minute, agent, agent_version, moved.status, moved.failure_type, moved.failure_code, sum(moved.runs)::bigint, 0,
       int2send(-1::smallint) || int8send(sum(moved.runs)::bigint)
FROM (
    SELECT runs.project, date_trunc('minute', started_at, 'UTC') AS minute, agent, agent_version,
           coalesce(failure_type, root_failure_type) AS failure_type, coalesce(failure_code, root_failure_code) AS failure_code
    FROM gone_runs JOIN runs ON runs.project = :project AND runs.run_id = gone_runs.run_id
    WHERE gone_runs.project = :project AND end_status IS NULL AND (:ahead::timestamptz IS NULL OR started_at < :ahead)
) AS open_runs
CROSS JOIN LATERAL (
    VALUES ('running', coalesce(failure_type, ''), coalesce(failure_code, ''), -1),
           ('abandoned', coalesce(failure_type, 'orchestration'), coalesce(failure_code, 'abandoned'), 1)
) AS moved (status, failure_type, failure_code, runs)
GROUP BY 1, 2, 3, 4, 5, 6, 7
ON CONFLICT DO NOTHING;

-- name: remove_steps
-- Returns how many.
WITH removed AS (
    DELETE FROM steps USING gone_runs
    WHERE steps.project = :project AND gone_runs.project = :project AND steps.run_id = gone_runs.run_id
      AND (:low::timestamptz IS NULL OR started_at >= :low) AND (:high::timestamptz IS NULL OR started_at < :high)
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_runs
-- Returns how many.
WITH removed AS (
    DELETE FROM runs USING gone_runs
    WHERE runs.project = :project AND gone_runs.project = :project AND runs.run_id = gone_runs.run_id RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_failures
-- Returns how many.
WITH removed AS (
    DELETE FROM failures USING gone_runs
    WHERE failures.project = :project AND gone_runs.project = :project AND failures.run_id = gone_runs.run_id
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_losses
-- Returns how many.
WITH removed AS (
    DELETE FROM declared_losses USING gone_runs
    WHERE declared_losses.project = :project AND gone_runs.project = :project AND declared_losses.run_id = gone_runs.run_id
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: remove_producers
-- Returns how many.
WITH removed AS (
    DELETE FROM run_producers USING gone_runs
    WHERE run_producers.project = :project AND gone_runs.project = :project AND run_producers.run_id = gone_runs.run_id
    RETURNING 1
)
SELECT count(*) FROM removed;

-- name: forget_run_rollup_deltas
-- All statistics of a project that is no more.
DELETE FROM run_rollup_deltas WHERE project = :project;

-- name: forget_step_rollup_deltas
-- As forget_run_rollup_deltas.
DELETE FROM step_rollup_deltas WHERE project = :project;

-- name: forget_run_rollup_totals
-- As forget_run_rollup_deltas.
DELETE FROM run_rollup_totals WHERE project = :project;

-- name: forget_step_rollup_totals
-- As forget_run_rollup_deltas.
DELETE FROM step_rollup_totals WHERE project = :project;

-- name: forget_run_rollups
-- As forget_run_rollup_deltas.
DELETE FROM run_rollups WHERE project = :project;

-- name: forget_step_rollups
-- As forget_run_rollup_deltas.
DELETE FROM step_rollups WHERE project = :project;

-- name: forget_horizon
-- Nothing of the project is left to compare.
DELETE FROM detail_horizons WHERE project = :project;

-- name: kept_since
-- From when on nothing of the project has expired.
SELECT now() - make_interval(days => days) FROM retention WHERE project = :project;

-- name: raise_horizons
-- Said in the transaction in which runs expire: from then on statistics hold more than the detail of the time before.
INSERT INTO detail_horizons AS horizon (project, before)
SELECT DISTINCT project, now() - make_interval(days => days) FROM gone_runs JOIN retention USING (project)
ON CONFLICT (project) DO UPDATE SET before = greatest(horizon.before, excluded.before);

-- name: raise_horizon_to
-- Statistics that end before the detail of a long run does differ from it as well.
INSERT INTO detail_horizons AS horizon (project, before) VALUES (:project, :before)
ON CONFLICT (project) DO UPDATE SET before = greatest(horizon.before, excluded.before);

-- name: expired_statistics
-- The projects whose statistics end some day, and the beginning of the first day that is kept.
SELECT project, date_trunc('day', now() - make_interval(days => statistics_days), 'UTC') AS before
FROM retention WHERE statistics_days IS NOT NULL ORDER BY project;

-- name: expire_run_rollup_totals
-- Statistics of days that the project keeps no longer. Returns how many rows.
WITH removed AS (DELETE FROM run_rollup_totals WHERE project = :project AND period < :before RETURNING 1)
SELECT count(*) FROM removed;

-- name: expire_step_rollup_totals
-- As expire_run_rollup_totals.
WITH removed AS (DELETE FROM step_rollup_totals WHERE project = :project AND period < :before RETURNING 1)
SELECT count(*) FROM removed;

-- name: expire_run_rollup_deltas
-- As expire_run_rollup_totals.
WITH removed AS (DELETE FROM run_rollup_deltas WHERE project = :project AND minute < :before RETURNING 1)
SELECT count(*) FROM removed;

-- name: expire_step_rollup_deltas
-- As expire_run_rollup_totals.
WITH removed AS (DELETE FROM step_rollup_deltas WHERE project = :project AND minute < :before RETURNING 1)
SELECT count(*) FROM removed;

-- name: expire_run_rollups
-- As expire_run_rollup_totals.
WITH removed AS (DELETE FROM run_rollups WHERE project = :project AND minute < :before RETURNING 1)
SELECT count(*) FROM removed;

-- name: expire_step_rollups
-- As expire_run_rollup_totals.
WITH removed AS (DELETE FROM step_rollups WHERE project = :project AND minute < :before RETURNING 1)
SELECT count(*) FROM removed;

-- name: set_retention
-- Null days: for ever, statistics too. Null days of statistics: these for ever.
WITH gone AS (DELETE FROM retention WHERE project = :project AND :days::integer IS NULL)
INSERT INTO retention (project, days, statistics_days)
SELECT :project, :days, :statistics_days::integer WHERE :days::integer IS NOT NULL
ON CONFLICT (project) DO UPDATE SET days = excluded.days, statistics_days = excluded.statistics_days;

-- name: retention
-- How many days each project keeps its runs.
SELECT project, days FROM retention ORDER BY project;

-- name: forget_expired
-- Marks of expired runs whose events the topic has long deleted: they guard nothing any more.
DELETE FROM deletions WHERE expired AND deleted_at < now() - make_interval(days => :days);

-- name: day_partitions
-- Partitions of steps by day, but for the default one.
SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = to_regclass('steps') AND relname ~ '^steps_\d{8}$'
  AND right(relname, 8) < to_char(now() - interval '2 days', 'YYYYMMDD')
ORDER BY relname;

-- name: partition_exists
-- Whether this schema has the table: a shadow has only the days that it has filled.
SELECT to_regclass(:table_name) IS NOT NULL;

-- name: one_partitioner
-- As ensure_steps_partition: a session that makes a partition meanwhile waits, instead of a deadlock.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.steps', 0));

-- name: audit
-- In the transaction that does it.
INSERT INTO audit_log (action, project, run_id, number) VALUES (:action, :project, :run_id, :number);

-- name: audit_revoked
-- As audit, before the keys of a project are revoked.
INSERT INTO audit_log (action, project, key_id)
SELECT 'key_revoked', project, key_id FROM api_keys WHERE project = :project AND revoked_at IS NULL;

-- name: one_key_maker
-- As one_maker of the command: no key of a project is made while its keys are revoked.
SELECT pg_advisory_xact_lock(hashtextextended('agenttracer api key ' || :project::text, 0));
