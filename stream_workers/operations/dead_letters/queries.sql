-- Dead letters, as the schema's owner.

-- name: dead_letters
-- The dead letters with these values, in the order of the log. Null matches all.
SELECT topic_id, topic, partition, record_offset, project, reason, field, size_bytes, keyed_hash, dead_at, attempts, attempted_at,
       retried_at
FROM dead_letters
WHERE (:partition::integer IS NULL OR partition = :partition) AND (:record_offset::bigint IS NULL OR record_offset = :record_offset)
  AND (:reason::text IS NULL OR reason = :reason) AND (:project::text IS NULL OR project = :project)
  AND (:retried::boolean OR retried_at IS NULL)
ORDER BY topic_id, partition, record_offset;

-- name: mark_retried
-- In the transaction that writes the record's rows.
UPDATE dead_letters SET attempts = attempts + 1, attempted_at = now(), retried_at = now()
WHERE topic_id = :topic_id AND partition = :partition AND record_offset = :record_offset;

-- name: mark_attempted
-- The record still cannot be stored; the reason may be another one.
UPDATE dead_letters SET attempts = attempts + 1, attempted_at = now(), reason = :reason, field = :field
WHERE topic_id = :topic_id AND partition = :partition AND record_offset = :record_offset AND retried_at IS NULL;
