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
-- A page along runs_newest (or runs_newest_of_agent); producers are looked up for the page alone. The open runs' lines repeat what
-- status_now implies, in the words of the partial index runs_open.
SELECT page.*,
       (SELECT jsonb_agg(said) FROM run_producer_account($1, page.run_id) AS said) AS producers
FROM (
    SELECT run_id, agent, agent_version, status_now, started_at, ended_at, latency_us, step_count, error_step_count, failure_count,
           recorded_failure_count, coalesce(failure_type, root_failure_type) AS failure_type,
           coalesce(failure_code, root_failure_code) AS failure_code, coalesce(failure_id, root_failure_id) AS failure_id,
           root_failure_type, root_failure_code, root_failure_id, shape, truncated, parent_run_id, metadata, last_received_at, emitted,
           declared_started_at IS NOT NULL AS start_seen
    FROM runs_now
    WHERE project = $1
      AND ($2::text IS NULL OR agent = $2)
      AND ($3::text IS NULL OR agent_version = $3)
      AND ($4::text IS NULL OR status_now = $4)
      AND (coalesce($4::text, '') NOT IN ('running', 'abandoned') OR end_status IS NULL)
      AND (coalesce($4::text, '') <> 'abandoned' OR silent_after < now())
      AND (coalesce($4::text, '') <> 'running' OR silent_after >= now())
      AND ($5::timestamptz IS NULL OR started_at >= $5)
      AND ($6::timestamptz IS NULL OR started_at < $6)
      AND ($7::bigint IS NULL OR latency_us >= $7)
      AND ($8::timestamptz IS NULL OR (started_at, run_id) < ($8, $9::uuid))
      AND ($11::text IS NULL OR shape = $11)
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
      AND (coalesce($4::text, '') <> 'running' OR silent_after >= now())
      AND ($5::timestamptz IS NULL OR started_at >= $5)
      AND ($6::timestamptz IS NULL OR started_at < $6)
      AND ($7::bigint IS NULL OR latency_us >= $7)
      AND ($8::timestamptz IS NULL OR (started_at, run_id) < ($8, $9::uuid))
      AND ($11::text IS NULL OR shape = $11)
), page AS MATERIALIZED (
    (SELECT started_at, run_id
     FROM asked
     WHERE EXISTS (SELECT FROM failures
                   WHERE failures.project = $1 AND failures.run_id = asked.run_id
                     AND ($12::text IS NULL OR failures.failure_type = $12) AND ($13::text IS NULL OR failures.failure_code = $13)
                     AND ($14::text IS NULL OR failures.fingerprint = $14))
     ORDER BY started_at DESC, run_id DESC
     LIMIT $10::bigint)
    UNION
    (SELECT started_at, run_id
     FROM asked
     WHERE end_status IS NULL AND silent_after < now()
       AND coalesce($12::text, 'orchestration') = 'orchestration' AND coalesce($13::text, 'abandoned') = 'abandoned'
       AND $14::text IS NULL
     ORDER BY started_at DESC, run_id DESC
     LIMIT $10::bigint)
    ORDER BY started_at DESC, run_id DESC
    LIMIT $10::bigint
)
SELECT run_id, agent, agent_version, status_now, runs_now.started_at, ended_at, latency_us, step_count, error_step_count,
       failure_count, recorded_failure_count, coalesce(failure_type, root_failure_type) AS failure_type,
           coalesce(failure_code, root_failure_code) AS failure_code, coalesce(failure_id, root_failure_id) AS failure_id,
           root_failure_type, root_failure_code, root_failure_id, shape, truncated, parent_run_id, metadata, last_received_at,
       emitted, declared_started_at IS NOT NULL AS start_seen,
       (SELECT jsonb_agg(said) FROM run_producer_account($1, page.run_id) AS said) AS producers
FROM page JOIN runs_now USING (run_id)
WHERE runs_now.project = $1
ORDER BY runs_now.started_at DESC, run_id DESC;

