-- What a run's failures amount to, seen over all of its steps (stream_workers/core/diagnosis.py), and what each producer said.
-- Rows of earlier releases stay without verdicts until their run is heard of again, or the store is rebuilt from the topic.

ALTER TABLE failures
    ADD COLUMN agent text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN agent_version text COLLATE "C" NOT NULL DEFAULT '',
    -- Null: not judged. Recovered: tried again with success. The cause is the failure that this one only followed from.
    ADD COLUMN outcome text COLLATE "C" CHECK (outcome IN ('recovered', 'fatal')),
    ADD COLUMN caused_by text COLLATE "C",
    ADD COLUMN fingerprint text COLLATE "C",
    DROP CONSTRAINT failures_failure_rank_check,
    -- Rank 3: derived from all steps of the run, and made anew with them.
    ADD CONSTRAINT failures_failure_rank_check CHECK (failure_rank BETWEEN 0 AND 3);
UPDATE failures SET agent = runs.agent, agent_version = runs.agent_version
FROM runs WHERE (runs.project, runs.run_id) = (failures.project, failures.run_id);
ALTER TABLE failures ALTER COLUMN agent DROP DEFAULT, ALTER COLUMN agent_version DROP DEFAULT;
CREATE INDEX failures_by_time ON failures (project, occurred_at DESC);
CREATE INDEX failures_by_fingerprint ON failures (project, fingerprint, occurred_at DESC);

ALTER TABLE runs
    -- The first failure that was not recovered and followed from no other one.
    ADD COLUMN root_failure_id text COLLATE "C",
    ADD COLUMN root_failure_type text COLLATE "C",
    ADD COLUMN root_failure_code text COLLATE "C",
    -- The fingerprint of the steps of a run that ended, in their order, loops collapsed.
    ADD COLUMN shape text COLLATE "C",
    -- When the above must be made anew: the workers' own business, and dependent on when they last did.
    ADD COLUMN watched bigint[],
    ADD COLUMN recheck_steps integer,
    ADD COLUMN recheck_until timestamptz;
CREATE INDEX runs_by_shape ON runs (project, shape, started_at DESC);

DROP VIEW runs_now;
CREATE VIEW runs_now WITH (security_invoker = true) AS
SELECT runs.*,
       CASE WHEN end_status IS NULL AND silent_after < now() THEN 'abandoned' ELSE status END AS status_now
FROM runs;
GRANT SELECT ON runs_now TO agenttracer_query;

-- What each producer said of a run: which of its sequence numbers are stored, and how many it emitted once it ended the run.
CREATE TABLE run_producers (
    project text COLLATE "C" NOT NULL,
    run_id uuid NOT NULL,
    producer text COLLATE "C" NOT NULL,
    seen int4multirange NOT NULL,
    emitted integer,
    PRIMARY KEY (project, run_id, producer)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON run_producers TO agenttracer_worker;
GRANT SELECT ON run_producers TO agenttracer_query;
ALTER TABLE run_producers ENABLE ROW LEVEL SECURITY;
CREATE POLICY worker_writes_all ON run_producers TO agenttracer_worker USING (true) WITH CHECK (true);
CREATE POLICY query_reads_its_project ON run_producers FOR SELECT TO agenttracer_query
    USING (project = current_setting('agenttracer.project', true));

-- A run's producers with what is stored, missing and declared lost of each. Declared losses make a producer known as well.
CREATE FUNCTION run_producer_account(of_project text, of_run uuid)
RETURNS TABLE (producer text, emitted integer, stored bigint, gaps bigint, declared jsonb)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(said.producer, lost.producer), said.emitted, said.stored, coalesce(said.gaps, 0), coalesce(lost.declared, '{}')
    FROM (
        SELECT run_producers.producer, run_producers.emitted, numbers.stored,
               upper(run_producers.seen) - lower(run_producers.seen) - numbers.stored AS gaps
        FROM run_producers
        CROSS JOIN LATERAL (
            SELECT sum(upper(part) - lower(part)) AS stored FROM unnest(run_producers.seen) AS part
        ) AS numbers
        WHERE run_producers.project = of_project AND run_producers.run_id = of_run
    ) AS said
    FULL JOIN (
        SELECT declared_losses.producer, jsonb_object_agg(declared_losses.reason, declared_losses.total) AS declared
        FROM declared_losses
        WHERE declared_losses.project = of_project AND declared_losses.run_id = of_run
        GROUP BY declared_losses.producer
    ) AS lost ON lost.producer = said.producer
    ORDER BY 1;
END;
REVOKE EXECUTE ON FUNCTION run_producer_account(text, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION run_producer_account(text, uuid) TO agenttracer_query, agenttracer_worker;
