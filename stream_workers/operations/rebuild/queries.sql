-- The statements of a rebuild. `live.` and `shadow.` stand for the two schemas' names.

-- name: make_state
-- One row, from which a rebuild goes on after it was killed at any point.
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

-- name: begin_bulk
-- Begins the bulk.
INSERT INTO shadow.rebuild_state (topic_id, taxonomy_version, targets, indexes)
VALUES (:topic_id, :taxonomy_version, :targets::text::jsonb, :indexes);

-- name: move_targets
-- Records came while the shadow was filled: they are filled in bulk as well.
UPDATE shadow.rebuild_state SET targets = :targets::text::jsonb;

-- name: end_bulk
-- Ends the bulk.
UPDATE shadow.rebuild_state SET finished_at = now(), runs_taken_over = :runs_taken_over;

-- name: secondary_indexes
-- The indexes that guard nothing: they are made at once when the rows are there. A partition's go with its table's.
SELECT pg_class.oid::regclass::text AS name, pg_get_indexdef(pg_class.oid) AS definition
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE relnamespace = :schema_name::text::regnamespace AND NOT relispartition AND NOT indisunique
ORDER BY 1;

-- name: live_frontiers
-- How far the live store is covered without a hole.
SELECT partition, coalesce(
    (SELECT upper(one) FROM unnest(covered + lost) AS one WHERE lower(one) = 0), 0
) AS frontier
FROM live.ingest_ledger WHERE topic_id = :topic_id;

-- name: shadow_frontiers
-- The same of the shadow.
SELECT partition, coalesce(
    (SELECT upper(one) FROM unnest(covered + lost) AS one WHERE lower(one) = 0), 0
) AS frontier
FROM shadow.ingest_ledger WHERE topic_id = :topic_id;

-- name: other_topics
-- Topics that are no more and of which the store has rows.
SELECT count(*) FROM live.ingest_ledger WHERE topic_id <> :topic_id AND covered + lost <> '{}';

-- name: take_over_other_topics
-- Their offsets stay covered: their topic is no more.
INSERT INTO shadow.ingest_ledger SELECT * FROM live.ingest_ledger WHERE topic_id <> :topic_id ON CONFLICT DO NOTHING;

-- name: take_over_coverage
-- Offsets that the topic's retention deleted stay covered as the live ledger has them; those never stored are lost.
INSERT INTO shadow.ingest_ledger (topic_id, partition, topic, covered, lost, updated_at)
SELECT :topic_id, :partition, :topic, had.covered, int8multirange(int8range(0, :log_begin)) - had.covered, now()
FROM (SELECT coalesce(
    (SELECT covered * int8multirange(int8range(0, :log_begin)) FROM live.ingest_ledger
     WHERE topic_id = :topic_id AND partition = :partition), '{}'
) AS covered) AS had;

-- name: take_over_letters
-- Dead letters that the log no longer reaches.
INSERT INTO shadow.dead_letters
SELECT letter.* FROM live.dead_letters AS letter
WHERE letter.topic_id <> :topic_id OR letter.record_offset < coalesce((:log_begins::text::jsonb ->> letter.partition::text)::bigint, 0)
ON CONFLICT DO NOTHING;

-- name: take_over_deletions
-- So that nothing deleted comes back. A later deletion deletes in both schemas.
INSERT INTO shadow.deletions SELECT * FROM live.deletions ON CONFLICT DO NOTHING;

-- name: make_old_runs
-- Which runs are taken over from the live store, for the transaction that does it.
CREATE TEMPORARY TABLE old_runs (
    project text COLLATE "C", run_id uuid, PRIMARY KEY (project, run_id)
) ON COMMIT DROP;

-- name: choose_old_runs
-- Runs that began before :before_us (us; null: none), also where the shadow has a part of them; with :all_missing also all
-- runs that the shadow lacks. Runs of a deleted project may be there yet: they go in batches.
INSERT INTO old_runs
SELECT project, run_id FROM live.runs AS ours
WHERE (first_event_at < 'epoch'::timestamptz + :before_us::bigint * interval '1 microsecond'
   OR (:all_missing::boolean AND NOT EXISTS (
       SELECT 1 FROM shadow.runs AS theirs WHERE theirs.project = ours.project AND theirs.run_id = ours.run_id
   )))
  AND NOT EXISTS (SELECT 1 FROM live.deletions AS ended WHERE ended.project = ours.project AND ended.run_id IS NULL);

-- name: await_compaction
-- Nobody compacts the live store until this transaction ends: half of a compaction in each of two schemas would be counted twice.
SELECT pg_advisory_xact_lock(hashtextextended(:live::text || '.rollup_totals', 0));

-- name: caught_up
-- Whether the shadow covers all that the live store covers.
SELECT NOT EXISTS (
    SELECT 1 FROM live.ingest_ledger AS ours
    WHERE NOT coalesce((
        SELECT (theirs.covered + theirs.lost) @> (ours.covered + ours.lost) FROM shadow.ingest_ledger AS theirs
        WHERE theirs.topic_id = ours.topic_id AND theirs.partition = ours.partition
    ), ours.covered + ours.lost = '{}')
);

-- name: take_over_epochs
-- The owner of a partition of the live store owns it in the shadow: a worker that was fenced off stays so over the swap.
INSERT INTO shadow.ingest_ledger AS ours (topic_id, partition, topic, covered, epoch, owner, taken_at, updated_at)
SELECT topic_id, partition, topic, '{}', epoch, owner, taken_at, now() FROM live.ingest_ledger
ON CONFLICT (topic_id, partition) DO UPDATE
SET epoch = excluded.epoch, owner = excluded.owner, taken_at = excluded.taken_at;

-- name: tables
-- All tables of a schema that stand for themselves.
SELECT relname FROM pg_class
WHERE relnamespace = :schema_name::text::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname;

-- name: columns
-- The columns of a table that can be written: generated columns follow by themselves.
SELECT attname FROM pg_attribute
WHERE attrelid = :table_name::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum;

-- name: sequences
-- Sequences that number a table's rows, in both schemas.
SELECT pg_get_serial_sequence(:live_table, attname) AS ours, pg_get_serial_sequence(:shadow_table, attname) AS theirs
FROM pg_attribute
WHERE attrelid = :live_table::text::regclass AND attnum > 0 AND NOT attisdropped
  AND pg_get_serial_sequence(:live_table, attname) IS NOT NULL AND pg_get_serial_sequence(:shadow_table, attname) IS NOT NULL;

-- name: key
-- The columns of a table's primary key.
SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
WHERE indrelid = :table_name::text::regclass AND indisprimary ORDER BY attnum;

-- name: references
-- Which tables of a schema refer to which others, so that rows are copied in an order that their keys allow.
SELECT conrelid::regclass::text AS referring, confrelid::regclass::text AS referred
FROM pg_constraint WHERE contype = 'f' AND connamespace = :schema_name::text::regnamespace AND conrelid <> confrelid;

-- name: pinned_functions
-- Functions that carry their schema's name in a setting of their own: it must be set again when the schema gets another.
SELECT oid::regprocedure::text AS signature FROM pg_proc
WHERE pronamespace = :schema_name::text::regnamespace
  AND EXISTS (SELECT 1 FROM unnest(proconfig) AS setting WHERE setting LIKE 'search\_path=%');
