-- What the store knows of projects, as its owner.

-- name: is_known
-- A project is whatever has runs, API keys, a retention, or a mark of a deletion.
SELECT EXISTS (SELECT FROM runs WHERE project = $1)
    OR EXISTS (SELECT FROM api_keys WHERE project = $1)
    OR EXISTS (SELECT FROM retention WHERE project = $1)
    OR EXISTS (SELECT FROM deletions WHERE project = $1);
