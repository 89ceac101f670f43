-- What a rebuild says to Postgres. `live.` and `shadow.` stand for the two schemas' names.

-- name: make_state
-- One row: what a rebuild must know to go on after it was killed at any point.
CREATE TABLE IF NOT EXISTS shadow.rebuild_state (
    topic_id uuid PRIMARY KEY,
    taxonomy_version integer NOT NULL,
    targets jsonb NOT NULL,  -- partition to offset: how far it is filled in bulk
    indexes text[] NOT NULL,  -- definitions of the indexes that wait until the bulk is in
    finished_at timestamptz,
    runs_taken_over bigint
);

-- name: state
-- Empty while nothing was decided yet.
SELECT topic_id, taxonomy_version, targets::text AS targets, indexes, finished_at, runs_taken_over FROM shadow.rebuild_state;

-- name: remember
-- Begins the bulk.
INSERT INTO shadow.rebuild_state (topic_id, taxonomy_version, targets, indexes) VALUES ($1, $2, $3::text::jsonb, $4);

-- name: move_targets
-- What came while it was filled, to be filled in bulk as well.
UPDATE shadow.rebuild_state SET targets = $1::text::jsonb;

-- name: finished
-- Ends the bulk.
UPDATE shadow.rebuild_state SET finished_at = now(), runs_taken_over = $1;

-- name: secondary_indexes
-- Those that guard nothing: they are made in one go once the rows are there. A partition's go with its table's.
SELECT pg_class.oid::regclass::text AS name, pg_get_indexdef(pg_class.oid) AS definition
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE relnamespace = $1::text::regnamespace AND NOT relispartition AND NOT indisunique
ORDER BY 1;

-- name: live_frontiers
-- How far the live store is covered without a hole.
SELECT partition, coalesce(
    (SELECT upper(one) FROM unnest(covered + lost) AS one WHERE lower(one) = 0), 0
) AS frontier
FROM live.ingest_ledger WHERE topic_id = $1;

-- name: shadow_frontiers
-- The same of the shadow.
SELECT partition, coalesce(
    (SELECT upper(one) FROM unnest(covered + lost) AS one WHERE lower(one) = 0), 0
) AS frontier
FROM shadow.ingest_ledger WHERE topic_id = $1;

-- name: other_topics
-- Topics of which the store has rows, and that are no more.
SELECT count(*) FROM live.ingest_ledger WHERE topic_id <> $1 AND covered + lost <> '{}';

-- name: take_over_other_topics
-- Their offsets stay covered: nobody can read them again.
INSERT INTO shadow.ingest_ledger SELECT * FROM live.ingest_ledger WHERE topic_id <> $1 ON CONFLICT DO NOTHING;

-- name: take_over_coverage
-- What the topic's retention deleted stays as the live ledger has it; what nobody ever stored of that is lost.
INSERT INTO shadow.ingest_ledger (topic_id, partition, topic, covered, lost, updated_at)
SELECT $1, $2, $3, had.covered, int8multirange(int8range(0, $4)) - had.covered, now()
FROM (SELECT coalesce(
    (SELECT covered * int8multirange(int8range(0, $4)) FROM live.ingest_ledger WHERE topic_id = $1 AND partition = $2), '{}'
) AS covered) AS had;

-- name: take_over_letters
-- Dead letters that the log no longer reaches.
INSERT INTO shadow.dead_letters
SELECT letter.* FROM live.dead_letters AS letter
WHERE letter.topic_id <> $1 OR letter.record_offset < coalesce(($2::text::jsonb ->> letter.partition::text)::bigint, 0)
ON CONFLICT DO NOTHING;

-- name: take_over_deletions
-- So that nothing deleted comes back. What is deleted from now on is deleted in both schemas.
INSERT INTO shadow.deletions SELECT * FROM live.deletions ON CONFLICT DO NOTHING;

-- name: make_old_runs
-- Which runs are taken over from the live store, for the transaction that does it.
CREATE TEMPORARY TABLE old_runs (
    project text COLLATE "C", run_id uuid, PRIMARY KEY (project, run_id)
) ON COMMIT DROP;

