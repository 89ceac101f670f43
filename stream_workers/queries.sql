-- What the workers say to Postgres. One transaction: lock_ledger, known_runs, COPY into the stages, write_steps, write_failures,
-- the diagnosis of runs that were known (last_judged to judge_failures), write_runs, write_producers, write_losses, bury, cover. Always in this order and sorted by key, so that no two transactions can deadlock.
-- Times come as integer microseconds and become timestamptz here: exact, and cheaper than datetimes in Python.

-- name: create_stages
-- Once a connection. Temporary tables belong to it alone, are never logged, and empty themselves at the end of a transaction.
CREATE TEMPORARY TABLE stage_steps (
    project text COLLATE "C", run_id uuid, step_id text COLLATE "C", started_us bigint, duration_us bigint, seq integer,
    http_status smallint, latency_bucket smallint, attempt smallint, errno integer, kind text, name text, status text,
    agent text, agent_version text, parent_step_id text, cause_step_id text, error_class text, error_code text,
    retry_after_s integer, metadata text
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
    ended_us bigint, end_digest bigint, end_status text, emitted integer,
    failure_rank smallint, failure_us bigint, failure_id text COLLATE "C", failure_type text COLLATE "C",
    failure_code text COLLATE "C",
    abandon_after_s integer, first_ended_us bigint, first_event_us bigint, last_event_us bigint, last_received_us bigint,
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

-- name: end_overdue
-- Ends the sessions of workers that were stopped in the middle of a COPY: the server's own limits wait there for data that
-- does not come, and the ledger's rows stay locked. Nobody else's transaction may last so long.
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE usename = current_user AND datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid()
    AND xact_start < now() - make_interval(secs => $2);

-- name: limit_partition
-- For the next statement's transaction: whoever reads or writes steps waits for it no longer than this.
SELECT set_config('statement_timeout', '2s', true);

-- name: ensure_partition
-- Makes a day's partition, or finds that it is there. Ends with 55P03 where somebody holds the steps.
SELECT ensure_steps_partition($1);

-- name: lock_ledger
-- Makes the partitions' rows if they are new, locks them until the end, and says how far each is covered without a hole and what
-- its epoch is: above the writer's own, somebody else has taken it. A row with a lower one is of a store that was set back.
INSERT INTO ingest_ledger AS ledger (topic_id, partition, topic, covered, epoch, updated_at)
SELECT $1, partition, $2, '{}', epoch, now() FROM unnest($3::integer[], $4::bigint[]) AS ours (partition, epoch)
ORDER BY partition
ON CONFLICT (topic_id, partition) DO UPDATE SET topic = excluded.topic, epoch = greatest(ledger.epoch, excluded.epoch)
RETURNING partition, epoch, coalesce(
    (SELECT upper(covered_range) FROM unnest(ledger.covered + ledger.lost) AS covered_range WHERE lower(covered_range) = 0), 0
) AS frontier;

-- name: any_deletions
-- Nearly always none that concern a batch, and on most stores none at all.
SELECT EXISTS (SELECT FROM deletions);

-- name: deletions
-- What was deleted of these runs. Whoever deletes locks the ledger first, so nothing is deleted while this transaction runs.
SELECT project, run_id::text AS run_id FROM deletions
WHERE project = ANY($1::text[]) AND (run_id IS NULL OR run_id = ANY($2::uuid[]));

-- name: frontiers
-- How far each partition is covered without a hole, for whoever is about to read it. Partitions never seen are absent.
SELECT partition, coalesce(
    (SELECT upper(covered_range) FROM unnest(covered + lost) AS covered_range WHERE lower(covered_range) = 0), 0
) AS frontier
FROM ingest_ledger WHERE topic_id = $1 AND partition = ANY($2::integer[]);

-- name: take
-- Makes the caller the owner of these partitions: whoever had them is refused from now on. Says how far each is covered, as
-- frontiers does. Waits for a transaction that has a row locked, which so comes before the change.
INSERT INTO ingest_ledger AS ledger (topic_id, partition, topic, covered, epoch, owner, taken_at, updated_at)
SELECT $1, partition, $2, '{}', 1, $4, now(), now() FROM unnest($3::integer[]) AS partition ORDER BY partition
ON CONFLICT (topic_id, partition) DO UPDATE
SET topic = excluded.topic, epoch = ledger.epoch + 1, owner = excluded.owner, taken_at = excluded.taken_at
RETURNING partition, epoch, coalesce(
    (SELECT upper(covered_range) FROM unnest(ledger.covered + ledger.lost) AS covered_range WHERE lower(covered_range) = 0), 0
) AS frontier;

-- name: record_lost
-- Offsets that the log no longer had when they were due: named for ever, and not waited for any longer. Answers the epoch that
-- it was written under, or nothing where somebody else has taken the partition: a null epoch is never refused.
INSERT INTO ingest_ledger AS ledger (topic_id, partition, topic, covered, lost, updated_at)
VALUES ($1, $2, $3, '{}', int8multirange(int8range($4, $5)), now())
ON CONFLICT (topic_id, partition) DO UPDATE
SET lost = ledger.lost + (excluded.lost - ledger.covered), updated_at = now()
WHERE ledger.epoch <= coalesce($6::bigint, ledger.epoch)
RETURNING epoch;

-- name: known_runs
-- Which of these runs the store has, and how they stand. Locked: whoever else writes one of them waits for our diagnosis.
SELECT runs.project, runs.run_id::text AS run_id, step_count, failure_count,
       (extract(epoch FROM ended_at) * 1000000)::bigint AS ended_us, end_digest, end_status, emitted, root_failure_id, root_failure_type, root_failure_code, shape, watched,
       recheck_steps, (extract(epoch FROM recheck_until) * 1000000)::bigint AS recheck_until_us,
       (extract(epoch FROM first_event_at) * 1000000)::bigint AS first_event_us,
       (extract(epoch FROM last_event_at) * 1000000)::bigint AS last_event_us
FROM unnest($1::text[], $2::uuid[]) AS asked (project, run_id) JOIN runs USING (project, run_id)
ORDER BY runs.project, runs.run_id
FOR NO KEY UPDATE OF runs;

-- name: steps_of_runs
-- The first $5 steps of each run, in the columns of core's `Place`. The times leave the partitions of the run's own days.
SELECT asked.project, asked.run_id::text AS run_id, place.*
FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[]) AS asked (project, run_id, first_us, last_us)
CROSS JOIN LATERAL (
    SELECT step_id, (extract(epoch FROM started_at) * 1000000)::bigint AS started_us, seq, kind, name, status, parent_step_id,
           agent, agent_version
    FROM steps
    WHERE steps.project = asked.project AND steps.run_id = asked.run_id
      AND started_at >= 'epoch'::timestamptz + asked.first_us * interval '1 microsecond'
      AND started_at <= 'epoch'::timestamptz + asked.last_us * interval '1 microsecond'
    ORDER BY started_at, step_id
    LIMIT $5::bigint
) AS place;

