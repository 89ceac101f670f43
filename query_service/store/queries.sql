-- Every statement says `project = :project` although row level security says so too: the one is the filter, the other the lock.
-- Filters that were not given are null. The pool forces a plan for each call's own values, so they fold away, and what is left
-- chooses its index and its partitions at planning time.

-- name: ready
-- Touches what a reader needs (connection, schema, rights) and no row.
SELECT count(*)
FROM (SELECT 1 FROM runs_now WHERE project = :project LIMIT 0) AS nothing, (SELECT 1 FROM stored_partitions LIMIT 0) AS nowhere;

-- name: complete_to
-- What was received until then is stored, whatever its partition: null while one of them is unknown. A topic that was made again
-- under its name counts alone.
WITH newest AS (SELECT DISTINCT ON (topic) topic_id FROM stored_partitions ORDER BY topic, first_at DESC, topic_id)
SELECT CASE WHEN bool_and(complete_to IS NOT NULL) THEN min(complete_to) END
FROM stored_partitions JOIN newest USING (topic_id);

-- name: list_runs
-- The ids of a page, along the index of the filter that is given, each of which has the order of pages: runs_newest, or
-- runs_newest_of_agent, _of_version, _of_status. Runs that are running now, or abandoned, are found by runs_open where they are
-- few.
SELECT run_id
FROM runs
WHERE project = :project
  AND (:agent::text IS NULL OR agent = :agent)
  AND (:agent_version::text IS NULL OR agent_version = :agent_version)
  AND (:status::text IS NULL OR status = CASE :status WHEN 'abandoned' THEN 'running' ELSE :status END)
  AND (coalesce(:status::text, '') NOT IN ('running', 'abandoned') OR end_status IS NULL)
  AND (coalesce(:status::text, '') <> 'abandoned' OR silent_after < now())
  AND (coalesce(:status::text, '') <> 'running' OR silent_after >= now())
  AND (:shape::text IS NULL OR shape = :shape)
  AND (:since::timestamptz IS NULL OR started_at >= :since)
  AND (:until::timestamptz IS NULL OR started_at < :until)
  AND (:after_started_at::timestamptz IS NULL OR (started_at, run_id) < (:after_started_at, :after_run_id::uuid))
ORDER BY started_at DESC, run_id DESC
LIMIT :limit::bigint;

-- name: list_recent_slow_runs
-- The ids of a page of slow runs among the newest :newest_max runs of the other filters, and how many those are: enough where
-- many runs are slow, and all where there are no more.
WITH newest AS MATERIALIZED (
    SELECT run_id, started_at, latency_us
    FROM runs
    WHERE project = :project
      AND (:agent::text IS NULL OR agent = :agent)
      AND (:agent_version::text IS NULL OR agent_version = :agent_version)
      AND (:status::text IS NULL OR status = CASE :status WHEN 'abandoned' THEN 'running' ELSE :status END)
      AND (coalesce(:status::text, '') NOT IN ('running', 'abandoned') OR end_status IS NULL)
      AND (coalesce(:status::text, '') <> 'abandoned' OR silent_after < now())
      AND (coalesce(:status::text, '') <> 'running' OR silent_after >= now())
      AND (:shape::text IS NULL OR shape = :shape)
      AND (:since::timestamptz IS NULL OR started_at >= :since)
      AND (:until::timestamptz IS NULL OR started_at < :until)
      AND (:after_started_at::timestamptz IS NULL OR (started_at, run_id) < (:after_started_at, :after_run_id::uuid))
    ORDER BY started_at DESC, run_id DESC
    LIMIT :newest_max::bigint
)
SELECT (SELECT count(*) FROM newest) AS newest, ARRAY(
    SELECT run_id FROM newest WHERE latency_us >= :min_latency_us::bigint
    ORDER BY started_at DESC, run_id DESC LIMIT :limit::bigint
) AS run_ids;

