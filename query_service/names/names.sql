-- name: shown_names
-- All pseudonyms of a project that have a name, thousands at the most; row level security shows no other project's.
SELECT pseudonym, name, of_pseudonym FROM allowed_names WHERE project = :project ORDER BY allowed_at, pseudonym;