-- name: last_judged
-- When the last failure occurred that is judged of each run that has $3 or more, derived ones aside: later ones change nothing.
SELECT asked.project, asked.run_id::text AS run_id, (extract(epoch FROM last.occurred_at) * 1000000)::bigint AS occurred_us
FROM unnest($1::text[], $2::uuid[]) AS asked (project, run_id)
CROSS JOIN LATERAL (
    SELECT occurred_at FROM failures
    WHERE failures.project = asked.project AND failures.run_id = asked.run_id AND failure_rank <> 3
    ORDER BY occurred_at, seq, failure_id OFFSET $3::bigint - 1 LIMIT 1
) AS last;

-- name: failures_of_runs
-- The first failures that events said of each run, as many as $3 says, and those that were derived. Along failures_of_run and
-- failures_derived, so that a run with many costs no more than one with some.
SELECT (extract(epoch FROM found.occurred_at) * 1000000)::bigint AS occurred_us, found.*
FROM unnest($1::text[], $2::uuid[], $3::bigint[]) AS asked (project, run_id, failures)
CROSS JOIN LATERAL (
    (SELECT * FROM failures
     WHERE failures.project = asked.project AND failures.run_id = asked.run_id AND failure_rank <> 3
     ORDER BY occurred_at, seq, failure_id LIMIT asked.failures)
    UNION ALL
    (SELECT * FROM failures
     WHERE failures.project = asked.project AND failures.run_id = asked.run_id AND failure_rank = 3)
) AS found;