-- name: list_slow_runs
-- As list_runs, of runs that took at least :min_latency_us: all of them along runs_by_latency, which has all that is needed, and
-- the newest of these. OFFSET keeps the planner from walking the newest runs instead, which takes seconds where all slow ones are
-- old.
SELECT run_id
FROM (
    SELECT run_id, started_at
    FROM runs
    WHERE project = :project AND latency_us >= :min_latency_us::bigint
      AND (:agent::text IS NULL OR agent = :agent)
      AND (:agent_version::text IS NULL OR agent_version = :agent_version)
      AND (:status::text IS NULL OR status = CASE :status WHEN 'abandoned' THEN 'running' ELSE :status END)
      AND (coalesce(:status::text, '') NOT IN ('running', 'abandoned') OR end_status IS NULL)
      AND (coalesce(:status::text, '') <> 'abandoned' OR silent_after < now())
      AND (coalesce(:status::text, '') <> 'running' OR silent_after >= now())
      AND (:shape::text IS NULL OR shape = :shape)
      AND (:since::timestamptz IS NULL OR started_at >= :since)
      AND (:until::timestamptz IS NULL OR started_at < :until)
      AND (:after_started_at::timestamptz IS NULL OR (started_at, run_id) < (:after_started_at, :after_run_id::uuid))
    OFFSET 0
) AS slow
ORDER BY started_at DESC, run_id DESC
LIMIT :limit::bigint;

-- name: list_recent_failed_runs
-- As list_recent_slow_runs, of runs with a given failure. The silence of an abandoned run is a failure without a row.
WITH newest AS MATERIALIZED (
    SELECT run_id, started_at, end_status, silent_after
    FROM runs
    WHERE project = :project
      AND (:agent::text IS NULL OR agent = :agent)
      AND (:agent_version::text IS NULL OR agent_version = :agent_version)
      AND (:status::text IS NULL OR status = CASE :status WHEN 'abandoned' THEN 'running' ELSE :status END)
      AND (coalesce(:status::text, '') NOT IN ('running', 'abandoned') OR end_status IS NULL)
      AND (coalesce(:status::text, '') <> 'abandoned' OR silent_after < now())
      AND (coalesce(:status::text, '') <> 'running' OR silent_after >= now())
      AND (:shape::text IS NULL OR shape = :shape)
      AND (:since::timestamptz IS NULL OR started_at >= :since)
      AND (:until::timestamptz IS NULL OR started_at < :until)
      AND (:after_started_at::timestamptz IS NULL OR (started_at, run_id) < (:after_started_at, :after_run_id::uuid))
      AND (:min_latency_us::bigint IS NULL OR latency_us >= :min_latency_us)
    ORDER BY started_at DESC, run_id DESC
    LIMIT :newest_max::bigint
)
SELECT (SELECT count(*) FROM newest) AS newest, ARRAY(
    SELECT run_id
    FROM newest
    WHERE EXISTS (
        SELECT 1 FROM failures
        WHERE failures.project = :project AND failures.run_id = newest.run_id
          AND (:failure_type::text IS NULL OR failure_type = :failure_type)
          AND (:failure_code::text IS NULL OR failure_code = :failure_code)
          AND (:fingerprint::text IS NULL OR fingerprint = :fingerprint)
    ) OR (
        end_status IS NULL AND silent_after < now() AND coalesce(:failure_type::text, 'orchestration') = 'orchestration'
        AND coalesce(:failure_code::text, 'abandoned') = 'abandoned' AND :fingerprint::text IS NULL
    )
    ORDER BY started_at DESC, run_id DESC
    LIMIT :limit::bigint
) AS run_ids;

