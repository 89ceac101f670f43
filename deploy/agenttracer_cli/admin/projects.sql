-- Reads of the store about projects, as its owner.

-- name: is_known
-- A project is whatever has runs, API keys, a retention, or a mark of a deletion.
SELECT EXISTS (SELECT 1 FROM runs WHERE project = :project)
    OR EXISTS (SELECT 1 FROM api_keys WHERE project = :project)
    OR EXISTS (SELECT 1 FROM retention WHERE project = :project)
    OR EXISTS (SELECT 1 FROM deletions WHERE project = :project);

-- name: is_known_run
-- A run that was deleted before is known, so that a repeated deletion succeeds.
SELECT EXISTS (SELECT 1 FROM runs WHERE project = :project AND run_id = :run_id)
    OR EXISTS (SELECT 1 FROM deletions WHERE project = :project AND (run_id = :run_id OR run_id IS NULL));

-- name: list_retention
-- A project without a row keeps its runs for ever.
SELECT project, days, statistics_days FROM retention ORDER BY project;
