-- online
-- Pages of runs by one more filter each, in the order of pages, so that a page costs the same whatever is rare or old.

CREATE INDEX CONCURRENTLY IF NOT EXISTS runs_newest_of_version ON runs (project, agent_version, started_at DESC, run_id DESC);

CREATE INDEX CONCURRENTLY IF NOT EXISTS runs_newest_of_status ON runs (project, status, started_at DESC, run_id DESC);

-- Slow runs, where they are few: with all that a page is chosen by, so that no run itself is read before it is on the page.
CREATE INDEX CONCURRENTLY IF NOT EXISTS runs_by_latency ON runs (project, latency_us, started_at, run_id)
INCLUDE (agent, agent_version) WHERE latency_us IS NOT NULL;

-- The few runs that last, or that began after an event of theirs: only these can fail long after their start, or before it.
CREATE INDEX CONCURRENTLY IF NOT EXISTS runs_long ON runs (project, started_at DESC, run_id DESC)
WHERE last_event_at - first_event_at > interval '1 hour' OR started_at > first_event_at;

-- A type of failure that is rare; codes and fingerprints have theirs.
CREATE INDEX CONCURRENTLY IF NOT EXISTS failures_by_type ON failures (project, failure_type, occurred_at DESC);
