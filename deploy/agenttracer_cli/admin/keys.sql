-- How API keys are made, listed and revoked: by the store's owner, through the `agenttracer` command.

-- name: one_maker
-- Two makers at once could each find room for one more key.
SELECT pg_advisory_xact_lock(hashtextextended('agenttracer api key ' || :project::text, 0));

-- name: is_deleted
-- Whether a project was deleted: workers leave out whatever still comes of it, so a key would only make losses.
SELECT EXISTS (SELECT 1 FROM deletions WHERE project = :project AND run_id IS NULL);

-- name: live_alike
-- The live keys for the same purpose, oldest first. A key under another pepper serves nobody any more.
SELECT key_id, created_at, last_used_at
FROM api_keys
WHERE project = :project AND scopes = :scopes::text[] AND name = :name AND pepper_id = :pepper_id
  AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
ORDER BY created_at, key_id;

-- name: create_key
-- Scopes are sorted by the caller, so that equal sets are equal arrays.
INSERT INTO api_keys (key_id, project, scopes, name, secret_hash, pepper_id, expires_at)
VALUES (:key_id, :project, :scopes, :name, :secret_hash, :pepper_id, now() + :lifetime::interval);

-- name: list_keys
-- Revoked and expired ones too: who reads a log asks for them. Newest last, below what was there before. A key under a pepper
-- that services have no longer opens nothing; null: the caller does not know theirs.
SELECT key_id, project, scopes, name, created_at, expires_at, last_used_at,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired'
            WHEN pepper_id <> ALL(:pepper_ids::text[]) THEN 'other_pepper' ELSE 'live' END AS state
FROM api_keys
WHERE :project::text IS NULL OR project = :project
ORDER BY project, created_at, key_id;

-- name: revoke_key
-- The first revocation stands, since it is the least; a second changes nothing.
UPDATE api_keys SET revoked_at = least(revoked_at, now()) WHERE key_id = :key_id RETURNING revoked_at = now() AS now_revoked;

-- name: audit
-- In the transaction that did it.
INSERT INTO audit_log (action, project, key_id) SELECT :action, project, key_id FROM api_keys WHERE key_id = :key_id;

-- name: is_live
-- Whether a key that was kept still opens what it was made for.
SELECT EXISTS (
    SELECT 1 FROM api_keys
    WHERE key_id = :key_id AND pepper_id = :pepper_id AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
);
