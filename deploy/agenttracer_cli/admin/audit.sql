-- The audit log, as its owner reads it.

-- name: list_entries
-- The newest ones, oldest of them first. A refused key that exists says whose it is; one that does not belongs to nobody.
SELECT at, action, project, key_id, run_id, reason, number, role
FROM (
    SELECT entry, at, action, coalesce(audit_log.project, api_keys.project) AS project, key_id, run_id, reason, number, role
    FROM audit_log LEFT JOIN api_keys USING (key_id)
    WHERE (:project::text IS NULL OR coalesce(audit_log.project, api_keys.project) = :project)
      AND (:action::text IS NULL OR action = :action)
      AND (:since::timestamptz IS NULL OR at >= :since)
    ORDER BY entry DESC
    LIMIT :limit::bigint
) AS newest
ORDER BY entry;