-- name: list_failed_runs
-- As list_runs, for runs with a given failure, found from the newest :failures_max of these failures. Most runs fail within an hour
-- of their start: of these, all that began after the oldest failure looked at are found. The others are in runs_long, and are
-- probed. `complete` is false where more failures have to be looked at. So no run is read in vain, whatever is rare or old.
WITH many AS MATERIALIZED (
    SELECT count(*) > :failures_max::bigint AS said
    FROM (
        SELECT 1 FROM failures
        WHERE project = :project AND (:failure_type::text IS NULL OR failure_type = :failure_type)
          AND (:failure_code::text IS NULL OR failure_code = :failure_code)
          AND (:fingerprint::text IS NULL OR fingerprint = :fingerprint)
        LIMIT :failures_max::bigint + 1
    ) AS failed
), found AS MATERIALIZED (
    SELECT run_id, occurred_at
    FROM failures
    WHERE project = :project AND (:failure_type::text IS NULL OR failure_type = :failure_type)
      AND (:failure_code::text IS NULL OR failure_code = :failure_code)
      AND (:fingerprint::text IS NULL OR fingerprint = :fingerprint)
      AND occurred_at <= CASE WHEN (SELECT said FROM many)
                              THEN least(:after_started_at::timestamptz, :until::timestamptz, 'infinity') + interval '1 hour'
                              ELSE 'infinity' END
    ORDER BY occurred_at DESC
    LIMIT :failures_max::bigint
), reach AS MATERIALIZED (
    SELECT CASE WHEN (SELECT said FROM many) AND count(*) = :failures_max::bigint THEN min(occurred_at)
                ELSE '-infinity' END AS low
    FROM found
), asked AS NOT MATERIALIZED (
    SELECT started_at, run_id, end_status, silent_after, first_event_at, last_event_at, declared_started_at
    FROM runs
    WHERE project = :project AND started_at > (SELECT low FROM reach)
      AND (:agent::text IS NULL OR agent = :agent)
      AND (:agent_version::text IS NULL OR agent_version = :agent_version)
      AND (:status::text IS NULL OR status = CASE :status WHEN 'abandoned' THEN 'running' ELSE :status END)
      AND (coalesce(:status::text, '') NOT IN ('running', 'abandoned') OR end_status IS NULL)
      AND (coalesce(:status::text, '') <> 'abandoned' OR silent_after < now())
      AND (coalesce(:status::text, '') <> 'running' OR silent_after >= now())
      AND (:shape::text IS NULL OR shape = :shape)
      AND (:since::timestamptz IS NULL OR started_at >= :since)
      AND (:until::timestamptz IS NULL OR started_at < :until)
      AND (:after_started_at::timestamptz IS NULL OR (started_at, run_id) < (:after_started_at, :after_run_id::uuid))
      AND (:min_latency_us::bigint IS NULL OR latency_us >= :min_latency_us)
), page AS MATERIALIZED (
    (SELECT started_at, run_id FROM asked WHERE run_id = ANY(ARRAY(SELECT DISTINCT run_id FROM found)))
    UNION
    (SELECT started_at, run_id
     FROM asked
     WHERE (SELECT said FROM many)
       AND (last_event_at - first_event_at > interval '1 hour' OR declared_started_at > first_event_at)
       AND EXISTS (
           SELECT 1 FROM failures
           WHERE failures.project = :project AND failures.run_id = asked.run_id
             AND (:failure_type::text IS NULL OR failure_type = :failure_type)
             AND (:failure_code::text IS NULL OR failure_code = :failure_code)
             AND (:fingerprint::text IS NULL OR fingerprint = :fingerprint)
       )
     ORDER BY started_at DESC, run_id DESC
     LIMIT :limit::bigint)
    UNION
    (SELECT started_at, run_id
     FROM asked
     WHERE end_status IS NULL AND silent_after < now() AND coalesce(:failure_type::text, 'orchestration') = 'orchestration'
       AND coalesce(:failure_code::text, 'abandoned') = 'abandoned' AND :fingerprint::text IS NULL
     ORDER BY started_at DESC, run_id DESC
     LIMIT :limit::bigint)
    ORDER BY started_at DESC, run_id DESC
    LIMIT :limit::bigint
)
SELECT (SELECT low = '-infinity' OR (low < :since::timestamptz) IS TRUE FROM reach) AS complete,
       ARRAY(SELECT run_id FROM page ORDER BY started_at DESC, run_id DESC) AS run_ids;

