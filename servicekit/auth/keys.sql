-- What gateway and query service do with keys. Making and revoking them is the command's (deploy/agenttracer_cli/admin/keys.sql).

-- name: live_keys
-- Everything at once: thousands of keys are a few milliseconds, and a request never waits for the store.
SELECT key_id, project, scopes, secret_hash, pepper_id, extract(epoch FROM expires_at)::float8 AS expires_at
FROM api_keys
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now());

-- name: note_refusals
-- Requests that were refused for their key within a minute, for the audit log.
INSERT INTO audit_log (action, key_id, reason, number)
SELECT 'key_refused', key_id, reason, number
FROM unnest(:key_ids::text[], :reasons::text[], :numbers::bigint[]) AS refused (key_id, reason, number);

-- name: note_use
-- Many processes note the same key: who finds its row locked, or noted within the minute, leaves it.
UPDATE api_keys SET last_used_at = now()
WHERE key_id IN (
    SELECT key_id FROM api_keys
    WHERE key_id = ANY (:key_ids::text[]) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
    FOR UPDATE SKIP LOCKED
);
