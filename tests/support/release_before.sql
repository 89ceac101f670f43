-- The statements of the release before that keep statistics, as its workers still run them beside newer ones while a fleet is
-- upgraded. They add to rollups by minute and latency bucket.

-- name: write_steps
-- Inserts new steps, and counts and rolls up exactly these. Returns how many were new.
WITH inserted AS (
    INSERT INTO steps (
        project, run_id, step_id, started_at, duration_us, seq, http_status, latency_bucket, attempt, errno, kind, name, status,
        agent, agent_version, parent_step_id, cause_step_id, error_class, error_code, retry_after_s, metadata
    )
    SELECT project, run_id, step_id, 'epoch'::timestamptz + started_us * interval '1 microsecond', duration_us, seq,
           http_status, latency_bucket, attempt, errno, kind, name, status, agent, agent_version, parent_step_id,
           cause_step_id, error_class, error_code, retry_after_s, metadata::json
    FROM stage_steps WHERE :shifted::boolean IS NOT NULL  -- unknown then, and given now
    ORDER BY project, run_id, started_us, step_id
    ON CONFLICT DO NOTHING
    RETURNING project, run_id, started_at, agent, agent_version, kind, name, status, latency_bucket, duration_us
), counted AS (
    INSERT INTO stage_counts (project, run_id, steps, error_steps, failures, recorded_failures)
    SELECT project, run_id, count(*), count(*) FILTER (WHERE status = 'error'), 0, 0 FROM inserted GROUP BY project, run_id
), rolled AS (
    INSERT INTO step_rollups AS rollup (
        project, minute, agent, agent_version, kind, name, status, latency_bucket, steps, latency_us
    )
    SELECT project, date_trunc('minute', started_at), agent, agent_version, kind, name, status, latency_bucket,
           count(*), sum(duration_us)
    FROM inserted GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8
    ON CONFLICT (project, minute, agent, agent_version, kind, name, status, latency_bucket) DO UPDATE
    SET steps = rollup.steps + excluded.steps, latency_us = rollup.latency_us + excluded.latency_us
)
SELECT count(*) FROM inserted;

-- name: remove_step
-- Removes a step that lost against another of its key, with all that was counted from it; the winner is then inserted.
WITH removed AS (
    DELETE FROM steps
    WHERE project = :project AND run_id = :run_id AND step_id = :step_id
      AND started_at = 'epoch'::timestamptz + :started_us * interval '1 microsecond' AND :shift_us::bigint IS NOT NULL
    RETURNING project, run_id, started_at, agent, agent_version, kind, name, status, latency_bucket, duration_us
), counted AS (
    INSERT INTO stage_counts (project, run_id, steps, error_steps, failures, recorded_failures)
    SELECT project, run_id, -1, CASE status WHEN 'error' THEN -1 ELSE 0 END, 0, 0 FROM removed
)
UPDATE step_rollups AS rollup
SET steps = rollup.steps - 1, latency_us = rollup.latency_us - removed.duration_us
FROM removed
WHERE (rollup.project, rollup.minute, rollup.agent, rollup.agent_version, rollup.kind, rollup.name, rollup.status,
       rollup.latency_bucket)
    = (removed.project, date_trunc('minute', removed.started_at), removed.agent, removed.agent_version, removed.kind,
       removed.name, removed.status, removed.latency_bucket);