-- name: runs
-- These runs by their key, newest first. A truncated run has more steps or failures than are judged
-- (stream_workers/core/diagnosis.py): derived failures count apart, and are counted only where they can make the difference. Its
-- producers are those that said anything, with what is stored, missing and declared lost of each.
SELECT run_id, agent, agent_version, status_now, started_at,
       ended_at + time_shift_us * interval '1 microsecond' AS ended_at, time_shift_us, latency_us, step_count, error_step_count, failure_count,
       recorded_failure_count, coalesce(failure_type, root_failure_type) AS failure_type,
       coalesce(failure_code, root_failure_code) AS failure_code, coalesce(failure_id, root_failure_id) AS failure_id,
       root_failure_type, root_failure_code, root_failure_id, shape, parent_run_id, parent_step_id, metadata,
       last_received_at, emitted, end_reason, session_digest,
       declared_started_at IS NOT NULL AS start_seen,
       step_count > 1000 OR (failure_count > 200 AND failure_count - (
           SELECT count(*) FROM failures
           WHERE failures.project = :project AND failures.run_id = runs_now.run_id AND failure_rank = 3
       ) > 200) AS truncated,
       (SELECT jsonb_agg(jsonb_build_object('producer', producer, 'emitted', said.emitted, 'stored', said.stored,
                                            'gaps', coalesce(said.gaps, 0), 'declared', coalesce(lost.declared, '{}'))
                         ORDER BY producer)
        FROM (
            SELECT run_producers.producer, run_producers.emitted, numbers.stored,
                   upper(run_producers.seen) - lower(run_producers.seen) - numbers.stored AS gaps
            FROM run_producers
            CROSS JOIN LATERAL (
                SELECT sum(upper(part) - lower(part)) AS stored FROM unnest(run_producers.seen) AS part
            ) AS numbers
            WHERE run_producers.project = :project AND run_producers.run_id = runs_now.run_id
        ) AS said
        FULL JOIN (
            SELECT declared_losses.producer, jsonb_object_agg(declared_losses.reason, declared_losses.total) AS declared
            FROM declared_losses
            WHERE declared_losses.project = :project AND declared_losses.run_id = runs_now.run_id
            GROUP BY declared_losses.producer
        ) AS lost USING (producer)) AS producers
FROM runs_now
WHERE project = :project AND run_id = ANY(:run_ids::uuid[])
ORDER BY started_at DESC, run_id DESC;

-- name: run_extent
-- Whether the run is there, and between which times its steps can lie, as their events say them.
SELECT started_at, first_event_at, last_event_at, time_shift_us FROM runs WHERE project = :project AND run_id = :run_id;

-- name: list_steps
-- The bounds of started_at leave the partitions of the run's own days; a cursor moves the lower one up. Looked at are as many steps
-- as a page has, with all that began in the moment of the first and of the last. `depth` is how many steps of its own moment a step
-- stands under, so that a parent comes before its child (step_order.py).
WITH near AS MATERIALIZED (
    (SELECT * FROM steps
     WHERE project = :project AND run_id = :run_id AND started_at >= :first_at AND started_at <= :last_at
       AND (:after_at::timestamptz IS NULL OR started_at > :after_at)
     ORDER BY started_at FETCH FIRST (:limit::bigint) ROWS WITH TIES)
    UNION ALL
    (SELECT * FROM steps WHERE project = :project AND run_id = :run_id AND started_at = :after_at::timestamptz)
), placed AS MATERIALIZED (
    SELECT near.*, (
        WITH RECURSIVE above AS (
            SELECT steps.parent_step_id FROM steps
            WHERE steps.project = :project AND steps.run_id = :run_id AND steps.started_at = near.started_at
              AND steps.started_at >= :first_at AND steps.started_at <= :last_at AND steps.step_id = near.parent_step_id
            UNION ALL
            SELECT steps.parent_step_id FROM above
            JOIN steps ON steps.project = :project AND steps.run_id = :run_id AND steps.started_at = near.started_at
                      AND steps.started_at >= :first_at AND steps.started_at <= :last_at AND steps.step_id = above.parent_step_id
        )
        SELECT count(*) FROM (SELECT 1 FROM above LIMIT 32) AS counted
    )::integer AS depth
    FROM near
)
SELECT step_id, parent_step_id, cause_step_id, kind, name, status, attempt, depth, seq, started_at, duration_us, error_class,
       error_code, http_status, work_digest, returned_code, returned_http_status, returned_exit_status, returned_error_class,
       own_agent, own_agent_version, own_end_reason, session_digest, redacted, cost_nano, cost_currency, metadata
