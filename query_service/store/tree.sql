-- A run with all that it started, read as a whole. As in queries.sql, every statement names its project.

-- name: child_runs
-- The runs that these runs started, along runs_by_parent.
SELECT run_id, parent_run_id
FROM runs
WHERE project = :project AND parent_run_id = ANY(:run_ids::uuid[])
ORDER BY started_at, run_id
LIMIT :limit::bigint;

-- name: list_children
-- A page of the runs that one run started, in the order in which they began, along runs_by_parent.
SELECT run_id
FROM runs
WHERE project = :project AND parent_run_id = :parent_run_id::uuid
  AND (:after_started_at::timestamptz IS NULL OR (started_at, run_id) > (:after_started_at, :after_run_id::uuid))
ORDER BY started_at, run_id
LIMIT :limit::bigint;

-- name: tree_steps
-- All steps of one run in their order, without metadata.
SELECT step_id, parent_step_id, cause_step_id, kind, name, status, attempt, started_at, duration_us, error_class, error_code,
       http_status, coalesce(model, metadata ->> 'model') AS model
FROM steps
WHERE project = :project AND run_id = :run_id AND started_at >= :first_at AND started_at <= :last_at
ORDER BY started_at, seq, step_id
LIMIT :limit::bigint;

-- name: tree_failures
-- The stored failures of these runs in their order.
SELECT run_id, failure_id, step_id, occurred_at, failure_type, failure_code, outcome, caused_by, fingerprint, rule_id
FROM failures
WHERE project = :project AND run_id = ANY(:run_ids::uuid[])
ORDER BY occurred_at, seq, failure_id
LIMIT :limit::bigint;

-- name: one_step
-- A step by its run and id; the bounds of started_at leave the partitions of the run's own days.
SELECT step_id, parent_step_id, cause_step_id, kind, name, status, attempt, 0 AS depth, seq, started_at, duration_us, error_class,
       error_code, http_status, work_digest, returned_code, returned_http_status, returned_exit_status, returned_error_class,
       own_agent, own_agent_version, own_end_reason, session_digest, redacted, cost_nano, cost_currency, metadata
FROM steps
WHERE project = :project AND run_id = :run_id AND started_at >= :first_at AND started_at <= :last_at AND step_id = :step_id
LIMIT 1;
