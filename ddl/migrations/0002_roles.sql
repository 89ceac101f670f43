-- One login role a service, each with the least it needs; passwords are set by whoever operates the cluster.
-- Row level security is the second lock: the query service sees one project at a time, the one it says it serves.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['agenttracer_gateway', 'agenttracer_worker', 'agenttracer_query'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN', role_name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- roles belong to the cluster: another database, or another migrator a moment ago, made it
        END;
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), role_name);
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON runs, steps, failures, declared_losses, run_rollups, step_rollups, ingest_ledger
    TO agenttracer_worker;
GRANT SELECT, INSERT ON dead_letters TO agenttracer_worker;
REVOKE EXECUTE ON FUNCTION ensure_steps_partition(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_steps_partition(date) TO agenttracer_worker;
GRANT SELECT ON runs, runs_now, steps, failures, declared_losses, run_rollups, step_rollups TO agenttracer_query;

DO $$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['runs', 'steps', 'failures', 'declared_losses', 'run_rollups', 'step_rollups'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
        EXECUTE format('CREATE POLICY worker_writes_all ON %I TO agenttracer_worker USING (true) WITH CHECK (true)', table_name);
        EXECUTE format('CREATE POLICY query_reads_its_project ON %I FOR SELECT TO agenttracer_query '
                       'USING (project = current_setting(''agenttracer.project'', true))', table_name);
    END LOOP;
END
$$;