FROM placed
WHERE :after_at::timestamptz IS NULL
   OR (started_at, depth, seq, step_id) > (:after_at, :after_depth::integer, :after_seq::integer, :after_id::text)
ORDER BY started_at, depth, seq, step_id
LIMIT :limit::bigint;

-- name: steps_there
-- Which of these steps the run has, by the key alone.
SELECT DISTINCT step_id
FROM steps
WHERE project = :project AND run_id = :run_id AND started_at >= :first_at AND started_at <= :last_at
  AND step_id = ANY(:step_ids::text[]);

-- name: list_failures
-- The stored failures and, for a run that is abandoned now, its silence as one more failure, so that both page as one list. The stored
-- ones are a page along failures_of_run by themselves: a run with many costs no more than one with some.
SELECT *
FROM (
    (SELECT failure_id, failure_rank, failure_type, failure_code, rule_id, taxonomy_version, occurred_at, seq, step_id, attempt,
            error_class, error_code, http_status, errno, retry_after_s, message_chars, message_fingerprint, outcome, caused_by,
            fingerprint,
            failure_id = (SELECT root_failure_id FROM runs WHERE project = :project AND run_id = :run_id) IS TRUE AS is_root
     FROM failures
     WHERE project = :project AND run_id = :run_id
       AND (:after_at::timestamptz IS NULL OR (occurred_at, seq, failure_id) > (:after_at, :after_seq::integer, :after_id::text))
     ORDER BY occurred_at, seq, failure_id
     LIMIT :limit::bigint)
    UNION ALL
    SELECT 'abandoned', NULL, 'orchestration', 'abandoned', 'silence', NULL, silent_after, 2147483647, NULL, NULL,
           NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false
    FROM runs
    WHERE project = :project AND run_id = :run_id AND end_status IS NULL AND silent_after < now()
) AS shown
WHERE :after_at::timestamptz IS NULL OR (occurred_at, seq, failure_id) > (:after_at, :after_seq::integer, :after_id::text)
ORDER BY occurred_at, seq, failure_id
LIMIT :limit::bigint;

-- name: count_runs
-- Totals of the window's parts, the deltas that are not compacted yet, and what workers of the release before wrote: in one
-- statement, so that each figure is counted once. OFFSET keeps the parts apart: each is a range of the key, however wrong its
-- estimate is. Histograms, one behind the other, add up. More rows than the limit are counted wrong. Columns that are not in :by
-- are not told apart; :starts are those of the time buckets.
SELECT width_bucket(period, :starts::timestamptz[]) - 1 AS bucket,
       CASE WHEN 'agent' = ANY(:by::text[]) THEN agent ELSE '' END AS agent,
       CASE WHEN 'agent_version' = ANY(:by::text[]) THEN agent_version ELSE '' END AS agent_version,
       CASE WHEN 'status' = ANY(:by::text[]) THEN status ELSE '' END AS status,
       CASE WHEN 'failure_type' = ANY(:by::text[]) THEN failure_type ELSE '' END AS failure_type,
       CASE WHEN 'failure_code' = ANY(:by::text[]) THEN failure_code ELSE '' END AS failure_code,
       sum(runs)::bigint AS runs, string_agg(CASE WHEN :histograms::boolean THEN histogram END, ''::bytea) AS histogram,
       count(*) AS figures
