-- What verify asks the store. All of it in one read-only snapshot, as the schema's owner, who sees every project.

-- name: ledger
-- The coverage of one topic. Rows of a topic of the same name that was deleted carry another id.
SELECT partition, covered, lost FROM ingest_ledger WHERE topic_id = $1;

-- name: other_topics
-- Topics whose rows are in the store as well: nobody can fold what is gone.
SELECT count(DISTINCT topic_id) FROM ingest_ledger WHERE topic_id <> $1 AND covered + lost <> '{}';

-- name: letters
-- Records that were buried and not dug out again: their rows are not in the store, and must not be.
SELECT partition, record_offset, reason FROM dead_letters WHERE topic_id = $1 AND retried_at IS NULL;

-- name: deletions
-- What the topic may still have and the store must not.
SELECT project, run_id::text AS run_id FROM deletions;

-- name: runs
-- Every run there is, by name and first event, so that rows that nobody sent are found.
SELECT project, run_id::text AS run_id, (extract(epoch FROM first_event_at) * 1000000)::bigint AS first_event_us FROM runs;

-- name: orphans
-- Rows of runs that have no row themselves.
SELECT 'steps' AS table_name, count(*) AS orphans FROM steps WHERE NOT EXISTS (
    SELECT FROM runs WHERE runs.project = steps.project AND runs.run_id = steps.run_id)
UNION ALL
SELECT 'failures', count(*) FROM failures WHERE NOT EXISTS (
    SELECT FROM runs WHERE runs.project = failures.project AND runs.run_id = failures.run_id)
UNION ALL
SELECT 'declared_losses', count(*) FROM declared_losses WHERE NOT EXISTS (
    SELECT FROM runs WHERE runs.project = declared_losses.project AND runs.run_id = declared_losses.run_id)
UNION ALL
SELECT 'run_producers', count(*) FROM run_producers WHERE NOT EXISTS (
    SELECT FROM runs WHERE runs.project = run_producers.project AND runs.run_id = run_producers.run_id);

-- name: wrong_run_rollups
-- Rollups are what GROUP BY over the runs gives; the runs themselves are compared with the fold.
WITH wanted AS (
    SELECT project, date_trunc('minute', started_at) AS minute, agent, agent_version, status,
           coalesce(failure_type, root_failure_type, '') AS failure_type,
           coalesce(failure_code, root_failure_code, '') AS failure_code,
           coalesce(latency_bucket(latency_us), -1::smallint) AS latency_bucket, count(*) AS runs,
           sum(coalesce(latency_us, 0))::bigint AS latency_us
    FROM runs GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
), found AS (
    SELECT * FROM run_rollups WHERE runs <> 0 OR latency_us <> 0
)
SELECT count(*)
FROM wanted FULL JOIN found
  USING (project, minute, agent, agent_version, status, failure_type, failure_code, latency_bucket)
WHERE (wanted.runs, wanted.latency_us) IS DISTINCT FROM (found.runs, found.latency_us);

-- name: wrong_step_rollups
-- As wrong_run_rollups, over the steps.
WITH wanted AS (
    SELECT project, date_trunc('minute', started_at) AS minute, agent, agent_version, kind, name, status, latency_bucket,
           count(*) AS steps, sum(duration_us)::bigint AS latency_us
    FROM steps GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
), found AS (
    SELECT * FROM step_rollups WHERE steps <> 0 OR latency_us <> 0
)
SELECT count(*)
FROM wanted FULL JOIN found USING (project, minute, agent, agent_version, kind, name, status, latency_bucket)
WHERE (wanted.steps, wanted.latency_us) IS DISTINCT FROM (found.steps, found.latency_us);
