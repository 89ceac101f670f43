-- The run's own end decides, whatever other clocks say: 1 is the end of a part in another process, 2 that of an agent inside the run
-- (stream_workers/core/run.py). Null is the run's own, which all ends were before.

ALTER TABLE runs ADD COLUMN end_rank smallint;

DROP VIEW runs_now;

CREATE VIEW runs_now WITH (security_invoker = true) AS
SELECT runs.*,
       CASE WHEN end_status IS NULL AND silent_after < now() THEN 'abandoned' ELSE status END AS status_now
FROM runs;

GRANT SELECT ON runs_now TO agenttracer_query;