-- name: run
-- One run by its key, in the columns of list_runs.
SELECT run_id, agent, agent_version, status_now, started_at, ended_at, latency_us, step_count, error_step_count, failure_count,
       recorded_failure_count, coalesce(failure_type, root_failure_type) AS failure_type,
           coalesce(failure_code, root_failure_code) AS failure_code, coalesce(failure_id, root_failure_id) AS failure_id,
           root_failure_type, root_failure_code, root_failure_id, shape, truncated, parent_run_id, metadata, last_received_at, emitted,
       declared_started_at IS NOT NULL AS start_seen,
       (SELECT jsonb_agg(said) FROM run_producer_account($1, $2) AS said) AS producers
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
-- What is stored and, for a run that is abandoned now, its silence as one more failure, so that both page as one list. The stored
-- ones are a page along failures_of_run by themselves: a run with many costs no more than one with some.
SELECT *
FROM (
    (SELECT failure_id, failure_rank, failure_type, failure_code, rule_id, taxonomy_version, occurred_at, seq, step_id, attempt,
            error_class, error_code, http_status, errno, retry_after_s, message_chars, message_fingerprint, outcome, caused_by,
            fingerprint, failure_id = (SELECT root_failure_id FROM runs WHERE project = $1 AND run_id = $2) IS TRUE AS is_root
     FROM failures
     WHERE project = $1 AND run_id = $2
       AND ($3::timestamptz IS NULL OR (occurred_at, seq, failure_id) > ($3, $4::integer, $5::text))
     ORDER BY occurred_at, seq, failure_id
     LIMIT $6::bigint)
    UNION ALL
    SELECT 'abandoned', NULL, 'orchestration', 'abandoned', 'silence', NULL, silent_after, 2147483647, NULL, NULL,
           NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false
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
HAVING sum(runs) > 0
LIMIT $6::bigint;

-- name: count_steps
-- As count_runs, for steps.
SELECT agent, agent_version, kind, name, status, latency_bucket, sum(steps)::bigint AS steps
FROM step_rollups
WHERE project = $1 AND minute >= $2 AND minute < $3
  AND ($4::text IS NULL OR agent = $4) AND ($5::text IS NULL OR agent_version = $5)
GROUP BY agent, agent_version, kind, name, status, latency_bucket
HAVING sum(steps) > 0
LIMIT $6::bigint;

-- name: count_abandoned
-- Rollups say `running` of a run that fell silent, since nobody writes when nothing happens. The partial index runs_open holds
-- the few that are open.
SELECT agent, agent_version, count(*) AS runs, count(*) FILTER (WHERE failure_id IS NULL AND root_failure_id IS NULL) AS unexplained
FROM runs
WHERE project = $1 AND end_status IS NULL AND silent_after < now()
  AND started_at >= $2 AND started_at < $3
  AND ($4::text IS NULL OR agent = $4) AND ($5::text IS NULL OR agent_version = $5)
GROUP BY agent, agent_version;

-- name: group_failures
-- The most frequent kinds of failure by when they occurred, along failures_by_time. Detail and no rollup: failures are few.
SELECT fingerprint, agent, failure_type, failure_code, error_class, count(*) AS failures,
       count(*) FILTER (WHERE outcome = 'recovered') AS recovered, count(DISTINCT run_id) AS runs,
       max(occurred_at) AS last_occurred_at, (array_agg(run_id ORDER BY occurred_at DESC, run_id DESC))[1] AS last_run_id
FROM failures
WHERE project = $1 AND occurred_at >= $2 AND occurred_at < $3 AND fingerprint IS NOT NULL
  AND ($4::text IS NULL OR agent = $4) AND ($5::text IS NULL OR agent_version = $5)
GROUP BY fingerprint, agent, failure_type, failure_code, error_class
ORDER BY count(*) DESC, fingerprint
LIMIT $6::bigint;