-- name: choose_old_runs
-- Those that began before $1 (us; null: none), also where the shadow has a part of them; if $2, all that the shadow lacks, too.
INSERT INTO old_runs
SELECT project, run_id FROM live.runs AS ours
WHERE first_event_at < 'epoch'::timestamptz + $1::bigint * interval '1 microsecond'
   OR ($2::boolean AND NOT EXISTS (
       SELECT FROM shadow.runs AS theirs WHERE theirs.project = ours.project AND theirs.run_id = ours.run_id
   ));

-- name: sum_runs
-- What the workers' transactions would have added up, in one go. Definitions: core/fold.py.
INSERT INTO shadow.run_rollups (
    project, minute, agent, agent_version, status, failure_type, failure_code, latency_bucket, runs, latency_us
)
SELECT project, date_trunc('minute', started_at), agent, agent_version, status, coalesce(failure_type, root_failure_type, ''),
       coalesce(failure_code, root_failure_code, ''), coalesce(shadow.latency_bucket(latency_us), -1::smallint), count(*),
       sum(coalesce(latency_us, 0))
FROM shadow.runs GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

-- name: sum_steps
-- As sum_runs.
INSERT INTO shadow.step_rollups (project, minute, agent, agent_version, kind, name, status, latency_bucket, steps, latency_us)
SELECT project, date_trunc('minute', started_at), agent, agent_version, kind, name, status, latency_bucket, count(*),
       sum(duration_us)
FROM shadow.steps GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

-- name: caught_up
-- Whether the shadow covers all that the live store covers.
SELECT NOT EXISTS (
    SELECT FROM live.ingest_ledger AS ours
    WHERE NOT coalesce((
        SELECT (theirs.covered + theirs.lost) @> (ours.covered + ours.lost) FROM shadow.ingest_ledger AS theirs
        WHERE theirs.topic_id = ours.topic_id AND theirs.partition = ours.partition
    ), ours.covered + ours.lost = '{}')
);

-- name: take_over_epochs
-- Whoever owns a partition of the live store owns it in the shadow: what was fenced off stays so over the swap.
INSERT INTO shadow.ingest_ledger AS ours (topic_id, partition, topic, covered, epoch, owner, taken_at, updated_at)
SELECT topic_id, partition, topic, '{}', epoch, owner, taken_at, now() FROM live.ingest_ledger
ON CONFLICT (topic_id, partition) DO UPDATE
SET epoch = excluded.epoch, owner = excluded.owner, taken_at = excluded.taken_at;

-- name: tables
-- All tables of a schema that stand for themselves.
SELECT relname FROM pg_class
WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname;

-- name: columns
-- What can be written of a table: generated columns follow by themselves.
SELECT attname FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum;

-- name: sequences
-- Sequences that number a table's rows, in both schemas.
SELECT pg_get_serial_sequence($1, attname) AS ours, pg_get_serial_sequence($2, attname) AS theirs
FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
  AND pg_get_serial_sequence($1, attname) IS NOT NULL AND pg_get_serial_sequence($2, attname) IS NOT NULL;

-- name: key
-- The columns of a table's primary key.
SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
WHERE indrelid = $1::text::regclass AND indisprimary ORDER BY attnum;

-- name: references
-- Which tables of a schema refer to which others, so that rows are copied in an order that their keys allow.
SELECT conrelid::regclass::text AS referring, confrelid::regclass::text AS referred
FROM pg_constraint WHERE contype = 'f' AND connamespace = $1::text::regnamespace AND conrelid <> confrelid;

-- name: pinned_functions
-- Functions that carry their schema's name in a setting of their own: it must be said anew when the schema gets another.
SELECT oid::regprocedure::text AS signature FROM pg_proc
WHERE pronamespace = $1::text::regnamespace
  AND EXISTS (SELECT FROM unnest(proconfig) AS setting WHERE setting LIKE 'search\_path=%');
