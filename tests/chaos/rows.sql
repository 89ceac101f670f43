-- The store's rows in the words of the contract: members by their names there, times in microseconds. These statements share
-- nothing with the workers', which the checker does not take at their word.

-- name: steps
-- Every member of a finished step, and who said it.
SELECT project, run_id::text AS run_id, step_id, (extract(epoch FROM started_at) * 1000000)::bigint AS started_at, duration_us, seq,
       kind, name, status, attempt, parent_step_id, cause_step_id, error_class, error_code, http_status, errno, retry_after_s,
       metadata::text AS metadata, agent, agent_version, work_digest, returned_code, returned_http_status, returned_exit_status,
       returned_error_class, own_agent, own_agent_version, own_end_reason, session_digest, redacted, cost_nano, cost_currency, model,
       input_tokens, output_tokens, cache_read_tokens, reasoning_tokens
FROM steps;

-- name: failures
-- Every member of a recorded failure, and of found ones what they took over; `failure_rank` says which they are. Their times are
-- listed as those of their run: what the run was moved by is taken off again.
SELECT project, run_id::text AS run_id, failures.failure_id, failures.failure_rank,
       (extract(epoch FROM occurred_at) * 1000000)::bigint - time_shift_us AS occurred_at, seq, failures.failure_type,
       failures.failure_code, step_id, attempt, error_class, error_code, http_status, errno, retry_after_s, message_chars,
       message_fingerprint, failures.agent, failures.agent_version
FROM failures JOIN runs USING (project, run_id);

-- name: runs
-- What starts, ends and signs of life say of a run.
SELECT project, run_id::text AS run_id, agent, agent_version, parent_run_id::text AS parent_run_id, parent_step_id, abandon_after_s,
       metadata::text AS metadata, declared_kind, CASE WHEN said_success THEN 'success' ELSE end_status END AS status, emitted, end_reason,
       coalesce(end_rank, 0) AS end_rank, session_digest,
       (extract(epoch FROM declared_started_at) * 1000000)::bigint AS started_at,
       (extract(epoch FROM ended_at) * 1000000)::bigint AS ended_at,
       (extract(epoch FROM first_ended_at) * 1000000)::bigint AS first_ended_at,
       (extract(epoch FROM first_event_at) * 1000000)::bigint AS first_event_at,
       (extract(epoch FROM last_event_at) * 1000000)::bigint AS last_event_at
FROM runs;

-- name: producers
-- The sequence numbers that are there, as ranges, and how many events the end counted.
SELECT project, run_id::text AS run_id, producer, seen, emitted FROM run_producers;

-- name: losses
-- What producers declared lost.
SELECT project, run_id::text AS run_id, producer, reason, total FROM declared_losses;

-- name: covered
-- The offsets that the ledger covers, as ranges.
SELECT partition, covered FROM ingest_ledger WHERE topic = :topic;

-- name: dead_letters
-- Where dead letters lie.
SELECT partition, record_offset FROM dead_letters WHERE topic = :topic;
