-- How API keys are made, listed and revoked: by the store's owner, through the `agenttracer` command.

-- name: one_maker
-- Two makers at once could each find room for one more key.
SELECT pg_advisory_xact_lock(hashtextextended('agenttracer api key ' || $1::text, 0));

-- name: is_deleted
-- Whether a project was deleted: workers leave out whatever still comes of it, so a key would only make losses.
SELECT EXISTS (SELECT FROM deletions WHERE project = $1 AND run_id IS NULL);

-- name: live_alike
-- The live keys for the same purpose, oldest first. A key under another pepper serves nobody any more.
SELECT key_id, created_at, last_used_at
FROM api_keys
WHERE project = $1 AND scopes = $2::text[] AND name = $3 AND pepper_id = $4
  AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
ORDER BY created_at, key_id;

-- name: create_key
-- Scopes are sorted by the caller, so that equal sets are equal arrays.
INSERT INTO api_keys (key_id, project, scopes, name, secret_hash, pepper_id, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, now() + $7::interval);

-- name: list_keys
-- Revoked and expired ones too: who reads a log asks for them. Newest last, below what was there before.
SELECT key_id, project, scopes, name, created_at, expires_at, last_used_at,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'live' END AS state
FROM api_keys
WHERE $1::text IS NULL OR project = $1
ORDER BY project, created_at, key_id;

-- name: revoke_key
-- The first revocation stands; a second changes nothing.
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = $1 RETURNING key_id;

-- name: is_live
-- Whether a key that was kept still opens what it was made for.
SELECT EXISTS (
    SELECT FROM api_keys
    WHERE key_id = $1 AND pepper_id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
);