-- name: empty_failure_stage
-- For failures that the diagnosis adds to those that events said.
DELETE FROM stage_failures;

-- name: judge_failures
-- What the diagnosis says of failures that are stored already.
UPDATE failures SET outcome = said.outcome, caused_by = said.caused_by, fingerprint = said.fingerprint
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS said (project, run_id, failure_id, outcome, caused_by, fingerprint)
WHERE (failures.project, failures.run_id, failures.failure_id) = (said.project, said.run_id, said.failure_id);

-- name: write_steps
-- Inserts what is new; counts and rolls up exactly that. Answers how many were new.
WITH inserted AS (
    INSERT INTO steps (
        project, run_id, step_id, started_at, duration_us, seq, http_status, latency_bucket, attempt, errno, kind, name, status,
        agent, agent_version, parent_step_id, cause_step_id, error_class, error_code, retry_after_s, metadata
    )
    SELECT project, run_id, step_id, 'epoch'::timestamptz + started_us * interval '1 microsecond', duration_us, seq,
           http_status, latency_bucket, attempt, errno, kind, name, status, agent, agent_version, parent_step_id,
           cause_step_id, error_class, error_code, retry_after_s, metadata::json
    FROM stage_steps ORDER BY project, run_id, started_us, step_id
    ON CONFLICT DO NOTHING
    RETURNING project, run_id, started_at, agent, agent_version, kind, name, status, latency_bucket, duration_us
), counted AS (
    INSERT INTO stage_counts (project, run_id, steps, error_steps, failures, recorded_failures)
    SELECT project, run_id, count(*), count(*) FILTER (WHERE status = 'error'), 0, 0 FROM inserted GROUP BY project, run_id
), rolled AS (
    INSERT INTO step_rollups AS rollup (
        project, minute, agent, agent_version, kind, name, status, latency_bucket, steps, latency_us
    )
    SELECT project, date_trunc('minute', started_at), agent, agent_version, kind, name, status, latency_bucket,
           count(*), sum(duration_us)
    FROM inserted GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8
    ON CONFLICT (project, minute, agent, agent_version, kind, name, status, latency_bucket) DO UPDATE
    SET steps = rollup.steps + excluded.steps, latency_us = rollup.latency_us + excluded.latency_us
)
SELECT count(*) FROM inserted;

-- name: differing_steps
-- Keys that were said before with other content. Nearly always none: a redelivered event is equal to the byte.
SELECT (extract(epoch FROM stored.started_at) * 1000000)::bigint AS started_us, stored.*,
       stored.metadata::text AS metadata_text
FROM stage_steps AS staged
JOIN steps AS stored
  ON stored.project = staged.project AND stored.run_id = staged.run_id AND stored.step_id = staged.step_id
 AND stored.started_at = 'epoch'::timestamptz + staged.started_us * interval '1 microsecond'
WHERE (stored.duration_us, stored.seq, stored.http_status, stored.attempt, stored.errno, stored.kind, stored.name,
       stored.status, stored.agent, stored.agent_version, stored.parent_step_id, stored.cause_step_id, stored.error_class,
       stored.error_code, stored.retry_after_s, stored.metadata::text)
   IS DISTINCT FROM
      (staged.duration_us, staged.seq, staged.http_status, staged.attempt, staged.errno, staged.kind, staged.name,
       staged.status, staged.agent, staged.agent_version, staged.parent_step_id, staged.cause_step_id, staged.error_class,
       staged.error_code, staged.retry_after_s, staged.metadata)
ORDER BY stored.project, stored.run_id, stored.started_at, stored.step_id
FOR UPDATE OF stored;

