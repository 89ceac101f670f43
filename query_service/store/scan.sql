-- Runs by filters that no index of their own answers: the newest ones are probed, so many at a time, or those of a day are put in
-- order. As in queries.sql, every statement names its project.

-- name: scan_runs
-- Of the newest :newest_max runs by the filters that runs have columns for, those that pass the others; how many were looked at, and
-- the last one of these, from which a caller goes on.
WITH newest AS MATERIALIZED (
    SELECT run_id, started_at, end_status, silent_after, first_event_at, last_event_at, metadata, declared_started_at, ended_at, emitted,
           step_count, recorded_failure_count
    FROM runs
    WHERE project = :project
      -- include: run_columns
      AND (:after_started_at::timestamptz IS NULL OR (started_at, run_id) < (:after_started_at, :after_run_id::uuid))
    ORDER BY started_at DESC, run_id DESC
    LIMIT :newest_max::bigint
), oldest AS (
    SELECT started_at, run_id FROM newest ORDER BY started_at, run_id LIMIT 1
)
SELECT (SELECT count(*) FROM newest) AS looked_at, (SELECT started_at FROM oldest) AS last_started_at,
       (SELECT run_id FROM oldest) AS last_run_id, ARRAY(
    SELECT run_id
    FROM newest AS run
    WHERE true
      -- include: run_probes
    ORDER BY started_at DESC, run_id DESC
    LIMIT :limit::bigint
) AS run_ids;

-- name: sort_runs
-- Runs of at most a day by latency, failures or steps, the most first, of all filters.
SELECT run_id, CASE :sort::text WHEN 'latency' THEN coalesce(latency_us, -1) WHEN 'failures' THEN failure_count
                                ELSE step_count END AS sort_key
FROM runs AS run
WHERE run.project = :project
  -- include: run_columns
  AND (:after_key::bigint IS NULL OR (CASE :sort::text WHEN 'latency' THEN coalesce(latency_us, -1) WHEN 'failures' THEN failure_count
                                      ELSE step_count END, run_id) < (:after_key, :after_run_id::uuid))
  -- include: run_probes
ORDER BY 2 DESC, run_id DESC
LIMIT :limit::bigint;

-- name: count_facets
-- How these runs are told apart. One pass, all marginals are added up by the caller.
SELECT agent, agent_version, status_now AS status, coalesce(failure_type, root_failure_type,
           CASE WHEN status_now = 'abandoned' THEN 'orchestration' END, '') AS failure_type,
       coalesce(failure_code, root_failure_code, CASE WHEN status_now = 'abandoned' THEN 'abandoned' END, '') AS failure_code,
       count(*) AS runs
FROM runs_now
WHERE project = :project AND run_id = ANY(:run_ids::uuid[])
GROUP BY 1, 2, 3, 4, 5;

-- name: list_sessions
-- Sessions by their newest run in a window. Its runs are few beside all, and found along runs_newest.
SELECT session_digest AS session, count(*) AS runs, count(*) FILTER (WHERE end_status = 'failure') AS failed,
       array_agg(DISTINCT agent) AS agents, min(started_at) AS first_started_at, max(started_at) AS last_started_at
FROM runs
WHERE project = :project AND session_digest IS NOT NULL AND started_at >= :since AND started_at < :until
GROUP BY session_digest
HAVING :after_at::timestamptz IS NULL OR (max(started_at), session_digest) < (:after_at, :after_session::text)
ORDER BY max(started_at) DESC, session_digest DESC
LIMIT :limit::bigint;

-- name: list_changes
-- Runs by when something of them was last received, along runs_by_receipt: what is looked for is at the end of the table.
SELECT run_id, last_received_at AS received_at, end_status IS NOT NULL AS over
FROM runs
WHERE project = :project AND last_received_at >= :after_at::timestamptz
  AND (last_received_at, run_id) > (:after_at, :after_run_id::uuid)
ORDER BY last_received_at, run_id
LIMIT :limit::bigint;

-- name: pick_runs
-- Those of these runs that pass the filters.
SELECT run.run_id
FROM runs AS run
WHERE run.project = :project AND run.run_id = ANY(:run_ids::uuid[])
  -- include: run_columns
  -- include: run_probes
;
