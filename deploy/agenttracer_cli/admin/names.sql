-- The registry of names, written by the store's owner through the `agenttracer` command alone.

-- name: change_mode
-- Each change has a number of its own, by which gateways know that there is one. It also keeps two commands of a project apart.
INSERT INTO name_modes (project, closed) VALUES (:project, coalesce(:closed::boolean, false))
ON CONFLICT (project) DO UPDATE
SET closed = coalesce(:closed::boolean, name_modes.closed), revision = name_modes.revision + 1, changed_at = excluded.changed_at
RETURNING closed;

-- name: allow
-- A name that is allowed stays as it was.
INSERT INTO allowed_names (project, pseudonym, name, name_key_id, of_pseudonym)
SELECT :project, pseudonym, name, :name_key_id, of_pseudonym
FROM unnest(:pseudonyms::text[], :names::text[], :of_pseudonyms::boolean[]) AS given (pseudonym, name, of_pseudonym)
ON CONFLICT (project, pseudonym) DO NOTHING;

-- name: forget
-- Under every key that it had.
WITH gone AS (DELETE FROM allowed_names WHERE project = :project AND name = ANY (:names::text[]) RETURNING name)
SELECT count(DISTINCT name) FROM gone;

-- name: count_names
-- How many names a project allows.
SELECT count(DISTINCT name) FROM allowed_names WHERE project = :project;

-- name: list_names
-- A name has a row for each key under which it was allowed, and one more for its pseudonym's own pseudonym.
SELECT name, pseudonym, of_pseudonym, name_key_id, allowed_at FROM allowed_names WHERE project = :project ORDER BY name, allowed_at, of_pseudonym;

-- name: mode
-- Null where nothing was ever said.
SELECT closed FROM name_modes WHERE project = :project;

-- name: seen_names
-- What the store has of the last days, by kind: the most frequent first. Labels are looked for among the newest steps.
WITH recent AS (
    SELECT kind, name, agent, agent_version, error_class, error_code, own_agent, metadata FROM steps
    WHERE project = :project AND started_at >= :since
    ORDER BY started_at DESC LIMIT :steps_max
), said AS (
    SELECT 'step' AS kind, name FROM recent
    UNION ALL SELECT 'agent', agent FROM recent
    UNION ALL SELECT 'agent', own_agent FROM recent
    UNION ALL SELECT 'version', agent_version FROM recent
    UNION ALL SELECT 'error', error_class FROM recent
    UNION ALL SELECT 'error', error_code FROM recent
    UNION ALL SELECT 'key', entry.key FROM recent CROSS JOIN json_each(metadata) AS entry
    UNION ALL SELECT 'label', entry.value #>> '{}' FROM recent CROSS JOIN json_each(metadata) AS entry
        WHERE json_typeof(entry.value) = 'string'
    UNION ALL SELECT 'code', failure_code FROM failures WHERE project = :project AND occurred_at >= :since
)
SELECT kind, name, count(*) AS times FROM said WHERE name IS NOT NULL
GROUP BY kind, name ORDER BY kind, times DESC, name LIMIT :names_max;
