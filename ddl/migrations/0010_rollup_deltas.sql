-- Statistics as signed deltas. A writer's transaction appends what it changed and shares no row with anybody; compaction adds
-- deltas to totals by minute, quarter of an hour, hour and day (docs/adr/0024-rollup-deltas.md). What readers add up for a window:
-- totals of whole periods in it, and the deltas that nobody compacted yet. A histogram is a sequence of ten bytes each: latency
-- bucket (int2) and count (int8), both signed and in network order; one bucket may stand more than once, and its counts add up.
-- `run_rollups` and `step_rollups` stay while services of the version before write to them; compaction empties them.

CREATE TABLE run_rollup_deltas (
    project text COLLATE "C" NOT NULL,
    minute timestamptz NOT NULL,
    agent text COLLATE "C" NOT NULL,
    agent_version text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    failure_type text COLLATE "C" NOT NULL,
    failure_code text COLLATE "C" NOT NULL,
    runs bigint NOT NULL,
    latency_us numeric NOT NULL,
    histogram bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
CREATE INDEX run_rollup_deltas_of_project ON run_rollup_deltas (project, minute);

-- `model` is '' where a step names none; tokens and cost are those of its steps.
CREATE TABLE step_rollup_deltas (
    project text COLLATE "C" NOT NULL,
    minute timestamptz NOT NULL,
    agent text COLLATE "C" NOT NULL,
    agent_version text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL DEFAULT '',
    steps bigint NOT NULL,
    latency_us numeric NOT NULL,
    input_tokens numeric NOT NULL DEFAULT 0,
    output_tokens numeric NOT NULL DEFAULT 0,
    cost numeric NOT NULL DEFAULT 0,
    histogram bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
CREATE INDEX step_rollup_deltas_of_project ON step_rollup_deltas (project, minute);

-- A period of `span_minutes` (1, 15, 60, 1440) begins at `period`, in UTC.
CREATE TABLE run_rollup_totals (
    project text COLLATE "C" NOT NULL,
    span_minutes smallint NOT NULL,
    period timestamptz NOT NULL,
    agent text COLLATE "C" NOT NULL,
    agent_version text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    failure_type text COLLATE "C" NOT NULL,
    failure_code text COLLATE "C" NOT NULL,
    runs bigint NOT NULL,
    latency_us numeric NOT NULL,
    histogram bytea NOT NULL,
    CONSTRAINT run_rollup_totals_pkey PRIMARY KEY (project, span_minutes, period, agent, agent_version, status, failure_type, failure_code)
);

CREATE TABLE step_rollup_totals (
    project text COLLATE "C" NOT NULL,
    span_minutes smallint NOT NULL,
    period timestamptz NOT NULL,
    agent text COLLATE "C" NOT NULL,
    agent_version text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL DEFAULT '',
    steps bigint NOT NULL,
    latency_us numeric NOT NULL,
    input_tokens numeric NOT NULL DEFAULT 0,
    output_tokens numeric NOT NULL DEFAULT 0,
    cost numeric NOT NULL DEFAULT 0,
    histogram bytea NOT NULL,
    CONSTRAINT step_rollup_totals_pkey PRIMARY KEY (project, span_minutes, period, agent, agent_version, kind, name, status, model)
);

-- Statistics are kept as long as detail, or longer; null: for ever.
ALTER TABLE retention ADD COLUMN statistics_days integer;
ALTER TABLE retention ADD CONSTRAINT retention_statistics_days_check CHECK (statistics_days BETWEEN days AND 36500);

-- Before this moment a project's runs may have expired, so that statistics hold more than GROUP BY over the detail gives. Of days
-- that begin later both are equal. A deletion on request changes both and moves no horizon.
CREATE TABLE detail_horizons (
    project text COLLATE "C" NOT NULL,
    before timestamptz NOT NULL,
    CONSTRAINT detail_horizons_pkey PRIMARY KEY (project)
);

GRANT SELECT, INSERT, DELETE ON run_rollup_deltas TO agenttracer_worker;
GRANT SELECT, INSERT, DELETE ON step_rollup_deltas TO agenttracer_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON run_rollup_totals TO agenttracer_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON step_rollup_totals TO agenttracer_worker;
GRANT SELECT ON run_rollup_deltas TO agenttracer_query;
GRANT SELECT ON step_rollup_deltas TO agenttracer_query;
GRANT SELECT ON run_rollup_totals TO agenttracer_query;
GRANT SELECT ON step_rollup_totals TO agenttracer_query;

DO $$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['run_rollup_deltas', 'step_rollup_deltas', 'run_rollup_totals', 'step_rollup_totals'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
        EXECUTE format('CREATE POLICY worker_writes_all ON %I TO agenttracer_worker USING (true) WITH CHECK (true)', table_name);
        EXECUTE format('CREATE POLICY query_reads_its_project ON %I FOR SELECT TO agenttracer_query '
                       'USING (project = current_setting(''agenttracer.project'', true))', table_name);
    END LOOP;
END
$$;
