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
-- Days of steps whose statistics do not add up to the steps: totals of days, deltas, and rollups of the release before. By model,
-- with tokens and cost.
SELECT project, day, agent, name
FROM (
    SELECT project, day, agent, name, model, sum(steps) AS n, sum(latency_us) AS us, sum(input_tokens) AS tokens_in,
           sum(output_tokens) AS tokens_out, sum(cost) AS nano
    FROM (
        SELECT project, period AS day, agent, name, model, steps, latency_us, input_tokens, output_tokens, cost
        FROM step_rollup_totals WHERE span_minutes = 1440
        UNION ALL
        SELECT project, date_trunc('day', minute, 'UTC'), agent, name, model, steps, latency_us, input_tokens, output_tokens, cost
        FROM step_rollup_deltas
        UNION ALL
        SELECT project, date_trunc('day', minute, 'UTC'), agent, name, '', steps, latency_us, 0, 0, 0 FROM step_rollups
    ) AS parts GROUP BY 1, 2, 3, 4, 5
) AS rolled
FULL JOIN (
    SELECT steps.project, date_trunc('day', steps.started_at + time_shift_us * interval '1 microsecond', 'UTC') AS day, steps.agent,
           name, coalesce(model, '') AS model, count(*) AS n, sum(duration_us) AS us, sum(input_tokens) AS tokens_in,
           sum(output_tokens) AS tokens_out, sum(cost_nano) FILTER (WHERE cost_currency = 'USD') AS nano
    FROM steps JOIN runs USING (project, run_id) GROUP BY 1, 2, 3, 4, 5
) AS counted USING (project, day, agent, name, model)
WHERE (coalesce(rolled.n, 0), coalesce(rolled.us, 0), coalesce(rolled.tokens_in, 0), coalesce(rolled.tokens_out, 0),
       coalesce(rolled.nano, 0))
   IS DISTINCT FROM
      (coalesce(counted.n, 0), coalesce(counted.us, 0), coalesce(counted.tokens_in, 0), coalesce(counted.tokens_out, 0),
       coalesce(counted.nano, 0));

-- name: run_rollups
-- As step_rollups, of the runs.
SELECT project, day, agent, status
FROM (
    SELECT project, day, agent, agent_version, status, sum(runs) AS n, sum(latency_us) AS us
    FROM (
        SELECT project, period AS day, agent, agent_version, status, runs, latency_us
        FROM run_rollup_totals WHERE span_minutes = 1440
        UNION ALL
        SELECT project, date_trunc('day', minute, 'UTC'), agent, agent_version, status, runs, latency_us FROM run_rollup_deltas
        UNION ALL
        SELECT project, date_trunc('day', minute, 'UTC'), agent, agent_version, status, runs, latency_us FROM run_rollups
    ) AS parts GROUP BY 1, 2, 3, 4, 5
) AS rolled
FULL JOIN (
    SELECT project, date_trunc('day', started_at, 'UTC') AS day, agent, agent_version, status, count(*) AS n,
           sum(coalesce(latency_us, 0)) AS us
    FROM runs GROUP BY 1, 2, 3, 4, 5
) AS counted USING (project, day, agent, agent_version, status)
WHERE (coalesce(rolled.n, 0), coalesce(rolled.us, 0)) IS DISTINCT FROM (coalesce(counted.n, 0), coalesce(counted.us, 0));

-- name: ledger
-- What the ledger says of a topic.
SELECT partition, covered::text AS covered, lost::text AS lost FROM ingest_ledger WHERE topic = :topic ORDER BY partition;

-- name: dead_letters
-- Where dead letters of a topic lie, and whether they say why.
SELECT partition, record_offset, reason FROM dead_letters WHERE topic = :topic;
