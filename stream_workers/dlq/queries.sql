-- Dead letters, as the schema's owner.

-- name: letters
-- Those that are asked for, in the order of the log. Null asks for all.
SELECT topic_id, topic, partition, record_offset, reason, field, size_bytes, keyed_hash, dead_at, attempts, attempted_at,
       retried_at
FROM dead_letters
WHERE ($1::integer IS NULL OR partition = $1) AND ($2::bigint IS NULL OR record_offset = $2)
  AND ($3::text IS NULL OR reason = $3) AND ($4::boolean OR retried_at IS NULL)
ORDER BY topic_id, partition, record_offset;

-- name: mark_retried
-- In the transaction that writes the record's rows.
UPDATE dead_letters SET attempts = attempts + 1, attempted_at = now(), retried_at = now()
WHERE topic_id = $1 AND partition = $2 AND record_offset = $3;

-- name: mark_attempted
-- It cannot be stored now either; the reason may be another one.
UPDATE dead_letters SET attempts = attempts + 1, attempted_at = now(), reason = $4, field = $5
WHERE topic_id = $1 AND partition = $2 AND record_offset = $3 AND retried_at IS NULL;