-- name: remove_step
-- Takes back a step that lost against another of its key, with all that was counted from it; the winner is then inserted.
WITH removed AS (
    DELETE FROM steps
    WHERE project = $1 AND run_id = $2 AND step_id = $3 AND started_at = 'epoch'::timestamptz + $4 * interval '1 microsecond'
    RETURNING project, run_id, started_at, agent, agent_version, kind, name, status, latency_bucket, duration_us
), counted AS (
    INSERT INTO stage_counts (project, run_id, steps, error_steps, failures, recorded_failures)
    SELECT project, run_id, -1, CASE status WHEN 'error' THEN -1 ELSE 0 END, 0, 0 FROM removed
)
UPDATE step_rollups AS rollup
SET steps = rollup.steps - 1, latency_us = rollup.latency_us - removed.duration_us
FROM removed
WHERE (rollup.project, rollup.minute, rollup.agent, rollup.agent_version, rollup.kind, rollup.name, rollup.status,
       rollup.latency_bucket)
    = (removed.project, date_trunc('minute', removed.started_at), removed.agent, removed.agent_version, removed.kind,
       removed.name, removed.status, removed.latency_bucket);

-- name: write_failures
-- Inserts what is new and counts exactly that. Answers how many were new.
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
-- Keys that were said before with other content: a recorded failure meets the one found in its step, for example.
SELECT (extract(epoch FROM stored.occurred_at) * 1000000)::bigint AS occurred_us, stored.*
FROM stage_failures AS staged
JOIN failures AS stored
  ON stored.project = staged.project AND stored.run_id = staged.run_id AND stored.failure_id = staged.failure_id
WHERE (stored.failure_rank, stored.occurred_at, stored.failure_type, stored.failure_code, stored.rule_id,
       stored.taxonomy_version, stored.step_id, stored.attempt, stored.error_class, stored.error_code, stored.http_status,
       stored.errno, stored.retry_after_s, stored.message_chars, stored.message_fingerprint, stored.seq, stored.agent,
       stored.agent_version)
   IS DISTINCT FROM
      (staged.failure_rank, 'epoch'::timestamptz + staged.occurred_us * interval '1 microsecond', staged.failure_type,
       staged.failure_code, staged.rule_id, staged.taxonomy_version, staged.step_id, staged.attempt, staged.error_class,
       staged.error_code, staged.http_status, staged.errno, staged.retry_after_s, staged.message_chars,
       staged.message_fingerprint, staged.seq, staged.agent, staged.agent_version)
ORDER BY stored.project, stored.run_id, stored.failure_id
FOR UPDATE OF stored;

-- name: remove_failure
-- Takes back a failure that lost against another of its key; the winner is then inserted.
WITH removed AS (
    DELETE FROM failures WHERE project = $1 AND run_id = $2 AND failure_id = $3 RETURNING project, run_id, failure_rank
)
INSERT INTO stage_counts (project, run_id, steps, error_steps, failures, recorded_failures)
SELECT project, run_id, 0, 0, -1, CASE failure_rank WHEN 0 THEN -1 ELSE 0 END FROM removed;

