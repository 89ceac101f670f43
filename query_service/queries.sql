-- Every statement says `project = $1` although row level security says so too: the one is the filter, the other the lock.
-- Filters that were not given are null. The pool forces a plan for each call's own values, so they fold away, and what is left
-- chooses its index and its partitions at planning time.

-- name: set_project
-- Row level security reads this setting; `true` ends it with the transaction, so a pooled connection never carries it over.
SELECT set_config('agenttracer.project', $1, true);

-- name: ready
-- Touches what a reader needs (connection, schema, rights) and no row.
SELECT count(*) FROM (SELECT FROM runs_now LIMIT 0) AS nothing;

-- name: list_runs
-- A page along runs_newest (or runs_newest_of_agent); losses are summed for the page alone. The open runs' line repeats what
-- status_now implies, in the words of the partial index runs_open.
SELECT page.*,
       (SELECT jsonb_object_agg(reason, total)
        FROM (SELECT reason, sum(total) AS total FROM declared_losses
              WHERE declared_losses.project = $1 AND declared_losses.run_id = page.run_id GROUP BY reason) AS by_reason) AS declared
FROM (
    SELECT run_id, agent, agent_version, status_now, started_at, ended_at, latency_us, step_count, error_step_count, failure_count,
           recorded_failure_count, failure_type, failure_code, failure_id, parent_run_id, metadata, last_received_at, emitted,
           declared_started_at IS NOT NULL AS start_seen
    FROM runs_now
    WHERE project = $1
      AND ($2::text IS NULL OR agent = $2)
      AND ($3::text IS NULL OR agent_version = $3)
      AND ($4::text IS NULL OR status_now = $4)
      AND (coalesce($4::text, '') NOT IN ('running', 'abandoned') OR end_status IS NULL)
      AND (coalesce($4::text, '') <> 'abandoned' OR silent_after < now())
      AND ($5::timestamptz IS NULL OR started_at >= $5)
      AND ($6::timestamptz IS NULL OR started_at < $6)
      AND ($7::bigint IS NULL OR latency_us >= $7)
      AND ($8::timestamptz IS NULL OR (started_at, run_id) < ($8, $9::uuid))
    ORDER BY started_at DESC, run_id DESC
    LIMIT $10::bigint
) AS page
ORDER BY started_at DESC, run_id DESC;

-- name: list_failed_runs
-- As list_runs, for runs with a given failure. The page is put together from two arms, because only a plain EXISTS becomes a
-- join whose direction the planner can choose (few such failures are looked up first, many are probed along the newest runs),
-- and silences are no rows of failures.
WITH asked AS NOT MATERIALIZED (
    SELECT started_at, run_id, end_status, silent_after
    FROM runs_now
    WHERE project = $1
      AND ($2::text IS NULL OR agent = $2)
      AND ($3::text IS NULL OR agent_version = $3)
      AND ($4::text IS NULL OR status_now = $4)
      AND (coalesce($4::text, '') NOT IN ('running', 'abandoned') OR end_status IS NULL)
      AND (coalesce($4::text, '') <> 'abandoned' OR silent_after < now())
      AND ($5::timestamptz IS NULL OR started_at >= $5)
      AND ($6::timestamptz IS NULL OR started_at < $6)
      AND ($7::bigint IS NULL OR latency_us >= $7)
      AND ($8::timestamptz IS NULL OR (started_at, run_id) < ($8, $9::uuid))
), page AS MATERIALIZED (
    (SELECT started_at, run_id
     FROM asked
     WHERE EXISTS (SELECT FROM failures
                   WHERE failures.project = $1 AND failures.run_id = asked.run_id
                     AND ($11::text IS NULL OR failures.failure_type = $11) AND ($12::text IS NULL OR failures.failure_code = $12))
     ORDER BY started_at DESC, run_id DESC
     LIMIT $10::bigint)
    UNION
    (SELECT started_at, run_id
     FROM asked
     WHERE end_status IS NULL AND silent_after < now()
       AND coalesce($11::text, 'orchestration') = 'orchestration' AND coalesce($12::text, 'abandoned') = 'abandoned'
     ORDER BY started_at DESC, run_id DESC
     LIMIT $10::bigint)
    ORDER BY started_at DESC, run_id DESC
    LIMIT $10::bigint
)
SELECT run_id, agent, agent_version, status_now, runs_now.started_at, ended_at, latency_us, step_count, error_step_count,
       failure_count, recorded_failure_count, failure_type, failure_code, failure_id, parent_run_id, metadata, last_received_at,
       emitted, declared_started_at IS NOT NULL AS start_seen,
       (SELECT jsonb_object_agg(reason, total)
        FROM (SELECT reason, sum(total) AS total FROM declared_losses
              WHERE declared_losses.project = $1 AND declared_losses.run_id = page.run_id GROUP BY reason) AS by_reason) AS declared