FROM (
    SELECT period, agent, agent_version, status, failure_type, failure_code, runs, histogram
    FROM unnest(:spans::smallint[], :sinces::timestamptz[], :untils::timestamptz[]) AS part (span, since, until)
    CROSS JOIN LATERAL (
        SELECT period, agent, agent_version, status, failure_type, failure_code, runs, histogram
        FROM run_rollup_totals AS totals
        WHERE project = :project AND span_minutes = part.span AND period >= part.since AND period < part.until
          AND (:agent::text IS NULL OR agent = :agent) AND (:agent_version::text IS NULL OR agent_version = :agent_version)
          AND (:failure_type::text IS NULL OR failure_type = :failure_type)
          AND (:failure_code::text IS NULL OR failure_code = :failure_code)
        OFFSET 0
    ) AS totals
    UNION ALL
    SELECT minute, agent, agent_version, status, failure_type, failure_code, runs, histogram
    FROM run_rollup_deltas
    WHERE project = :project AND minute >= :since AND minute < :until
      AND (:agent::text IS NULL OR agent = :agent) AND (:agent_version::text IS NULL OR agent_version = :agent_version)
      AND (:failure_type::text IS NULL OR failure_type = :failure_type)
      AND (:failure_code::text IS NULL OR failure_code = :failure_code)
    UNION ALL
    SELECT minute, agent, agent_version, status, failure_type, failure_code, runs, int2send(latency_bucket) || int8send(runs)
    FROM run_rollups
    WHERE project = :project AND minute >= :since AND minute < :until
      AND (:agent::text IS NULL OR agent = :agent) AND (:agent_version::text IS NULL OR agent_version = :agent_version)
      AND (:failure_type::text IS NULL OR failure_type = :failure_type)
      AND (:failure_code::text IS NULL OR failure_code = :failure_code)
    LIMIT :limit::bigint
) AS found
GROUP BY 1, 2, 3, 4, 5, 6;

-- name: count_steps
-- As count_runs, for steps, with their tokens and what senders said of their cost.
SELECT width_bucket(period, :starts::timestamptz[]) - 1 AS bucket,
       CASE WHEN 'agent' = ANY(:by::text[]) THEN agent ELSE '' END AS agent,
       CASE WHEN 'agent_version' = ANY(:by::text[]) THEN agent_version ELSE '' END AS agent_version,
       CASE WHEN 'kind' = ANY(:by::text[]) THEN kind ELSE '' END AS kind,
       CASE WHEN 'name' = ANY(:by::text[]) THEN name ELSE '' END AS name,
       CASE WHEN 'status' = ANY(:by::text[]) THEN status ELSE '' END AS status,
       CASE WHEN 'model' = ANY(:by::text[]) THEN model ELSE '' END AS model,
       sum(steps)::bigint AS steps, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, sum(cost) AS cost,
       string_agg(CASE WHEN :histograms::boolean THEN histogram END, ''::bytea) AS histogram, count(*) AS figures
FROM (
    SELECT period, agent, agent_version, kind, name, status, model, steps, input_tokens, output_tokens, cost, histogram
    FROM unnest(:spans::smallint[], :sinces::timestamptz[], :untils::timestamptz[]) AS part (span, since, until)
    CROSS JOIN LATERAL (
        SELECT period, agent, agent_version, kind, name, status, model, steps, input_tokens, output_tokens, cost, histogram
        FROM step_rollup_totals AS totals
        WHERE project = :project AND span_minutes = part.span AND period >= part.since AND period < part.until
          AND (:agent::text IS NULL OR agent = :agent) AND (:agent_version::text IS NULL OR agent_version = :agent_version)
          AND (:kind::text IS NULL OR kind = :kind) AND (:name::text IS NULL OR name = :name)
          AND (:model::text IS NULL OR model = :model)
        OFFSET 0
    ) AS totals
    UNION ALL
    SELECT minute, agent, agent_version, kind, name, status, model, steps, input_tokens, output_tokens, cost, histogram
    FROM step_rollup_deltas
    WHERE project = :project AND minute >= :since AND minute < :until
      AND (:agent::text IS NULL OR agent = :agent) AND (:agent_version::text IS NULL OR agent_version = :agent_version)
      AND (:kind::text IS NULL OR kind = :kind) AND (:name::text IS NULL OR name = :name)
      AND (:model::text IS NULL OR model = :model)
    UNION ALL
    SELECT minute, agent, agent_version, kind, name, status, '', steps, 0, 0, 0, int2send(latency_bucket) || int8send(steps)
    FROM step_rollups
    WHERE project = :project AND minute >= :since AND minute < :until
      AND (:agent::text IS NULL OR agent = :agent) AND (:agent_version::text IS NULL OR agent_version = :agent_version)
      AND (:kind::text IS NULL OR kind = :kind) AND (:name::text IS NULL OR name = :name) AND coalesce(:model::text, '') = ''
    LIMIT :limit::bigint
) AS found
GROUP BY 1, 2, 3, 4, 5, 6, 7;