-- name: write_runs
-- Merges runs by the rules of core/run.py, adds what was counted above, and moves each run's one unit in the rollups from
-- where it counted before to where it counts now. What was derived is replaced, not merged. $1: default silence in seconds after which a run is abandoned.
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
        declared_started_at, start_digest, parent_run_id, parent_step_id, metadata,
        ended_at, end_digest, end_status, emitted,
        failure_rank, failure_at, failure_id, failure_type, failure_code,
        abandon_after_s, first_ended_at, first_event_at, last_event_at, last_received_at, silent_after,
        step_count, error_step_count, failure_count, recorded_failure_count,
        root_failure_id, root_failure_type, root_failure_code, shape, watched, recheck_steps, recheck_until
    )
    SELECT project, run_id, identity_rank, agent, agent_version,
           'epoch'::timestamptz + declared_started_us * interval '1 microsecond', start_digest, parent_run_id, parent_step_id,
           metadata::json,
           'epoch'::timestamptz + ended_us * interval '1 microsecond', end_digest, end_status, emitted,
           failure_rank, 'epoch'::timestamptz + failure_us * interval '1 microsecond', failure_id, failure_type, failure_code,
           abandon_after_s,
           'epoch'::timestamptz + first_ended_us * interval '1 microsecond',
           'epoch'::timestamptz + first_event_us * interval '1 microsecond',
           'epoch'::timestamptz + last_event_us * interval '1 microsecond',
           last_received_at, last_received_at + make_interval(secs => coalesce(abandon_after_s, $1::integer)),
           steps, error_steps, failures, recorded_failures,
           root_failure_id, root_failure_type, root_failure_code, shape, watched, recheck_steps,
           'epoch'::timestamptz + recheck_until_us * interval '1 microsecond'
    FROM incoming ORDER BY project, run_id
    ON CONFLICT (project, run_id) DO UPDATE SET
        (identity_rank, agent, agent_version, declared_started_at, start_digest, parent_run_id, parent_step_id, metadata) = (
            SELECT start.* FROM (VALUES
                (run.identity_rank, run.agent, run.agent_version, run.declared_started_at, run.start_digest, run.parent_run_id,
                 run.parent_step_id, run.metadata),
                (excluded.identity_rank, excluded.agent, excluded.agent_version, excluded.declared_started_at,
                 excluded.start_digest, excluded.parent_run_id, excluded.parent_step_id, excluded.metadata)
            ) AS start (rank, agent, agent_version, at, digest, parent_run_id, parent_step_id, metadata)
            -- A start that names a step of its own run is where the run went on in another process.
            ORDER BY rank, parent_step_id IS NOT NULL AND parent_run_id IS NULL, at, digest, agent, agent_version LIMIT 1),
        (ended_at, end_digest, end_status, emitted) = (
            SELECT finish.* FROM (VALUES
                (run.ended_at, run.end_digest, run.end_status, run.emitted),
                (excluded.ended_at, excluded.end_digest, excluded.end_status, excluded.emitted)
            ) AS finish (at, digest, status, emitted) ORDER BY 1 DESC NULLS LAST, 2 DESC LIMIT 1),
        (failure_rank, failure_at, failure_id, failure_type, failure_code) = (
            SELECT failure.* FROM (VALUES
                (run.failure_rank, run.failure_at, run.failure_id, run.failure_type, run.failure_code),
                (excluded.failure_rank, excluded.failure_at, excluded.failure_id, excluded.failure_type,
                 excluded.failure_code)
            ) AS failure (rank, at, id, type, code) ORDER BY 1 NULLS LAST, 2, 3, 4, 5 LIMIT 1),
        abandon_after_s = greatest(run.abandon_after_s, excluded.abandon_after_s),
        first_ended_at = least(run.first_ended_at, excluded.first_ended_at),
        first_event_at = least(run.first_event_at, excluded.first_event_at),
        last_event_at = greatest(run.last_event_at, excluded.last_event_at),
        last_received_at = greatest(run.last_received_at, excluded.last_received_at),
        silent_after = greatest(run.last_received_at, excluded.last_received_at)
            + make_interval(secs => coalesce(greatest(run.abandon_after_s, excluded.abandon_after_s), $1::integer)),
        step_count = run.step_count + excluded.step_count,
        error_step_count = run.error_step_count + excluded.error_step_count,
        failure_count = run.failure_count + excluded.failure_count,
        recorded_failure_count = run.recorded_failure_count + excluded.recorded_failure_count,
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
           coalesce(latency_bucket(latency_us), -1) AS latency_bucket, 1 AS runs, coalesce(latency_us, 0) AS latency_us
    FROM upserted
    UNION ALL
    SELECT project, date_trunc('minute', old_started_at), old_agent, old_agent_version, old_status,
           coalesce(old_failure_type, ''), coalesce(old_failure_code, ''),
           coalesce(latency_bucket(old_latency_us), -1), -1, -coalesce(old_latency_us, 0)
    FROM upserted WHERE existed
)
INSERT INTO run_rollups AS rollup (
    project, minute, agent, agent_version, status, failure_type, failure_code, latency_bucket, runs, latency_us
)
SELECT project, minute, agent, agent_version, status, failure_type, failure_code, latency_bucket, sum(runs), sum(latency_us)
FROM moves GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 HAVING sum(runs) <> 0 OR sum(latency_us) <> 0 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8
ON CONFLICT (project, minute, agent, agent_version, status, failure_type, failure_code, latency_bucket) DO UPDATE
SET runs = rollup.runs + excluded.runs, latency_us = rollup.latency_us + excluded.latency_us;