FROM page JOIN runs_now USING (run_id)
WHERE runs_now.project = $1
ORDER BY runs_now.started_at DESC, run_id DESC;

-- name: run
-- One run by its key, in the columns of list_runs.
SELECT run_id, agent, agent_version, status_now, started_at, ended_at, latency_us, step_count, error_step_count, failure_count,
       recorded_failure_count, failure_type, failure_code, failure_id, parent_run_id, metadata, last_received_at, emitted,
       declared_started_at IS NOT NULL AS start_seen,
       (SELECT jsonb_object_agg(reason, total)
        FROM (SELECT reason, sum(total) AS total FROM declared_losses
              WHERE declared_losses.project = $1 AND declared_losses.run_id = $2 GROUP BY reason) AS by_reason) AS declared
FROM runs_now
WHERE project = $1 AND run_id = $2;

-- name: run_extent
-- Whether the run is there, and between which times its steps can lie.
SELECT started_at, first_event_at, last_event_at FROM runs WHERE project = $1 AND run_id = $2;

-- name: list_steps
-- The bounds of started_at leave the partitions of the run's own days; a cursor moves the lower one up.
SELECT step_id, parent_step_id, cause_step_id, kind, name, status, attempt, seq, started_at, duration_us, error_class,
       error_code, http_status, metadata
FROM steps
WHERE project = $1 AND run_id = $2
  AND started_at >= $3 AND started_at <= $4
  AND ($5::timestamptz IS NULL OR (started_at, seq, step_id) > ($5, $6::integer, $7::text))
ORDER BY started_at, seq, step_id
LIMIT $8::bigint;

-- name: list_failures
-- What is stored and, for a run that is abandoned now, its silence as one more failure, so that both page as one list.
SELECT *
FROM (
    SELECT failure_id, failure_rank, failure_type, failure_code, rule_id, taxonomy_version, occurred_at, seq, step_id, attempt,
           error_class, error_code, http_status, errno, retry_after_s, message_chars, message_fingerprint
    FROM failures
    WHERE project = $1 AND run_id = $2
    UNION ALL
    SELECT 'abandoned', NULL, 'orchestration', 'abandoned', 'silence', NULL, silent_after, 2147483647, NULL, NULL,
           NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM runs
    WHERE project = $1 AND run_id = $2 AND end_status IS NULL AND silent_after < now()
) AS shown
WHERE $3::timestamptz IS NULL OR (occurred_at, seq, failure_id) > ($3, $4::integer, $5::text)
ORDER BY occurred_at, seq, failure_id
LIMIT $6::bigint;

-- name: count_runs
-- Rollups of the window, merged over its minutes. A row can have fallen to zero when its runs moved on to another status.
SELECT agent, agent_version, status, failure_type, failure_code, latency_bucket, sum(runs)::bigint AS runs
FROM run_rollups
WHERE project = $1 AND minute >= $2 AND minute < $3
  AND ($4::text IS NULL OR agent = $4) AND ($5::text IS NULL OR agent_version = $5)
GROUP BY agent, agent_version, status, failure_type, failure_code, latency_bucket
HAVING sum(runs) > 0;

-- name: count_steps
-- As count_runs, for steps.
SELECT agent, agent_version, kind, name, status, latency_bucket, sum(steps)::bigint AS steps
FROM step_rollups
WHERE project = $1 AND minute >= $2 AND minute < $3
  AND ($4::text IS NULL OR agent = $4) AND ($5::text IS NULL OR agent_version = $5)
GROUP BY agent, agent_version, kind, name, status, latency_bucket
HAVING sum(steps) > 0;

-- name: count_abandoned
-- Rollups say `running` of a run that fell silent, since nobody writes when nothing happens. The partial index runs_open holds
-- the few that are open.
SELECT agent, agent_version, count(*) AS runs, count(*) FILTER (WHERE failure_id IS NULL) AS unexplained
FROM runs
WHERE project = $1 AND end_status IS NULL AND silent_after < now()
  AND started_at >= $2 AND started_at < $3
  AND ($4::text IS NULL OR agent = $4) AND ($5::text IS NULL OR agent_version = $5)
GROUP BY agent, agent_version;
