-- What a worker says of its partitions' receipt, on a connection of its own. It waits for no writer: the ledger is read as it is.

-- name: know_partitions
-- Makes a row of every partition of the topic: nobody knows of those that no worker has read yet.
INSERT INTO stored_partitions (topic_id, partition, topic)
SELECT :topic_id, partition, :topic FROM unnest(:partitions::integer[]) AS partition ORDER BY partition
ON CONFLICT DO NOTHING;

-- name: mark_stored
-- Records from `first_open` on were appended at `at` or later: once the ledger covers all before them, what was received longer
-- than :margin_s before `at` is stored. The ledger is asked here, so a caller that comes late, or is no owner any more, does no
-- harm. A clock that is ahead is held back by the server's. Never goes back.
INSERT INTO stored_partitions AS known (topic_id, partition, topic, complete_to)
SELECT ledger.topic_id, ledger.partition, :topic, least(said.at, now()) - make_interval(secs => :margin_s)
FROM unnest(:partitions::integer[], :first_open::bigint[], :times::timestamptz[]) AS said (partition, first_open, at)
JOIN ingest_ledger AS ledger ON ledger.topic_id = :topic_id AND ledger.partition = said.partition
WHERE said.first_open <= coalesce(
    (SELECT upper(covered_range) FROM unnest(ledger.covered + ledger.lost) AS covered_range WHERE lower(covered_range) = 0), 0
)
ORDER BY ledger.partition
ON CONFLICT (topic_id, partition) DO UPDATE SET complete_to = excluded.complete_to
WHERE known.complete_to IS NULL OR known.complete_to < excluded.complete_to;