-- name: write_producers
-- Sequence numbers unite; of two ends of one producer the one that counted more is the later one.
INSERT INTO run_producers AS known (project, run_id, producer, seen, emitted)
SELECT project, run_id, producer, seen, emitted FROM stage_producers ORDER BY project, run_id, producer
ON CONFLICT (project, run_id, producer) DO UPDATE
SET seen = known.seen + excluded.seen, emitted = greatest(known.emitted, excluded.emitted);

-- name: write_losses
-- Running totals: the greatest is the newest.
INSERT INTO declared_losses AS loss (project, run_id, producer, reason, total)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::integer[]) ORDER BY 1, 2, 3, 4
ON CONFLICT (project, run_id, producer, reason) DO UPDATE SET total = greatest(loss.total, excluded.total);

-- name: bury
-- A record that cannot be stored: where it lies, why, how large, and nothing of what it says.
INSERT INTO dead_letters (topic_id, partition, record_offset, topic, reason, field, size_bytes, keyed_hash, dead_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())
ON CONFLICT DO NOTHING;

-- name: cover
-- The last word of the transaction: these offsets are in the store or in the dead letters.
UPDATE ingest_ledger SET covered = covered + int8multirange(int8range($3, $4)), updated_at = now()
WHERE topic_id = $1 AND partition = $2;

-- name: stored_runs
-- For comparison with the fold: times as microseconds.
SELECT project, run_id, identity_rank, agent, agent_version, start_digest, parent_run_id, parent_step_id,
       metadata::text AS metadata, end_digest, end_status, emitted, failure_rank, failure_id, failure_type, failure_code,
       abandon_after_s,
       (extract(epoch FROM declared_started_at) * 1000000)::bigint AS declared_us,
       (extract(epoch FROM ended_at) * 1000000)::bigint AS ended_us,
       (extract(epoch FROM failure_at) * 1000000)::bigint AS failure_us,
       (extract(epoch FROM first_ended_at) * 1000000)::bigint AS first_ended_us,
       (extract(epoch FROM first_event_at) * 1000000)::bigint AS first_event_us,
       (extract(epoch FROM last_event_at) * 1000000)::bigint AS last_event_us,
       (extract(epoch FROM last_received_at) * 1000000)::bigint AS last_received_us,
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
-- For comparison with the fold, which has no rows that count nothing.
SELECT project, (extract(epoch FROM minute) * 1000000)::bigint, agent, agent_version, status, failure_type, failure_code,
       latency_bucket, runs, latency_us
FROM run_rollups WHERE runs <> 0 OR latency_us <> 0;

-- name: stored_step_rollups
-- For comparison with the fold, which has no rows that count nothing.
SELECT project, (extract(epoch FROM minute) * 1000000)::bigint, agent, agent_version, kind, name, status, latency_bucket,
       steps, latency_us
FROM step_rollups WHERE steps <> 0 OR latency_us <> 0;

-- name: evidence
-- What classification looks at, of steps and of runs' ends, since $1 in project $2 or all. Where the agent's own code said what
-- failed, no rule is asked; a step that only passed an error on has no failure either.
SELECT steps.run_id::text AS run_id, kind, status = 'error' AS failed, steps.error_class, steps.error_code, steps.http_status,
       steps.errno, metadata::text AS metadata
FROM steps LEFT JOIN failures AS recorded
  ON recorded.project = steps.project AND recorded.run_id = steps.run_id AND recorded.failure_id = steps.step_id
 AND recorded.failure_rank = 0
WHERE started_at >= $1::timestamptz AND ($2::text IS NULL OR steps.project = $2)
  AND recorded.failure_id IS NULL AND cause_step_id IS NULL
  AND (status = 'error' OR metadata ->> 'finish_reason' IS NOT NULL OR metadata ->> 'result_count' IS NOT NULL)
UNION ALL
SELECT run_id::text, NULL, true, error_class, error_code, http_status, errno, NULL
FROM failures
WHERE failure_rank = 2 AND occurred_at >= $1::timestamptz AND ($2::text IS NULL OR project = $2);
