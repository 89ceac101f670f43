-- The statements of verify, in one read-only snapshot, as the schema's owner, which sees every project.

-- name: ledger
-- The coverage of one topic. Rows of a topic of the same name that was deleted carry another id.
SELECT partition, covered, lost FROM ingest_ledger WHERE topic_id = :topic_id;

-- name: other_topics
-- Topics whose rows are in the store as well: their records cannot be folded any more.
SELECT count(DISTINCT topic_id) FROM ingest_ledger WHERE topic_id <> :topic_id AND covered + lost <> '{}';

-- name: dead_letters
-- Dead letters that were not stored later: their rows are not in the store, and must not be.
SELECT partition, record_offset, reason FROM dead_letters WHERE topic_id = :topic_id AND retried_at IS NULL;

-- name: deletions
-- Runs and projects that the topic may still have and the store must not.
SELECT project, run_id::text AS run_id FROM deletions;

-- name: runs
-- Every run, by name and first event, so that rows without a record are found.
SELECT project, run_id::text AS run_id, (extract(epoch FROM first_event_at) * 1000000)::bigint AS first_event_us FROM runs;

-- name: orphans
-- Rows of runs that have no row themselves.
SELECT 'steps' AS table_name, count(*) AS orphans FROM steps WHERE NOT EXISTS (
    SELECT 1 FROM runs WHERE runs.project = steps.project AND runs.run_id = steps.run_id)
UNION ALL
SELECT 'failures', count(*) FROM failures WHERE NOT EXISTS (
    SELECT 1 FROM runs WHERE runs.project = failures.project AND runs.run_id = failures.run_id)
UNION ALL
SELECT 'declared_losses', count(*) FROM declared_losses WHERE NOT EXISTS (
    SELECT 1 FROM runs WHERE runs.project = declared_losses.project AND runs.run_id = declared_losses.run_id)
UNION ALL
SELECT 'run_producers', count(*) FROM run_producers WHERE NOT EXISTS (
    SELECT 1 FROM runs WHERE runs.project = run_producers.project AND runs.run_id = run_producers.run_id);