-- name: write_runs
-- Merges runs by the rules of core/run.py, adds what was counted above, and moves each run's one unit in the rollups from
-- where it counted before to where it counts now. The diagnosis is replaced, not merged. :abandon_after_s is the default silence
-- in seconds after which a run is abandoned.
WITH incoming AS (
    SELECT stage_runs.*, coalesce(steps, 0) AS steps, coalesce(error_steps, 0) AS error_steps,
           coalesce(failures, 0) AS failures, coalesce(recorded_failures, 0) AS recorded_failures,
           'epoch'::timestamptz + last_received_us * interval '1 microsecond' AS last_received_at
    FROM stage_runs CROSS JOIN LATERAL (
        SELECT sum(steps)::integer AS steps, sum(error_steps)::integer AS error_steps,
               sum(failures)::integer AS failures, sum(recorded_failures)::integer AS recorded_failures
        FROM stage_counts WHERE (stage_counts.project, stage_counts.run_id) = (stage_runs.project, stage_runs.run_id)
    ) AS counts
), upserted AS (
    INSERT INTO runs AS run (
        project, run_id, identity_rank, agent, agent_version,
        declared_started_at, start_digest, parent_run_id, parent_step_id, metadata,
        ended_at, end_digest, end_status, emitted,
        failure_rank, failure_at, failure_id, failure_type, failure_code,
        abandon_after_s, first_ended_at, first_event_at, last_event_at, last_received_at, silent_after,
        step_count, error_step_count, failure_count, recorded_failure_count,
        root_failure_id, root_failure_type, root_failure_code, shape, watched, recheck_steps, recheck_until
    )
    SELECT project, run_id, identity_rank, agent, agent_version,
           'epoch'::timestamptz + declared_started_us * interval '1 microsecond', start_digest, parent_run_id, parent_step_id,
           metadata::json,
           'epoch'::timestamptz + ended_us * interval '1 microsecond', end_digest, end_status, emitted,
           failure_rank, 'epoch'::timestamptz + failure_us * interval '1 microsecond', failure_id, failure_type, failure_code,
           abandon_after_s,
           'epoch'::timestamptz + first_ended_us * interval '1 microsecond',
           'epoch'::timestamptz + first_event_us * interval '1 microsecond',
           'epoch'::timestamptz + last_event_us * interval '1 microsecond',
           last_received_at, last_received_at + make_interval(secs => coalesce(abandon_after_s, :abandon_after_s::integer)),
           steps, error_steps, failures, recorded_failures,
           root_failure_id, root_failure_type, root_failure_code, shape, watched, recheck_steps,
           'epoch'::timestamptz + recheck_until_us * interval '1 microsecond'
    FROM incoming ORDER BY project, run_id
    ON CONFLICT (project, run_id) DO UPDATE SET
        (identity_rank, agent, agent_version, declared_started_at, start_digest, parent_run_id, parent_step_id, metadata) = (
            SELECT start.* FROM (VALUES
                (run.identity_rank, run.agent, run.agent_version, run.declared_started_at, run.start_digest, run.parent_run_id,
                 run.parent_step_id, run.metadata),
                (excluded.identity_rank, excluded.agent, excluded.agent_version, excluded.declared_started_at,
                 excluded.start_digest, excluded.parent_run_id, excluded.parent_step_id, excluded.metadata)
            ) AS start (rank, agent, agent_version, at, digest, parent_run_id, parent_step_id, metadata)
            -- A start that names a step of its own run is where the run went on in another process.
            ORDER BY rank, parent_step_id IS NOT NULL AND parent_run_id IS NULL, at, digest, agent, agent_version LIMIT 1),
        (ended_at, end_digest, end_status, emitted) = (
            SELECT finish.* FROM (VALUES
                (run.ended_at, run.end_digest, run.end_status, run.emitted),
                (excluded.ended_at, excluded.end_digest, excluded.end_status, excluded.emitted)
            ) AS finish (at, digest, status, emitted) ORDER BY 1 DESC NULLS LAST, 2 DESC LIMIT 1),
        (failure_rank, failure_at, failure_id, failure_type, failure_code) = (
            SELECT failure.* FROM (VALUES
                (run.failure_rank, run.failure_at, run.failure_id, run.failure_type, run.failure_code),
                (excluded.failure_rank, excluded.failure_at, excluded.failure_id, excluded.failure_type,
                 excluded.failure_code)
            ) AS failure (rank, at, id, type, code) ORDER BY 1 NULLS LAST, 2, 3, 4, 5 LIMIT 1),
        abandon_after_s = greatest(run.abandon_after_s, excluded.abandon_after_s),
        first_ended_at = least(run.first_ended_at, excluded.first_ended_at),
        first_event_at = least(run.first_event_at, excluded.first_event_at),
        last_event_at = greatest(run.last_event_at, excluded.last_event_at),
        last_received_at = greatest(run.last_received_at, excluded.last_received_at),
        silent_after = greatest(run.last_received_at, excluded.last_received_at)
            + make_interval(secs => coalesce(greatest(run.abandon_after_s, excluded.abandon_after_s), :abandon_after_s::integer)),
        step_count = least(run.step_count::bigint + excluded.step_count, :count_max::integer)::integer,
        error_step_count = least(run.error_step_count::bigint + excluded.error_step_count, :count_max::integer)::integer,
        failure_count = least(run.failure_count::bigint + excluded.failure_count, :count_max::integer)::integer,
        recorded_failure_count = least(run.recorded_failure_count::bigint + excluded.recorded_failure_count, :count_max::integer)::integer,
        root_failure_id = excluded.root_failure_id, root_failure_type = excluded.root_failure_type,
        root_failure_code = excluded.root_failure_code, shape = excluded.shape, watched = excluded.watched,
        recheck_steps = excluded.recheck_steps, recheck_until = excluded.recheck_until
    RETURNING old.project IS NOT NULL AS existed, new.project,
        old.started_at AS old_started_at, old.agent AS old_agent, old.agent_version AS old_agent_version,
        old.status AS old_status, old.latency_us AS old_latency_us,
        coalesce(old.failure_type, old.root_failure_type) AS old_failure_type,
        coalesce(old.failure_code, old.root_failure_code) AS old_failure_code,
        new.started_at, new.agent, new.agent_version, new.status, new.latency_us,
        coalesce(new.failure_type, new.root_failure_type) AS failure_type,
        coalesce(new.failure_code, new.root_failure_code) AS failure_code
), moves AS (
    SELECT project, date_trunc('minute', started_at) AS minute, agent, agent_version, status,
           coalesce(failure_type, '') AS failure_type, coalesce(failure_code, '') AS failure_code,
           coalesce(latency_bucket(latency_us), -1) AS latency_bucket, 1 AS runs, coalesce(latency_us, 0) AS latency_us
    FROM upserted
    UNION ALL
    SELECT project, date_trunc('minute', old_started_at), old_agent, old_agent_version, old_status,
           coalesce(old_failure_type, ''), coalesce(old_failure_code, ''),
           coalesce(latency_bucket(old_latency_us), -1), -1, -coalesce(old_latency_us, 0)
    FROM upserted WHERE existed
)
INSERT INTO run_rollups AS rollup (
    project, minute, agent, agent_version, status, failure_type, failure_code, latency_bucket, runs, latency_us
)
SELECT project, minute, agent, agent_version, status, failure_type, failure_code, latency_bucket, sum(runs), sum(latency_us)
FROM moves GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 HAVING sum(runs) <> 0 OR sum(latency_us) <> 0 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8
ON CONFLICT (project, minute, agent, agent_version, status, failure_type, failure_code, latency_bucket) DO UPDATE
SET runs = rollup.runs + excluded.runs, latency_us = rollup.latency_us + excluded.latency_us;
