-- online
-- The runs that a run started, in the order in which they began: few runs have a parent, so the others are not in it.

CREATE INDEX CONCURRENTLY IF NOT EXISTS runs_by_parent ON runs (project, parent_run_id, started_at, run_id)
WHERE parent_run_id IS NOT NULL;

-- The runs of a session, newest first: none where senders name no sessions.
CREATE INDEX CONCURRENTLY IF NOT EXISTS runs_by_session ON runs (project, session_digest, started_at DESC, run_id DESC)
WHERE session_digest IS NOT NULL;
