-- Runs of any length: a diagnosis looks at a run's first 1,000 steps and 200 failures, costs no more where there are many, and says
-- where there are more.

-- The first failures of a run without those behind them: for diagnoses, and for pages of a run's failures.
CREATE INDEX failures_of_run ON failures (project, run_id, occurred_at, seq, failure_id);
-- The few that were derived from all of a run's steps.
CREATE INDEX failures_derived ON failures (project, run_id) WHERE failure_rank = 3;

CREATE OR REPLACE VIEW runs_now WITH (security_invoker = true) AS
SELECT runs.*,
       CASE WHEN end_status IS NULL AND silent_after < now() THEN 'abandoned' ELSE status END AS status_now,
       -- Whether there is more than is judged (stream_workers/core/diagnosis.py). Derived failures count apart; they are counted
       -- only where they can make the difference.
       step_count > 1000 OR (failure_count > 200 AND failure_count - (
           SELECT count(*) FROM failures
           WHERE failures.project = runs.project AND failures.run_id = runs.run_id AND failure_rank = 3
       ) > 200) AS truncated
FROM runs;
