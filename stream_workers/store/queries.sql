-- The workers' statements. One transaction: lock_ledger, known_runs, COPY into the stages, move_steps and move_failures of runs
-- whose first receipt is another one now, write_steps, write_failures, the diagnosis of known runs (last_judged to judge_failures), write_runs, write_producers, write_losses, release_parked,
-- dead_letter, cover_offsets. Always in this order and sorted by key, so that no two transactions can deadlock.
-- Times come as integer microseconds and become timestamptz here: exact, and cheaper than datetimes in Python.

-- name: create_stages
-- Once a connection. Temporary tables belong to it alone, are never logged, and empty themselves at the end of a transaction.
CREATE TEMPORARY TABLE stage_steps (
    project text COLLATE "C", run_id uuid, step_id text COLLATE "C", started_us bigint, duration_us bigint, seq integer,
    http_status smallint, latency_bucket smallint, attempt smallint, errno integer, kind text, name text, status text,
    agent text, agent_version text, parent_step_id text, cause_step_id text, error_class text, error_code text,
    retry_after_s integer, metadata text, work_digest text, returned_code text, returned_http_status smallint,
    returned_exit_status integer, returned_error_class text, own_agent text, own_agent_version text, own_end_reason text,
    session_digest text, redacted integer, cost_nano bigint, cost_currency text, model text, input_tokens integer,
    output_tokens integer, cache_read_tokens integer, reasoning_tokens integer
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE stage_failures (
    project text COLLATE "C", run_id uuid, failure_id text COLLATE "C", failure_rank smallint, occurred_us bigint,
    failure_type text, failure_code text, rule_id text, taxonomy_version smallint, step_id text, attempt smallint,
    error_class text, error_code text, http_status smallint, errno integer, retry_after_s integer, message_chars integer,
    message_fingerprint text, seq integer, agent text, agent_version text, outcome text, caused_by text, fingerprint text
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE stage_runs (
    project text COLLATE "C", run_id uuid, identity_rank smallint, agent text COLLATE "C", agent_version text COLLATE "C",
    declared_started_us bigint, start_digest bigint, parent_run_id uuid, parent_step_id text, metadata text,
    declared_kind text, ended_us bigint, end_digest bigint, end_status text, said_success boolean, emitted integer,
    end_reason text, end_rank smallint,
    failure_rank smallint, failure_us bigint, failure_id text COLLATE "C", failure_type text COLLATE "C",
    failure_code text COLLATE "C",
    abandon_after_s integer, session_digest text COLLATE "C", first_ended_us bigint, first_event_us bigint, last_event_us bigint,
    last_received_us bigint, first_received_us bigint, first_sent_us bigint,
    root_failure_id text, root_failure_type text, root_failure_code text, shape text, watched bigint[], recheck_steps integer,
    recheck_until_us bigint
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE stage_producers (
    project text COLLATE "C", run_id uuid, producer text COLLATE "C", seen int4multirange, emitted integer
) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE stage_counts (
    project text COLLATE "C", run_id uuid, steps integer, error_steps integer, failures integer, recorded_failures integer
) ON COMMIT DELETE ROWS;
CREATE INDEX stage_counts_of_run ON stage_counts (project, run_id);  -- else a batch costs the square of its runs
CREATE TEMPORARY TABLE stage_shifts (
    project text COLLATE "C", run_id uuid, old_us bigint, new_us bigint
) ON COMMIT DELETE ROWS;
CREATE INDEX stage_shifts_of_run ON stage_shifts (project, run_id);  -- likewise

-- name: end_overdue
-- Ends the sessions of workers that were stopped in the middle of a COPY: the server's own limits do not hold while it waits for
-- data, and the ledger's rows stay locked. No other worker's transaction lasts so long.
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE usename = current_user AND datname = current_database() AND application_name = :application AND pid <> pg_backend_pid()
    AND xact_start < now() - make_interval(secs => :limit_s);

-- name: limit_partition
-- For the transaction of the next statement: readers and writers of steps wait for it no longer than this.
SET LOCAL statement_timeout = '2s';

-- name: ensure_partition
-- Makes a day's partition, or finds that it is there. Ends with 55P03 where another transaction holds the steps.
SELECT ensure_steps_partition(:day);

-- name: lock_ledger
-- Makes the partitions' rows if they are new, locks them until the end, and returns how far each is covered without a gap, and
-- its epoch. One above the writer's means that another worker took the partition. A lower one is of a store that was restored.
INSERT INTO ingest_ledger AS ledger (topic_id, partition, topic, covered, epoch, updated_at)
SELECT :topic_id, partition, :topic, '{}', epoch, now()
FROM unnest(:partitions::integer[], :epochs::bigint[]) AS ours (partition, epoch)
ORDER BY partition
ON CONFLICT (topic_id, partition) DO UPDATE SET topic = excluded.topic, epoch = greatest(ledger.epoch, excluded.epoch)
RETURNING partition, epoch, coalesce(
    (SELECT upper(covered_range) FROM unnest(ledger.covered + ledger.lost) AS covered_range WHERE lower(covered_range) = 0), 0
) AS frontier;

-- name: any_deletions
-- Most stores have no deletions at all.
SELECT EXISTS (SELECT 1 FROM deletions);

-- name: deletions
-- Those of these runs that were deleted. A deletion locks the ledger first, so none happens while this transaction runs.
SELECT project, run_id::text AS run_id FROM deletions
WHERE project = ANY(:projects::text[]) AND (run_id IS NULL OR run_id = ANY(:run_ids::uuid[]));

-- name: frontiers
-- How far each partition is covered without a gap. Partitions never seen are absent.
SELECT partition, coalesce(
    (SELECT upper(covered_range) FROM unnest(covered + lost) AS covered_range WHERE lower(covered_range) = 0), 0
) AS frontier
FROM ingest_ledger WHERE topic_id = :topic_id AND partition = ANY(:partitions::integer[]);

-- name: take_partitions
-- Makes the caller the owner of these partitions: an earlier owner is refused from now on. Returns how far each is covered, as
-- frontiers does. Waits for a transaction that has a row locked, which so comes before the change.
INSERT INTO ingest_ledger AS ledger (topic_id, partition, topic, covered, epoch, owner, taken_at, updated_at)
SELECT :topic_id, partition, :topic, '{}', 1, :owner, now(), now()
FROM unnest(:partitions::integer[]) AS partition ORDER BY partition
ON CONFLICT (topic_id, partition) DO UPDATE
SET topic = excluded.topic, epoch = ledger.epoch + 1, owner = excluded.owner, taken_at = excluded.taken_at
RETURNING partition, epoch, coalesce(
    (SELECT upper(covered_range) FROM unnest(ledger.covered + ledger.lost) AS covered_range WHERE lower(covered_range) = 0), 0
) AS frontier;

-- name: record_lost
-- Offsets that the log no longer had when they were due: recorded for ever, and no longer waited for. Returns the epoch of the
-- row, or nothing where another worker took the partition. A null epoch is never refused.
INSERT INTO ingest_ledger AS ledger (topic_id, partition, topic, covered, lost, updated_at)
VALUES (:topic_id, :partition, :topic, '{}', int8multirange(int8range(:first_lost, :end_lost)), now())
ON CONFLICT (topic_id, partition) DO UPDATE
SET lost = ledger.lost + (excluded.lost - ledger.covered), updated_at = now()
WHERE ledger.epoch <= coalesce(:epoch::bigint, ledger.epoch)
RETURNING epoch;

-- name: known_runs
-- Those of these runs of a project that the store has, and their diagnosis. Locked: another writer of one of them waits for ours.
-- One project at a time: only its key can be used then, whatever statistics say, and one server of a cluster has the rows.
SELECT run_id::text AS run_id, step_count, failure_count,
       (extract(epoch FROM ended_at) * 1000000)::bigint AS ended_us, end_digest, end_status, said_success, emitted,
       end_reason, end_rank,
       root_failure_id, root_failure_type, root_failure_code, shape, watched,
       recheck_steps, (extract(epoch FROM recheck_until) * 1000000)::bigint AS recheck_until_us,
       (extract(epoch FROM first_event_at) * 1000000)::bigint AS first_event_us,
       (extract(epoch FROM last_event_at) * 1000000)::bigint AS last_event_us,
       (extract(epoch FROM first_received_at) * 1000000)::bigint AS first_received_us,
       (extract(epoch FROM first_sent_at) * 1000000)::bigint AS first_sent_us
FROM runs
WHERE project = :project AND run_id = ANY(:run_ids::uuid[])
ORDER BY run_id
FOR NO KEY UPDATE;

-- name: steps_of_runs
-- The first :steps_max steps of each of these runs of a project, in the columns of core's `StepNode`. The times leave
-- the partitions of the run's own days.
SELECT asked.run_id::text AS run_id, place.*
FROM unnest(:run_ids::uuid[], :first_us::bigint[], :last_us::bigint[]) AS asked (run_id, first_us, last_us)
CROSS JOIN LATERAL (
    SELECT step_id, (extract(epoch FROM started_at) * 1000000)::bigint AS started_us, seq, kind, name, status, parent_step_id,
           agent, agent_version, duration_us, work_digest, returned_code
    FROM steps
    WHERE steps.project = :project AND steps.run_id = asked.run_id
      AND started_at >= 'epoch'::timestamptz + asked.first_us * interval '1 microsecond'
      AND started_at <= 'epoch'::timestamptz + asked.last_us * interval '1 microsecond'
    ORDER BY started_at, step_id
    LIMIT :steps_max::bigint
) AS place;

-- name: last_judged
-- When the last judged failure occurred, of each of these runs of a project that has :failures_max or more, derived ones aside:
-- later ones change nothing.
SELECT asked.run_id::text AS run_id, (extract(epoch FROM last.occurred_at) * 1000000)::bigint AS occurred_us
FROM unnest(:run_ids::uuid[]) AS asked (run_id)
CROSS JOIN LATERAL (
    SELECT occurred_at FROM failures
    WHERE failures.project = :project AND failures.run_id = asked.run_id AND failure_rank <> 3
    ORDER BY occurred_at, seq, failure_id OFFSET :failures_max::bigint - 1 LIMIT 1
) AS last;

-- name: failures_of_runs
-- The first failures of each of these runs of a project that events reported, as many as :failures says, and those that were
-- derived. Along failures_of_run and failures_derived, so that a run with many costs no more than one with some.
SELECT (extract(epoch FROM found.occurred_at) * 1000000)::bigint AS occurred_us, found.*
FROM unnest(:run_ids::uuid[], :failures::bigint[]) AS asked (run_id, failures)
CROSS JOIN LATERAL (
    (SELECT * FROM failures
     WHERE failures.project = :project AND failures.run_id = asked.run_id AND failure_rank <> 3
     ORDER BY occurred_at, seq, failure_id LIMIT asked.failures)
    UNION ALL
    (SELECT * FROM failures
     WHERE failures.project = :project AND failures.run_id = asked.run_id AND failure_rank = 3)
) AS found;

-- name: empty_failure_stage
-- For failures that the diagnosis adds to those that events said.
DELETE FROM stage_failures;

-- name: judge_failures
-- The verdicts of failures of a project that are stored already.
UPDATE failures SET outcome = said.outcome, caused_by = said.caused_by, fingerprint = said.fingerprint
FROM unnest(:run_ids::uuid[], :failure_ids::text[], :outcomes::text[], :causes::text[], :fingerprints::text[])
    AS said (run_id, failure_id, outcome, caused_by, fingerprint)
WHERE failures.project = :project AND failures.run_id = said.run_id AND failures.failure_id = said.failure_id;

-- name: move_steps
-- Runs of a project whose times move by another amount from now on: what statistics count of their stored steps moves along.
-- That is seldom: a record that was received before all others of its run comes after one of them.
WITH moved AS (
    SELECT date_trunc('minute', started_at + shift.us * interval '1 microsecond') AS minute, agent, agent_version, kind, name,
           status, coalesce(model, '') AS model, latency_bucket, shift.sign, duration_us,
           coalesce(input_tokens, 0) AS input_tokens, coalesce(output_tokens, 0) AS output_tokens,
           CASE cost_currency WHEN 'USD' THEN cost_nano ELSE 0 END AS cost
    FROM stage_shifts
    JOIN steps ON steps.project = :project AND steps.run_id = stage_shifts.run_id
    CROSS JOIN LATERAL (VALUES (old_us, -1), (new_us, 1)) AS shift (us, sign)
    WHERE stage_shifts.project = :project AND old_us <> new_us
), by_bucket AS (
    SELECT minute, agent, agent_version, kind, name, status, model, latency_bucket,
           sum(sign) AS steps, sum(sign * duration_us) AS latency_us, sum(sign * input_tokens) AS input_tokens,
           sum(sign * output_tokens) AS output_tokens, sum(sign * cost) AS cost
    FROM moved GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
)
INSERT INTO step_rollup_deltas (
    project, minute, agent, agent_version, kind, name, status, model, steps, latency_us, input_tokens, output_tokens, cost,
    histogram
)
SELECT :project, minute, agent, agent_version, kind, name, status, model, sum(steps)::bigint, sum(latency_us),
       sum(input_tokens), sum(output_tokens), sum(cost),
       string_agg(int2send(latency_bucket) || int8send(steps::bigint), ''::bytea ORDER BY latency_bucket)
FROM by_bucket GROUP BY 2, 3, 4, 5, 6, 7, 8
ON CONFLICT DO NOTHING;

-- name: move_failures
-- As move_steps: stored failures of such runs are listed at another time.
WITH moved AS (
    SELECT failures.run_id, failure_id, occurred_at + (new_us - old_us) * interval '1 microsecond' AS occurred_at
    FROM stage_shifts JOIN failures ON failures.project = :project AND failures.run_id = stage_shifts.run_id
    WHERE stage_shifts.project = :project AND old_us <> new_us
)
UPDATE failures SET occurred_at = moved.occurred_at
FROM moved WHERE failures.project = :project AND failures.run_id = moved.run_id AND failures.failure_id = moved.failure_id;

-- name: write_steps
-- Inserts new steps, and counts and rolls up exactly these. Returns how many were new. `shifted`: times of runs in stage_shifts move.
WITH inserted AS (
    INSERT INTO steps (
        project, run_id, step_id, started_at, duration_us, seq, http_status, latency_bucket, attempt, errno, kind, name, status,
        agent, agent_version, parent_step_id, cause_step_id, error_class, error_code, retry_after_s, metadata,
        work_digest, returned_code, returned_http_status, returned_exit_status, returned_error_class, own_agent,
        own_agent_version, own_end_reason, session_digest, redacted, cost_nano, cost_currency, model, input_tokens, output_tokens,
        cache_read_tokens, reasoning_tokens
    )
    SELECT project, run_id, step_id, 'epoch'::timestamptz + started_us * interval '1 microsecond', duration_us, seq,
           http_status, latency_bucket, attempt, errno, kind, name, status, agent, agent_version, parent_step_id,
           cause_step_id, error_class, error_code, retry_after_s, metadata::json,
           work_digest, returned_code, returned_http_status, returned_exit_status, returned_error_class, own_agent,
           own_agent_version, own_end_reason, session_digest, redacted, cost_nano, cost_currency, model, input_tokens,
           output_tokens, cache_read_tokens, reasoning_tokens
    FROM stage_steps ORDER BY project, run_id, started_us, step_id
    ON CONFLICT DO NOTHING
    RETURNING project, run_id, started_at, agent, agent_version, kind, name, status, coalesce(model, '') AS model,
              latency_bucket, duration_us, coalesce(input_tokens, 0) AS input_tokens, coalesce(output_tokens, 0) AS output_tokens,
              CASE cost_currency WHEN 'USD' THEN cost_nano ELSE 0 END AS cost
), counted AS (
    INSERT INTO stage_counts (project, run_id, steps, error_steps, failures, recorded_failures)
    SELECT project, run_id, count(*), count(*) FILTER (WHERE status = 'error'), 0, 0 FROM inserted GROUP BY project, run_id
), by_bucket AS (
    SELECT inserted.project, date_trunc('minute', started_at + coalesce(new_us, 0) * interval '1 microsecond') AS minute, agent,
           agent_version, kind, name, status, model, latency_bucket,
           count(*) AS steps, sum(duration_us) AS latency_us, sum(input_tokens) AS input_tokens,
           sum(output_tokens) AS output_tokens, sum(cost) AS cost
    FROM inserted
    LEFT JOIN stage_shifts
      ON :shifted::boolean AND stage_shifts.project = inserted.project AND stage_shifts.run_id = inserted.run_id
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
), rolled_up AS (
    INSERT INTO step_rollup_deltas (
        project, minute, agent, agent_version, kind, name, status, model, steps, latency_us, input_tokens, output_tokens, cost,
        histogram
    )
    SELECT project, minute, agent, agent_version, kind, name, status, model, sum(steps)::bigint, sum(latency_us),
           sum(input_tokens), sum(output_tokens), sum(cost),
           string_agg(int2send(latency_bucket) || int8send(steps), ''::bytea ORDER BY latency_bucket)
    FROM by_bucket GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM inserted;

-- name: differing_steps
-- Stored rows of a project with the same key and other content. Nearly always none: a redelivered event is equal to the byte.
SELECT (extract(epoch FROM stored.started_at) * 1000000)::bigint AS started_us, stored.*,
       stored.metadata::text AS metadata_text
FROM stage_steps AS staged
JOIN steps AS stored
  ON stored.project = :project AND stored.run_id = staged.run_id AND stored.step_id = staged.step_id
 AND stored.started_at = 'epoch'::timestamptz + staged.started_us * interval '1 microsecond'
WHERE staged.project = :project
  AND (stored.duration_us, stored.seq, stored.http_status, stored.attempt, stored.errno, stored.kind, stored.name,
       stored.status, stored.agent, stored.agent_version, stored.parent_step_id, stored.cause_step_id, stored.error_class,
       stored.error_code, stored.retry_after_s, stored.metadata::text,
       stored.work_digest, stored.returned_code, stored.returned_http_status, stored.returned_exit_status,
       stored.returned_error_class, stored.own_agent, stored.own_agent_version, stored.own_end_reason, stored.session_digest,
       stored.redacted, stored.cost_nano, stored.cost_currency, stored.model, stored.input_tokens, stored.output_tokens,
       stored.cache_read_tokens, stored.reasoning_tokens)
   IS DISTINCT FROM
      (staged.duration_us, staged.seq, staged.http_status, staged.attempt, staged.errno, staged.kind, staged.name,
       staged.status, staged.agent, staged.agent_version, staged.parent_step_id, staged.cause_step_id, staged.error_class,
       staged.error_code, staged.retry_after_s, staged.metadata,
       staged.work_digest, staged.returned_code, staged.returned_http_status, staged.returned_exit_status,
       staged.returned_error_class, staged.own_agent, staged.own_agent_version, staged.own_end_reason, staged.session_digest,
       staged.redacted, staged.cost_nano, staged.cost_currency, staged.model, staged.input_tokens, staged.output_tokens,
       staged.cache_read_tokens, staged.reasoning_tokens)
ORDER BY stored.run_id, stored.started_at, stored.step_id
FOR UPDATE OF stored;

-- name: remove_step
-- Removes a step that lost against another of its key, with all that was counted from it; the winner is then inserted.
WITH removed AS (
    DELETE FROM steps
    WHERE project = :project AND run_id = :run_id AND step_id = :step_id
      AND started_at = 'epoch'::timestamptz + :started_us * interval '1 microsecond'
    RETURNING project, run_id, started_at, agent, agent_version, kind, name, status, coalesce(model, '') AS model,
              latency_bucket, duration_us, coalesce(input_tokens, 0) AS input_tokens, coalesce(output_tokens, 0) AS output_tokens,
              CASE cost_currency WHEN 'USD' THEN cost_nano ELSE 0 END AS cost
), counted AS (
    INSERT INTO stage_counts (project, run_id, steps, error_steps, failures, recorded_failures)
    SELECT project, run_id, -1, CASE status WHEN 'error' THEN -1 ELSE 0 END, 0, 0 FROM removed
)
INSERT INTO step_rollup_deltas (
    project, minute, agent, agent_version, kind, name, status, model, steps, latency_us, input_tokens, output_tokens, cost,
    histogram
)
SELECT project, date_trunc('minute', started_at + :shift_us * interval '1 microsecond'), agent, agent_version, kind, name, status,
       model, -1, -duration_us, -input_tokens, -output_tokens, -cost, int2send(latency_bucket) || int8send(-1)
FROM removed
ON CONFLICT DO NOTHING;

-- name: write_failures
-- Inserts new failures and counts exactly these. Returns how many were new.
WITH inserted AS (
    INSERT INTO failures (
        project, run_id, failure_id, failure_rank, occurred_at, failure_type, failure_code, rule_id, taxonomy_version, step_id,
        attempt, error_class, error_code, http_status, errno, retry_after_s, message_chars, message_fingerprint, seq, agent,
        agent_version, outcome, caused_by, fingerprint
    )
    SELECT project, run_id, failure_id, failure_rank, 'epoch'::timestamptz + occurred_us * interval '1 microsecond',
           failure_type, failure_code, rule_id, taxonomy_version, step_id, attempt, error_class, error_code, http_status,
           errno, retry_after_s, message_chars, message_fingerprint, seq, agent, agent_version, outcome, caused_by, fingerprint
    FROM stage_failures ORDER BY project, run_id, failure_id
    ON CONFLICT DO NOTHING
    RETURNING project, run_id, failure_rank
), counted AS (
    INSERT INTO stage_counts (project, run_id, steps, error_steps, failures, recorded_failures)
    SELECT project, run_id, 0, 0, count(*), count(*) FILTER (WHERE failure_rank = 0) FROM inserted GROUP BY project, run_id
)
SELECT count(*) FROM inserted;

-- name: differing_failures
-- Stored rows of a project with the same key and other content: a recorded failure meets the one found in its step, for example.
SELECT (extract(epoch FROM stored.occurred_at) * 1000000)::bigint AS occurred_us, stored.*
FROM stage_failures AS staged
JOIN failures AS stored
  ON stored.project = :project AND stored.run_id = staged.run_id AND stored.failure_id = staged.failure_id
WHERE staged.project = :project
  AND (stored.failure_rank, stored.occurred_at, stored.failure_type, stored.failure_code, stored.rule_id,
       stored.taxonomy_version, stored.step_id, stored.attempt, stored.error_class, stored.error_code, stored.http_status,
       stored.errno, stored.retry_after_s, stored.message_chars, stored.message_fingerprint, stored.seq, stored.agent,
       stored.agent_version)
   IS DISTINCT FROM
      (staged.failure_rank, 'epoch'::timestamptz + staged.occurred_us * interval '1 microsecond', staged.failure_type,
       staged.failure_code, staged.rule_id, staged.taxonomy_version, staged.step_id, staged.attempt, staged.error_class,
       staged.error_code, staged.http_status, staged.errno, staged.retry_after_s, staged.message_chars,
       staged.message_fingerprint, staged.seq, staged.agent, staged.agent_version)
ORDER BY stored.run_id, stored.failure_id
FOR UPDATE OF stored;

-- name: remove_failure
-- Removes a failure that lost against another of its key; the winner is then inserted.
WITH removed AS (
    DELETE FROM failures WHERE project = :project AND run_id = :run_id AND failure_id = :failure_id
    RETURNING project, run_id, failure_rank
)
INSERT INTO stage_counts (project, run_id, steps, error_steps, failures, recorded_failures)
SELECT project, run_id, 0, 0, -1, CASE failure_rank WHEN 0 THEN -1 ELSE 0 END FROM removed;

-- name: write_runs
-- Merges runs by the rules of core/run.py, adds what was counted above, and moves each run's one unit in the rollups from
-- where it counted before to where it counts now. The diagnosis is replaced, not merged. :abandon_after_s is the default silence
-- in seconds after which a run is abandoned. Counts stop at :count_max: no run is so long that it cannot be stored.
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
        declared_started_at, start_digest, parent_run_id, parent_step_id, metadata, declared_kind,
        ended_at, end_digest, end_status, said_success, emitted, end_reason, end_rank,
        failure_rank, failure_at, failure_id, failure_type, failure_code,
        abandon_after_s, session_digest, first_ended_at, first_event_at, last_event_at, last_received_at, silent_after,
        first_received_at, first_sent_at,
        step_count, error_step_count, failure_count, recorded_failure_count,
        root_failure_id, root_failure_type, root_failure_code, shape, watched, recheck_steps, recheck_until
    )
    SELECT project, run_id, identity_rank, agent, agent_version,
           'epoch'::timestamptz + declared_started_us * interval '1 microsecond', start_digest, parent_run_id, parent_step_id,
           metadata::json, declared_kind,
           'epoch'::timestamptz + ended_us * interval '1 microsecond', end_digest, end_status, said_success, emitted,
           end_reason, end_rank,
           failure_rank, 'epoch'::timestamptz + failure_us * interval '1 microsecond', failure_id, failure_type, failure_code,
           abandon_after_s, session_digest,
           'epoch'::timestamptz + first_ended_us * interval '1 microsecond',
           'epoch'::timestamptz + first_event_us * interval '1 microsecond',
           'epoch'::timestamptz + last_event_us * interval '1 microsecond',
           last_received_at, last_received_at + make_interval(secs => coalesce(abandon_after_s, :abandon_after_s::integer)),
           'epoch'::timestamptz + first_received_us * interval '1 microsecond',
           'epoch'::timestamptz + first_sent_us * interval '1 microsecond',
           steps, error_steps, failures, recorded_failures,
           root_failure_id, root_failure_type, root_failure_code, shape, watched, recheck_steps,
           'epoch'::timestamptz + recheck_until_us * interval '1 microsecond'
    FROM incoming ORDER BY project, run_id
    ON CONFLICT (project, run_id) DO UPDATE SET
        (identity_rank, agent, agent_version, declared_started_at, start_digest, parent_run_id, parent_step_id, metadata,
         declared_kind) = (
            SELECT start.* FROM (VALUES
                (run.identity_rank, run.agent, run.agent_version, run.declared_started_at, run.start_digest, run.parent_run_id,
                 run.parent_step_id, run.metadata, run.declared_kind),
                (excluded.identity_rank, excluded.agent, excluded.agent_version, excluded.declared_started_at,
                 excluded.start_digest, excluded.parent_run_id, excluded.parent_step_id, excluded.metadata,
                 excluded.declared_kind)
            ) AS start (rank, agent, agent_version, at, digest, parent_run_id, parent_step_id, metadata, kind)
            -- A start that names a step of its own run is where the run went on in another process.
            ORDER BY rank, parent_step_id IS NOT NULL AND parent_run_id IS NULL, at, digest, agent, agent_version LIMIT 1),
        (ended_at, end_digest, emitted, end_reason, end_rank) = (
            SELECT finish.* FROM (VALUES
                (run.ended_at, run.end_digest, run.emitted, run.end_reason, run.end_rank),
                (excluded.ended_at, excluded.end_digest, excluded.emitted, excluded.end_reason, excluded.end_rank)
            ) AS finish (at, digest, emitted, reason, rank)
            ORDER BY at IS NULL, coalesce(rank, 0), at DESC, digest DESC LIMIT 1),
        (failure_rank, failure_at, failure_id, failure_type, failure_code) = (
            SELECT failure.* FROM (VALUES
                (run.failure_rank, run.failure_at, run.failure_id, run.failure_type, run.failure_code),
                (excluded.failure_rank, excluded.failure_at, excluded.failure_id, excluded.failure_type,
                 excluded.failure_code)
            ) AS failure (rank, at, id, type, code) ORDER BY 1 NULLS LAST, 2, 3, 4, 5 LIMIT 1),
        abandon_after_s = greatest(run.abandon_after_s, excluded.abandon_after_s),
        session_digest = least(run.session_digest, excluded.session_digest),
        first_ended_at = least(run.first_ended_at, excluded.first_ended_at),
        first_event_at = least(run.first_event_at, excluded.first_event_at),
        last_event_at = greatest(run.last_event_at, excluded.last_event_at),
        last_received_at = greatest(run.last_received_at, excluded.last_received_at),
        first_received_at = least(run.first_received_at, excluded.first_received_at),
        first_sent_at = CASE WHEN run.first_received_at < excluded.first_received_at OR excluded.first_received_at IS NULL
                             THEN run.first_sent_at
                             WHEN run.first_received_at = excluded.first_received_at
                             THEN least(run.first_sent_at, excluded.first_sent_at)
                             ELSE excluded.first_sent_at END,
        silent_after = (greatest(run.last_received_at, excluded.last_received_at) AT TIME ZONE 'UTC'
            + make_interval(secs => coalesce(greatest(run.abandon_after_s, excluded.abandon_after_s), :abandon_after_s::integer)))
            AT TIME ZONE 'UTC',
        step_count = least(run.step_count::bigint + excluded.step_count, :count_max::integer)::integer,
        error_step_count = least(run.error_step_count::bigint + excluded.error_step_count, :count_max::integer)::integer,
        failure_count = least(run.failure_count::bigint + excluded.failure_count, :count_max::integer)::integer,
        recorded_failure_count = least(run.recorded_failure_count::bigint + excluded.recorded_failure_count, :count_max::integer)::integer,
        end_status = excluded.end_status, said_success = excluded.said_success,
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
           coalesce(latency_bucket(latency_us), -1::smallint) AS latency_bucket, 1 AS runs, coalesce(latency_us, 0) AS latency_us
    FROM upserted
    UNION ALL
    SELECT project, date_trunc('minute', old_started_at), old_agent, old_agent_version, old_status,
           coalesce(old_failure_type, ''), coalesce(old_failure_code, ''),
           coalesce(latency_bucket(old_latency_us), -1::smallint), -1, -coalesce(old_latency_us, 0)
    FROM upserted WHERE existed
), by_bucket AS (
    SELECT project, minute, agent, agent_version, status, failure_type, failure_code, latency_bucket,
           sum(runs) AS runs, sum(latency_us) AS latency_us
    FROM moves GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 HAVING sum(runs) <> 0 OR sum(latency_us) <> 0
)
INSERT INTO run_rollup_deltas (
    project, minute, agent, agent_version, status, failure_type, failure_code, runs, latency_us, histogram
)
SELECT project, minute, agent, agent_version, status, failure_type, failure_code, sum(runs)::bigint, sum(latency_us),
       coalesce(string_agg(int2send(latency_bucket) || int8send(runs), ''::bytea ORDER BY latency_bucket)
                FILTER (WHERE runs <> 0), ''::bytea)
FROM by_bucket GROUP BY 1, 2, 3, 4, 5, 6, 7
ON CONFLICT DO NOTHING;

-- name: write_producers
-- Sets of sequence numbers unite; of two ends of one producer the one that counted more is the later one.
INSERT INTO run_producers AS known (project, run_id, producer, seen, emitted)
SELECT project, run_id, producer, seen, emitted FROM stage_producers ORDER BY project, run_id, producer
ON CONFLICT (project, run_id, producer) DO UPDATE
SET seen = known.seen + excluded.seen, emitted = greatest(known.emitted, excluded.emitted);

-- name: write_losses
-- Running totals: the greatest is the newest.
INSERT INTO declared_losses AS loss (project, run_id, producer, reason, total)
SELECT * FROM unnest(:projects::text[], :run_ids::uuid[], :producers::text[], :reasons::text[], :totals::integer[])
ORDER BY 1, 2, 3, 4
ON CONFLICT (project, run_id, producer, reason) DO UPDATE SET total = greatest(loss.total, excluded.total);

-- name: dead_letter
-- Records that are not stored: where they are, why, their size, and no content.
INSERT INTO dead_letters (topic_id, partition, record_offset, topic, project, reason, field, size_bytes, keyed_hash, dead_at)
SELECT :topic_id, partition, record_offset, :topic, nullif(project, ''), reason, field, size_bytes, keyed_hash, now()
FROM unnest(:partitions::integer[], :record_offsets::bigint[], :projects::text[], :reasons::text[], :fields::text[],
            :sizes_bytes::integer[], :keyed_hashes::bytea[])
    AS letter (partition, record_offset, project, reason, field, size_bytes, keyed_hash)
ORDER BY partition, record_offset
ON CONFLICT DO NOTHING;

-- name: release_parked
-- Records that were held back and are stored now, because they were delivered again: their letters are done with.
UPDATE dead_letters SET attempts = attempts + 1, attempted_at = now(), retried_at = now()
WHERE topic_id = :topic_id AND partition = :partition AND record_offset >= :first_offset AND record_offset < :end_offset
    AND reason = 'parked' AND retried_at IS NULL AND record_offset <> ALL(:kept::bigint[]);

-- name: cover_offsets
-- The last statement of the transaction: these offsets are in the store or in the dead letters.
UPDATE ingest_ledger SET covered = covered + int8multirange(int8range(:first_offset, :end_offset)), updated_at = now()
WHERE topic_id = :topic_id AND partition = :partition;

-- name: stored_runs
-- For comparison with the fold: times as microseconds.
SELECT project, run_id, identity_rank, agent, agent_version, start_digest, parent_run_id, parent_step_id,
       metadata::text AS metadata, declared_kind, end_digest, end_status, said_success, emitted, end_reason, end_rank,
       session_digest,
       failure_rank, failure_id, failure_type, failure_code, abandon_after_s,
       (extract(epoch FROM declared_started_at) * 1000000)::bigint AS declared_us,
       (extract(epoch FROM ended_at) * 1000000)::bigint AS ended_us,
       (extract(epoch FROM failure_at) * 1000000)::bigint AS failure_us,
       (extract(epoch FROM first_ended_at) * 1000000)::bigint AS first_ended_us,
       (extract(epoch FROM first_event_at) * 1000000)::bigint AS first_event_us,
       (extract(epoch FROM last_event_at) * 1000000)::bigint AS last_event_us,
       (extract(epoch FROM last_received_at) * 1000000)::bigint AS last_received_us,
       (extract(epoch FROM first_received_at) * 1000000)::bigint AS first_received_us,
       (extract(epoch FROM first_sent_at) * 1000000)::bigint AS first_sent_us,
       (extract(epoch FROM started_at) * 1000000)::bigint AS started_us,
       (extract(epoch FROM silent_after) * 1000000)::bigint AS silent_after_us,
       latency_us, status,
       step_count AS steps, error_step_count AS error_steps, failure_count AS failures,
       recorded_failure_count AS recorded_failures, root_failure_id, root_failure_type, root_failure_code, shape
FROM runs;

-- name: stored_steps
-- For comparison with the fold: times as microseconds, metadata as it was written.
SELECT (extract(epoch FROM started_at) * 1000000)::bigint AS started_us, metadata::text AS metadata_text, steps.* FROM steps;

-- name: stored_failures
-- For comparison with the fold: times as microseconds.
SELECT (extract(epoch FROM occurred_at) * 1000000)::bigint AS occurred_us, failures.* FROM failures;

-- name: stored_losses
-- For comparison with the fold.
SELECT project, run_id, producer, reason, total FROM declared_losses;

-- name: stored_producers
-- For comparison with the fold.
SELECT project, run_id, producer, seen, emitted FROM run_producers;

-- name: stored_run_rollups
-- For comparison with the fold: all that statistics are made of, by day. Totals of days hold what deltas were added to them.
SELECT project, (extract(epoch FROM period) * 1000000)::bigint AS day_us, agent, agent_version, status, failure_type,
       failure_code, runs, latency_us, 0 AS input_tokens, 0 AS output_tokens, 0 AS cost, histogram
FROM run_rollup_totals WHERE span_minutes = 1440
UNION ALL
SELECT project, (extract(epoch FROM date_trunc('day', minute, 'UTC')) * 1000000)::bigint, agent, agent_version, status,
       failure_type, failure_code, runs, latency_us, 0, 0, 0, histogram
FROM run_rollup_deltas
UNION ALL
SELECT project, (extract(epoch FROM date_trunc('day', minute, 'UTC')) * 1000000)::bigint, agent, agent_version, status,
       failure_type, failure_code, runs, latency_us, 0, 0, 0, int2send(latency_bucket) || int8send(runs)
FROM run_rollups;

-- name: stored_step_rollups
-- As stored_run_rollups. The rollups of before know neither models nor tokens.
SELECT project, (extract(epoch FROM period) * 1000000)::bigint AS day_us, agent, agent_version, kind, name, status, model,
       steps, latency_us, input_tokens, output_tokens, cost, histogram
FROM step_rollup_totals WHERE span_minutes = 1440
UNION ALL
SELECT project, (extract(epoch FROM date_trunc('day', minute, 'UTC')) * 1000000)::bigint, agent, agent_version, kind, name,
       status, model, steps, latency_us, input_tokens, output_tokens, cost, histogram
FROM step_rollup_deltas
UNION ALL
SELECT project, (extract(epoch FROM date_trunc('day', minute, 'UTC')) * 1000000)::bigint, agent, agent_version, kind, name,
       status, '', steps, latency_us, 0, 0, 0, int2send(latency_bucket) || int8send(steps)
FROM step_rollups;

-- name: evidence
-- The facts of classification, of steps and of runs' ends, since :since, in :project or all projects. Without failures that the
-- agent's own code recorded, and without steps that only passed an error on.
SELECT steps.run_id::text AS run_id, kind, name, status = 'error' OR returned_code IS NOT NULL AS failed,
       CASE status WHEN 'error' THEN steps.error_class ELSE returned_error_class END AS error_class,
       CASE status WHEN 'error' THEN steps.error_code ELSE returned_code END AS error_code,
       CASE status WHEN 'error' THEN steps.http_status ELSE returned_http_status END AS http_status,
       steps.errno, metadata::text AS metadata
FROM steps LEFT JOIN failures AS recorded
  ON recorded.project = steps.project AND recorded.run_id = steps.run_id AND recorded.failure_id = steps.step_id
 AND recorded.failure_rank = 0
WHERE started_at >= :since::timestamptz AND (:project::text IS NULL OR steps.project = :project)
  AND recorded.failure_id IS NULL AND cause_step_id IS NULL
  AND (status = 'error' OR returned_code IS NOT NULL OR metadata ->> 'finish_reason' IS NOT NULL OR metadata ->> 'result_count' IS NOT NULL)
UNION ALL
SELECT run_id::text, NULL, NULL, true, error_class, error_code, http_status, errno, NULL
FROM failures
WHERE failure_rank = 2 AND occurred_at >= :since::timestamptz AND (:project::text IS NULL OR project = :project);