-- name: count_abandoned
-- Rollups say `running` of a run that fell silent, since nothing is written when nothing happens. The partial index runs_open holds
-- the few that are open. A run without a failure has the failure orchestration/abandoned, and '' in both columns here.
SELECT width_bucket(started_at, :starts::timestamptz[]) - 1 AS bucket,
       CASE WHEN 'agent' = ANY(:by::text[]) THEN agent ELSE '' END AS agent,
       CASE WHEN 'agent_version' = ANY(:by::text[]) THEN agent_version ELSE '' END AS agent_version,
       coalesce(failure_type, root_failure_type, '') AS failure_type, coalesce(failure_code, root_failure_code, '') AS failure_code,
       count(*) AS runs
FROM runs
WHERE project = :project AND end_status IS NULL AND silent_after < now()
  AND started_at >= :since AND started_at < :until
  AND (:agent::text IS NULL OR agent = :agent) AND (:agent_version::text IS NULL OR agent_version = :agent_version)
  AND (:failure_type::text IS NULL OR coalesce(failure_type, root_failure_type, 'orchestration') = :failure_type)
  AND (:failure_code::text IS NULL OR coalesce(failure_code, root_failure_code, 'abandoned') = :failure_code)
GROUP BY 1, 2, 3, 4, 5;

-- name: days_seen
-- The first and the last day on which statistics know an agent and version: from totals by day, what is not compacted yet, and what
-- workers of the release before wrote.
SELECT agent, agent_version, min(day) AS first_day, max(day) AS last_day
FROM (
    SELECT agent, agent_version, period AS day
    FROM run_rollup_totals
    WHERE project = :project AND span_minutes = 1440 AND (:agent::text IS NULL OR agent = :agent)
    UNION ALL
    SELECT agent, agent_version, date_trunc('day', minute, 'UTC')
    FROM run_rollup_deltas
    WHERE project = :project AND (:agent::text IS NULL OR agent = :agent)
    UNION ALL
    SELECT agent, agent_version, date_trunc('day', minute, 'UTC')
    FROM run_rollups
    WHERE project = :project AND (:agent::text IS NULL OR agent = :agent)
) AS known
GROUP BY agent, agent_version
ORDER BY agent, agent_version;

-- name: moments_seen
-- More precisely: the first and the last hour of these, and minute of what is not compacted yet, in which each of these agents and
-- versions was seen. One walk along the key, whatever their number is.
SELECT agent, agent_version, min(at) AS first, max(at) AS last
FROM (
    SELECT agent, agent_version, period AS at
    FROM run_rollup_totals
    WHERE project = :project AND span_minutes = 60 AND period = ANY(:hours::timestamptz[])
    UNION ALL
    SELECT agent, agent_version, minute
    FROM run_rollup_deltas
    WHERE project = :project AND date_trunc('hour', minute, 'UTC') = ANY(:hours::timestamptz[])
) AS known
JOIN unnest(:agents::text[], :agent_versions::text[], :days::timestamptz[]) AS asked (agent, agent_version, day)
USING (agent, agent_version)
WHERE at >= day AND at < day + interval '1 day'
GROUP BY agent, agent_version, day;

-- name: group_failures
-- The most frequent kinds of failure by when they occurred, along failures_by_time. Detail and no rollup: failures are few.
SELECT fingerprint, agent, failure_type, failure_code, error_class, count(*) AS failures,
       count(*) FILTER (WHERE outcome = 'recovered') AS recovered, count(DISTINCT run_id) AS runs,
       max(occurred_at) AS last_occurred_at, (array_agg(run_id ORDER BY occurred_at DESC, run_id DESC))[1] AS last_run_id
FROM failures
WHERE project = :project AND occurred_at >= :since AND occurred_at < :until AND fingerprint IS NOT NULL
  AND (:agent::text IS NULL OR agent = :agent) AND (:agent_version::text IS NULL OR agent_version = :agent_version)
GROUP BY fingerprint, agent, failure_type, failure_code, error_class
ORDER BY count(*) DESC, fingerprint
LIMIT :limit::bigint;
