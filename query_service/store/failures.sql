-- Failures of a project by their fingerprint: groups, and what is told of one of them. From detail: failures are few, and each is
-- wanted with its run. As in queries.sql, every statement names its project.

-- name: failure_groups
-- The kinds of failure of a window, along failures_by_time, or failures_by_fingerprint for one of them. The newest failure's run and
-- step stand for the group.
SELECT fingerprint, agent, failure_type, failure_code, error_class, count(*) AS failures,
       count(*) FILTER (WHERE outcome = 'recovered') AS recovered,
       count(*) FILTER (WHERE outcome IN ('fatal', 'unrecovered')) AS fatal,
       count(DISTINCT run_id) AS runs, array_agg(DISTINCT agent_version) AS versions, max(occurred_at) AS last_occurred_at,
       (array_agg(run_id ORDER BY occurred_at DESC, run_id DESC, failure_id DESC))[1] AS last_run_id,
       (array_agg(step_id ORDER BY occurred_at DESC, run_id DESC, failure_id DESC))[1] AS last_step_id,
       (array_agg(rule_id ORDER BY occurred_at DESC, run_id DESC, failure_id DESC))[1] AS rule_id,
       (array_agg(taxonomy_version ORDER BY occurred_at DESC, run_id DESC, failure_id DESC))[1] AS taxonomy_version
FROM failures
WHERE project = :project AND occurred_at >= :since AND occurred_at < :until AND fingerprint IS NOT NULL
  AND (:fingerprint::text IS NULL OR fingerprint = :fingerprint)
  AND (:agent::text IS NULL OR agent = :agent) AND (:agent_version::text IS NULL OR agent_version = :agent_version)
  AND (:failure_type::text IS NULL OR failure_type = :failure_type)
  AND (:failure_code::text IS NULL OR failure_code = :failure_code)
  AND (:outcome::text IS NULL OR outcome = :outcome)
GROUP BY fingerprint, agent, failure_type, failure_code, error_class
ORDER BY count(*) DESC, fingerprint
LIMIT :limit::bigint;

-- name: first_failures
-- When these kinds of failure occurred first, of all that is stored: one probe of failures_by_fingerprint each.
SELECT asked.fingerprint, first.occurred_at
FROM unnest(:fingerprints::text[]) AS asked (fingerprint)
CROSS JOIN LATERAL (
    SELECT occurred_at FROM failures
    WHERE failures.project = :project AND failures.fingerprint = asked.fingerprint
    ORDER BY occurred_at LIMIT 1
) AS first;

-- name: failure_trends
-- How many failures of these kinds lie in each time bucket.
SELECT fingerprint, width_bucket(occurred_at, :starts::timestamptz[]) - 1 AS bucket, count(*) AS failures
FROM failures
WHERE project = :project AND occurred_at >= :since AND occurred_at < :until AND fingerprint = ANY(:fingerprints::text[])
  AND (:agent::text IS NULL OR agent = :agent) AND (:agent_version::text IS NULL OR agent_version = :agent_version)
  AND (:failure_type::text IS NULL OR failure_type = :failure_type)
  AND (:failure_code::text IS NULL OR failure_code = :failure_code)
  AND (:outcome::text IS NULL OR outcome = :outcome)
GROUP BY 1, 2;

-- name: steps_of_groups
-- The steps of some runs that failures point at. Their start is bounded by their runs', which leaves few partitions.
SELECT run_id, step_id, kind, name
FROM steps
WHERE project = :project AND run_id = ANY(:run_ids::uuid[]) AND step_id = ANY(:step_ids::text[])
  AND started_at >= (SELECT min(first_event_at) FROM runs WHERE project = :project AND run_id = ANY(:run_ids::uuid[]))
  AND started_at <= (SELECT max(last_event_at) FROM runs WHERE project = :project AND run_id = ANY(:run_ids::uuid[]));

-- name: newest_failure
-- Stands for a kind of failure that does not occur in a window.
SELECT fingerprint, agent, failure_type, failure_code, error_class, occurred_at, run_id, step_id, rule_id, taxonomy_version
FROM failures
WHERE project = :project AND fingerprint = :fingerprint
ORDER BY occurred_at DESC, run_id DESC, failure_id DESC
LIMIT 1;

-- name: failures_by_version
-- One kind of failure by version.
SELECT agent_version, count(*) AS failures, count(DISTINCT run_id) AS runs
FROM failures
WHERE project = :project AND fingerprint = :fingerprint AND occurred_at >= :since AND occurred_at < :until
GROUP BY agent_version ORDER BY agent_version;

-- name: failures_by_evidence
-- What the rules saw of one kind of failure, and which of them said so.
SELECT error_class, error_code, http_status, rule_id, taxonomy_version, count(*) AS failures
FROM failures
WHERE project = :project AND fingerprint = :fingerprint AND occurred_at >= :since AND occurred_at < :until
GROUP BY 1, 2, 3, 4, 5 ORDER BY count(*) DESC, 1, 2, 3, 4, 5 LIMIT :limit::bigint;

-- name: newest_runs_of_failure
-- Runs with one kind of failure, by the newest of its failures: as many as there are in :failures_max of them.
SELECT run_id
FROM (
    SELECT run_id, occurred_at FROM failures
    WHERE project = :project AND fingerprint = :fingerprint AND occurred_at < :until
    ORDER BY occurred_at DESC
    LIMIT :failures_max::bigint
) AS newest
GROUP BY run_id ORDER BY max(occurred_at) DESC, run_id DESC LIMIT :limit::bigint;

-- name: path_to_step
-- A step and those around it, the innermost first. Bounded, should they go in a circle.
WITH RECURSIVE up AS (
    SELECT parent_step_id, kind, name, 0 AS depth
    FROM steps
    WHERE project = :project AND run_id = :run_id AND step_id = :step_id AND started_at >= :first_at AND started_at <= :last_at
    UNION ALL
    SELECT steps.parent_step_id, steps.kind, steps.name, depth + 1
    FROM up
    JOIN steps ON steps.project = :project AND steps.run_id = :run_id AND steps.step_id = up.parent_step_id
              AND steps.started_at >= :first_at AND steps.started_at <= :last_at
    WHERE depth < :depth_max::integer
)
SELECT kind, name FROM up ORDER BY depth;

-- name: peer_run
-- The newest run that took the same path, ended well, and had no failure of this kind, of the newest :newest_max on that path.
SELECT run_id
FROM (
    SELECT run_id, started_at, end_status FROM runs
    WHERE project = :project AND shape = :shape
    ORDER BY started_at DESC
    LIMIT :newest_max::bigint
) AS newest
WHERE end_status = 'success' AND NOT EXISTS (
    SELECT 1 FROM failures
    WHERE failures.project = :project AND failures.run_id = newest.run_id AND failures.fingerprint = :fingerprint
)
ORDER BY started_at DESC, run_id DESC
LIMIT 1;
