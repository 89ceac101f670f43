-- The store recounted from its own detail rows, by statements that share nothing with the workers'. Each answers what is wrong.

-- name: run_counters
-- Counters of runs that do not equal the number of rows that they count.
SELECT runs.project, runs.run_id::text AS run_id
FROM runs
LEFT JOIN (
    SELECT project, run_id, count(*) AS steps, count(*) FILTER (WHERE status = 'error') AS errors FROM steps GROUP BY 1, 2
) AS of_steps USING (project, run_id)
LEFT JOIN (
    SELECT project, run_id, count(*) AS failures, count(*) FILTER (WHERE failure_rank = 0) AS recorded FROM failures GROUP BY 1, 2
) AS of_failures USING (project, run_id)
WHERE (step_count, error_step_count, failure_count, recorded_failure_count)
   IS DISTINCT FROM (coalesce(steps, 0), coalesce(errors, 0), coalesce(failures, 0), coalesce(recorded, 0));

-- name: step_rollups
-- Minutes of steps whose rollups do not add up to the steps.
SELECT project, minute, agent, name
FROM (
    SELECT project, minute, agent, name, sum(steps) AS n, sum(latency_us) AS us FROM step_rollups GROUP BY 1, 2, 3, 4
) AS rolled
FULL JOIN (
    SELECT project, date_trunc('minute', started_at) AS minute, agent, name, count(*) AS n, sum(duration_us) AS us
    FROM steps GROUP BY 1, 2, 3, 4
) AS counted USING (project, minute, agent, name)
WHERE (coalesce(rolled.n, 0), coalesce(rolled.us, 0)) IS DISTINCT FROM (coalesce(counted.n, 0), coalesce(counted.us, 0));

-- name: run_rollups
-- Minutes of runs whose rollups do not add up to the runs.
SELECT project, minute, agent, status
FROM (
    SELECT project, minute, agent, agent_version, status, sum(runs) AS n, sum(latency_us) AS us
    FROM run_rollups GROUP BY 1, 2, 3, 4, 5
) AS rolled
FULL JOIN (
    SELECT project, date_trunc('minute', started_at) AS minute, agent, agent_version, status, count(*) AS n,
           sum(coalesce(latency_us, 0)) AS us
    FROM runs GROUP BY 1, 2, 3, 4, 5
) AS counted USING (project, minute, agent, agent_version, status)
WHERE (coalesce(rolled.n, 0), coalesce(rolled.us, 0)) IS DISTINCT FROM (coalesce(counted.n, 0), coalesce(counted.us, 0));

-- name: ledger
-- What the ledger says of a topic.
SELECT partition, covered::text AS covered, lost::text AS lost FROM ingest_ledger WHERE topic = $1 ORDER BY partition;

-- name: dead_letters
-- Where dead letters of a topic lie, and whether they say why.
SELECT partition, record_offset, reason FROM dead_letters WHERE topic = $1;
