-- A failure that nothing made good in a run that did not fail of it is `unrecovered`, and makes a run that its end called a success
-- `partial` (stream_workers/core/diagnosis.py). `end_status` is the status that was judged; what the end said follows from both.
-- Rows of earlier releases stay as they are until their run is heard of again, or the store is rebuilt from the topic.

ALTER TABLE failures DROP CONSTRAINT failures_outcome_check;

ALTER TABLE failures ADD CONSTRAINT failures_outcome_check CHECK (outcome IN ('recovered', 'unrecovered', 'fatal')) NOT VALID;

ALTER TABLE runs ADD COLUMN said_success boolean NOT NULL DEFAULT false;

DROP VIEW runs_now;

CREATE VIEW runs_now WITH (security_invoker = true) AS
SELECT runs.*,
       CASE WHEN end_status IS NULL AND silent_after < now() THEN 'abandoned' ELSE status END AS status_now
FROM runs;

GRANT SELECT ON runs_now TO agenttracer_query;
