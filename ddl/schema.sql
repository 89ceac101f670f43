-- What the migrations add up to, by `make schema`. migrations/ is where changes are made and explained.
-- The roles agenttracer_gateway, agenttracer_worker and agenttracer_query must exist (migration 0002 makes them).

CREATE SCHEMA agenttracer;

CREATE FUNCTION agenttracer.ensure_steps_partition(day date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'agenttracer', 'pg_temp'
    SET lock_timeout TO '200ms'
    AS $$
DECLARE
    child text := 'steps_' || to_char(day, 'YYYYMMDD');
    low timestamptz := day::timestamp AT TIME ZONE 'UTC';
    high timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
    most_moved integer := 50000;
    waiting integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || '.steps', 0));
    IF to_regclass(format('%I.%I', current_schema(), child)) IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT count(*) INTO waiting FROM (
        SELECT FROM steps_default WHERE started_at >= low AND started_at < high LIMIT most_moved + 1
    ) AS found;
    IF waiting > most_moved THEN
        RAISE WARNING '% stays in the default partition: more than % steps lie there', child, most_moved;
        RETURN;
    END IF;
    IF waiting > 0 THEN
        LOCK TABLE ingest_ledger IN SHARE ROW EXCLUSIVE MODE;  -- a writer's transaction begins with its rows
    END IF;
    LOCK TABLE steps_default IN ACCESS EXCLUSIVE MODE;  -- before the work, which would be for nothing
    EXECUTE format('CREATE TABLE %I (LIKE steps INCLUDING ALL)', child);
    IF waiting > 0 THEN
        EXECUTE format('WITH moved AS (DELETE FROM steps_default WHERE started_at >= %L AND started_at < %L RETURNING *) '
                       'INSERT INTO %I SELECT * FROM moved', low, high, child);
    END IF;
    EXECUTE format('ALTER TABLE steps ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', child, low, high);
EXCEPTION WHEN check_violation THEN
    RAISE EXCEPTION USING ERRCODE = 'lock_not_available', MESSAGE = 'somebody wrote into the day meanwhile';
END
$$;

CREATE FUNCTION agenttracer.latency_bucket(us bigint) RETURNS smallint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN (us < 32) THEN (GREATEST(us, (0)::bigint))::smallint ELSE (((32 + ((length(ltrim(((us)::bit(64))::text, '0'::text)) - 6) * 16)) + ((us >> (length(ltrim(((us)::bit(64))::text, '0'::text)) - 5)) & (15)::bigint)))::smallint END;

CREATE TABLE agenttracer.declared_losses (
    project text NOT NULL COLLATE pg_catalog."C",
    run_id uuid NOT NULL,
    producer text NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL COLLATE pg_catalog."C",
    total integer NOT NULL,
    CONSTRAINT declared_losses_reason_check CHECK ((reason = ANY (ARRAY['queue_full'::text, 'too_large'::text, 'refused'::text, 'unauthorized'::text, 'exit'::text, 'fork'::text, 'internal'::text])))
);

CREATE TABLE agenttracer.run_producers (
    project text NOT NULL COLLATE pg_catalog."C",
    run_id uuid NOT NULL,
    producer text NOT NULL COLLATE pg_catalog."C",
    seen int4multirange NOT NULL,
    emitted integer
);

CREATE FUNCTION agenttracer.run_producer_account(of_project text, of_run uuid) RETURNS TABLE(producer text, emitted integer, stored bigint, gaps bigint, declared jsonb)
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
 SELECT COALESCE(said.producer, lost.producer) AS "coalesce",
     said.emitted,
     said.stored,
     COALESCE(said.gaps, (0)::bigint) AS "coalesce",
     COALESCE(lost.declared, '{}'::jsonb) AS "coalesce"
    FROM (( SELECT run_producers.producer,
             run_producers.emitted,
             numbers.stored,
             ((upper(run_producers.seen) - lower(run_producers.seen)) - numbers.stored) AS gaps
            FROM (agenttracer.run_producers
              CROSS JOIN LATERAL ( SELECT sum((upper(part.part) - lower(part.part))) AS stored
                    FROM unnest(run_producers.seen) part(part)) numbers)
           WHERE ((run_producers.project = run_producer_account.of_project) AND (run_producers.run_id = run_producer_account.of_run))) said
      FULL JOIN ( SELECT declared_losses.producer,
             jsonb_object_agg(declared_losses.reason, declared_losses.total) AS declared
            FROM agenttracer.declared_losses
           WHERE ((declared_losses.project = run_producer_account.of_project) AND (declared_losses.run_id = run_producer_account.of_run))
           GROUP BY declared_losses.producer) lost ON ((lost.producer = said.producer)))
   ORDER BY COALESCE(said.producer, lost.producer);
END;

CREATE TABLE agenttracer.api_keys (
    key_id text NOT NULL COLLATE pg_catalog."C",
    project text NOT NULL COLLATE pg_catalog."C",
    scopes text[] NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    secret_hash bytea NOT NULL,
    pepper_id text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT api_keys_key_id_check CHECK ((key_id ~ '^[a-z0-9]{12}$'::text)),
    CONSTRAINT api_keys_scopes_check CHECK (((cardinality(scopes) > 0) AND (scopes <@ ARRAY['ingest'::text, 'read'::text, 'admin'::text]))),
    CONSTRAINT api_keys_secret_hash_check CHECK ((octet_length(secret_hash) = 32))
);

CREATE TABLE agenttracer.dead_letters (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    topic text NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL COLLATE pg_catalog."C",
    field text NOT NULL COLLATE pg_catalog."C",
    size_bytes integer NOT NULL,
    keyed_hash bytea,
    dead_at timestamp with time zone NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    attempted_at timestamp with time zone,
    retried_at timestamp with time zone
);

CREATE TABLE agenttracer.deletions (
    project text NOT NULL COLLATE pg_catalog."C",
    run_id uuid,
    expired boolean NOT NULL,
    deleted_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE agenttracer.failures (
    project text NOT NULL COLLATE pg_catalog."C",
    run_id uuid NOT NULL,
    failure_id text NOT NULL COLLATE pg_catalog."C",
    failure_rank smallint NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    failure_type text NOT NULL COLLATE pg_catalog."C",
    failure_code text NOT NULL COLLATE pg_catalog."C",
    rule_id text NOT NULL COLLATE pg_catalog."C",
    taxonomy_version smallint NOT NULL,
    step_id text COLLATE pg_catalog."C",
    attempt smallint,
    error_class text COLLATE pg_catalog."C",
    error_code text COLLATE pg_catalog."C",
    http_status smallint,
    errno integer,
    retry_after_s integer,
    message_chars integer,
    message_fingerprint text COLLATE pg_catalog."C",
    seq integer NOT NULL,
    agent text NOT NULL COLLATE pg_catalog."C",
    agent_version text NOT NULL COLLATE pg_catalog."C",
    outcome text COLLATE pg_catalog."C",
    caused_by text COLLATE pg_catalog."C",
    fingerprint text COLLATE pg_catalog."C",
    CONSTRAINT failures_failure_rank_check CHECK (((failure_rank >= 0) AND (failure_rank <= 3))),
    CONSTRAINT failures_failure_type_check CHECK ((failure_type = ANY (ARRAY['tool'::text, 'model'::text, 'retrieval'::text, 'orchestration'::text]))),
    CONSTRAINT failures_outcome_check CHECK ((outcome = ANY (ARRAY['recovered'::text, 'fatal'::text])))
);

CREATE TABLE agenttracer.ingest_ledger (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    topic text NOT NULL COLLATE pg_catalog."C",
    covered int8multirange NOT NULL,
    lost int8multirange DEFAULT '{}'::int8multirange NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    owner text COLLATE pg_catalog."C",
    taken_at timestamp with time zone
);

CREATE TABLE agenttracer.retention (
    project text NOT NULL COLLATE pg_catalog."C",
    days integer NOT NULL,
    CONSTRAINT retention_days_check CHECK (((days >= 1) AND (days <= 36500)))
);

CREATE TABLE agenttracer.run_rollups (
    project text NOT NULL COLLATE pg_catalog."C",
    minute timestamp with time zone NOT NULL,
    agent text NOT NULL COLLATE pg_catalog."C",
    agent_version text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    failure_type text NOT NULL COLLATE pg_catalog."C",
    failure_code text NOT NULL COLLATE pg_catalog."C",
    latency_bucket smallint NOT NULL,
    runs bigint NOT NULL,
    latency_us bigint NOT NULL
);

CREATE TABLE agenttracer.runs (
    project text NOT NULL COLLATE pg_catalog."C",
    run_id uuid NOT NULL,
    identity_rank smallint NOT NULL,
    agent text NOT NULL COLLATE pg_catalog."C",
    agent_version text NOT NULL COLLATE pg_catalog."C",
    declared_started_at timestamp with time zone,
    start_digest bigint,
    parent_run_id uuid,
    parent_step_id text COLLATE pg_catalog."C",
    abandon_after_s integer,
    metadata json,
    ended_at timestamp with time zone,
    end_digest bigint,
    end_status text COLLATE pg_catalog."C",
    emitted integer,
    first_ended_at timestamp with time zone,
    first_event_at timestamp with time zone NOT NULL,
    last_event_at timestamp with time zone NOT NULL,
    last_received_at timestamp with time zone NOT NULL,
    silent_after timestamp with time zone NOT NULL,
    step_count integer NOT NULL,
    error_step_count integer NOT NULL,
    failure_count integer NOT NULL,
    recorded_failure_count integer NOT NULL,
    failure_rank smallint,
    failure_at timestamp with time zone,
    failure_id text COLLATE pg_catalog."C",
    failure_type text COLLATE pg_catalog."C",
    failure_code text COLLATE pg_catalog."C",
    started_at timestamp with time zone GENERATED ALWAYS AS (COALESCE(declared_started_at, first_event_at)) STORED NOT NULL,
    status text GENERATED ALWAYS AS (COALESCE(end_status, 'running'::text)) STORED NOT NULL COLLATE pg_catalog."C",
    latency_us bigint GENERATED ALWAYS AS (
CASE
    WHEN (ended_at IS NOT NULL) THEN GREATEST((0)::bigint, ((EXTRACT(epoch FROM (ended_at - COALESCE(declared_started_at, first_event_at))) * (1000000)::numeric))::bigint)
    ELSE NULL::bigint
END) STORED,
    root_failure_id text COLLATE pg_catalog."C",
    root_failure_type text COLLATE pg_catalog."C",
    root_failure_code text COLLATE pg_catalog."C",
    shape text COLLATE pg_catalog."C",
    watched bigint[],
    recheck_steps integer,
    recheck_until timestamp with time zone,
    CONSTRAINT runs_end_status_check CHECK ((end_status = ANY (ARRAY['success'::text, 'partial'::text, 'failure'::text])))
);

CREATE VIEW agenttracer.runs_now WITH (security_invoker='true') AS
 SELECT project,
    run_id,
    identity_rank,
    agent,
    agent_version,
    declared_started_at,
    start_digest,
    parent_run_id,
    parent_step_id,
    abandon_after_s,
    metadata,
    ended_at,
    end_digest,
    end_status,
    emitted,
    first_ended_at,
    first_event_at,
    last_event_at,
    last_received_at,
    silent_after,
    step_count,
    error_step_count,
    failure_count,
    recorded_failure_count,
    failure_rank,
    failure_at,
    failure_id,
    failure_type,
    failure_code,
    started_at,
    status,
    latency_us,
    root_failure_id,
    root_failure_type,
    root_failure_code,
    shape,
    watched,
    recheck_steps,
    recheck_until,
        CASE
            WHEN ((end_status IS NULL) AND (silent_after < now())) THEN 'abandoned'::text
            ELSE status
        END AS status_now,
    ((step_count > 1000) OR ((failure_count > 200) AND ((failure_count - ( SELECT count(*) AS count
           FROM agenttracer.failures
          WHERE ((failures.project = runs.project) AND (failures.run_id = runs.run_id) AND (failures.failure_rank = 3)))) > 200))) AS truncated
   FROM agenttracer.runs;

CREATE TABLE agenttracer.schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE agenttracer.step_rollups (
    project text NOT NULL COLLATE pg_catalog."C",
    minute timestamp with time zone NOT NULL,
    agent text NOT NULL COLLATE pg_catalog."C",
    agent_version text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    latency_bucket smallint NOT NULL,
    steps bigint NOT NULL,
    latency_us bigint NOT NULL
);

CREATE TABLE agenttracer.steps (
    project text NOT NULL COLLATE pg_catalog."C",
    run_id uuid NOT NULL,
    step_id text NOT NULL COLLATE pg_catalog."C",
    started_at timestamp with time zone NOT NULL,
    duration_us bigint NOT NULL,
    seq integer NOT NULL,
    http_status smallint,
    latency_bucket smallint NOT NULL,
    attempt smallint NOT NULL,
    errno integer,
    kind text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    agent text NOT NULL COLLATE pg_catalog."C",
    agent_version text NOT NULL COLLATE pg_catalog."C",
    parent_step_id text COLLATE pg_catalog."C",
    cause_step_id text COLLATE pg_catalog."C",
    error_class text COLLATE pg_catalog."C",
    error_code text COLLATE pg_catalog."C",
    retry_after_s integer,
    metadata json,
    CONSTRAINT steps_kind_check CHECK ((kind = ANY (ARRAY['plan'::text, 'retrieve'::text, 'tool'::text, 'respond'::text, 'other'::text]))),
    CONSTRAINT steps_status_check CHECK ((status = ANY (ARRAY['ok'::text, 'error'::text])))
)
PARTITION BY RANGE (started_at);

CREATE TABLE agenttracer.steps_default (
    project text CONSTRAINT steps_project_not_null NOT NULL COLLATE pg_catalog."C",
    run_id uuid CONSTRAINT steps_run_id_not_null NOT NULL,
    step_id text CONSTRAINT steps_step_id_not_null NOT NULL COLLATE pg_catalog."C",
    started_at timestamp with time zone CONSTRAINT steps_started_at_not_null NOT NULL,
    duration_us bigint CONSTRAINT steps_duration_us_not_null NOT NULL,
    seq integer CONSTRAINT steps_seq_not_null NOT NULL,
    http_status smallint,
    latency_bucket smallint CONSTRAINT steps_latency_bucket_not_null NOT NULL,
    attempt smallint CONSTRAINT steps_attempt_not_null NOT NULL,
    errno integer,
    kind text CONSTRAINT steps_kind_not_null NOT NULL COLLATE pg_catalog."C",
    name text CONSTRAINT steps_name_not_null NOT NULL COLLATE pg_catalog."C",
    status text CONSTRAINT steps_status_not_null NOT NULL COLLATE pg_catalog."C",
    agent text CONSTRAINT steps_agent_not_null NOT NULL COLLATE pg_catalog."C",
    agent_version text CONSTRAINT steps_agent_version_not_null NOT NULL COLLATE pg_catalog."C",
    parent_step_id text COLLATE pg_catalog."C",
    cause_step_id text COLLATE pg_catalog."C",
    error_class text COLLATE pg_catalog."C",
    error_code text COLLATE pg_catalog."C",
    retry_after_s integer,
    metadata json,
    CONSTRAINT steps_kind_check CHECK ((kind = ANY (ARRAY['plan'::text, 'retrieve'::text, 'tool'::text, 'respond'::text, 'other'::text]))),
    CONSTRAINT steps_status_check CHECK ((status = ANY (ARRAY['ok'::text, 'error'::text])))
);

ALTER TABLE ONLY agenttracer.steps ATTACH PARTITION agenttracer.steps_default DEFAULT;

ALTER TABLE ONLY agenttracer.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (key_id);

ALTER TABLE ONLY agenttracer.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (topic_id, partition, record_offset);

ALTER TABLE ONLY agenttracer.declared_losses
    ADD CONSTRAINT declared_losses_pkey PRIMARY KEY (project, run_id, producer, reason);

ALTER TABLE ONLY agenttracer.deletions
    ADD CONSTRAINT deletions_project_run_id_key UNIQUE NULLS NOT DISTINCT (project, run_id);

ALTER TABLE ONLY agenttracer.failures
    ADD CONSTRAINT failures_pkey PRIMARY KEY (project, run_id, failure_id);

ALTER TABLE ONLY agenttracer.ingest_ledger
    ADD CONSTRAINT ingest_ledger_pkey PRIMARY KEY (topic_id, partition);

ALTER TABLE ONLY agenttracer.retention
    ADD CONSTRAINT retention_pkey PRIMARY KEY (project);

ALTER TABLE ONLY agenttracer.run_producers
    ADD CONSTRAINT run_producers_pkey PRIMARY KEY (project, run_id, producer);

ALTER TABLE ONLY agenttracer.run_rollups
    ADD CONSTRAINT run_rollups_pkey PRIMARY KEY (project, minute, agent, agent_version, status, failure_type, failure_code, latency_bucket);

ALTER TABLE ONLY agenttracer.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (project, run_id);

ALTER TABLE ONLY agenttracer.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY agenttracer.step_rollups
    ADD CONSTRAINT step_rollups_pkey PRIMARY KEY (project, minute, agent, agent_version, kind, name, status, latency_bucket);

ALTER TABLE ONLY agenttracer.steps
    ADD CONSTRAINT steps_pkey PRIMARY KEY (project, run_id, started_at, step_id);

ALTER TABLE ONLY agenttracer.steps_default
    ADD CONSTRAINT steps_default_pkey PRIMARY KEY (project, run_id, started_at, step_id);

CREATE INDEX api_keys_of_project ON agenttracer.api_keys USING btree (project, created_at);

CREATE INDEX failures_by_code ON agenttracer.failures USING btree (project, failure_code, occurred_at DESC);

CREATE INDEX failures_by_fingerprint ON agenttracer.failures USING btree (project, fingerprint, occurred_at DESC);

CREATE INDEX failures_by_time ON agenttracer.failures USING btree (project, occurred_at DESC);

CREATE INDEX failures_derived ON agenttracer.failures USING btree (project, run_id) WHERE (failure_rank = 3);

CREATE INDEX failures_of_run ON agenttracer.failures USING btree (project, run_id, occurred_at, seq, failure_id);

CREATE INDEX runs_by_shape ON agenttracer.runs USING btree (project, shape, started_at DESC);

CREATE INDEX runs_by_span ON agenttracer.runs USING brin (first_event_at, last_event_at);

CREATE INDEX runs_newest ON agenttracer.runs USING btree (project, started_at DESC, run_id DESC);

CREATE INDEX runs_newest_of_agent ON agenttracer.runs USING btree (project, agent, started_at DESC, run_id DESC);

CREATE INDEX runs_open ON agenttracer.runs USING btree (project, silent_after) WHERE (end_status IS NULL);

ALTER INDEX agenttracer.steps_pkey ATTACH PARTITION agenttracer.steps_default_pkey;

ALTER TABLE agenttracer.declared_losses ENABLE ROW LEVEL SECURITY;

ALTER TABLE agenttracer.failures ENABLE ROW LEVEL SECURITY;

CREATE POLICY query_reads_its_project ON agenttracer.declared_losses FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.failures FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.run_producers FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.run_rollups FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.runs FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.step_rollups FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.steps FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

ALTER TABLE agenttracer.run_producers ENABLE ROW LEVEL SECURITY;

ALTER TABLE agenttracer.run_rollups ENABLE ROW LEVEL SECURITY;

ALTER TABLE agenttracer.runs ENABLE ROW LEVEL SECURITY;

ALTER TABLE agenttracer.step_rollups ENABLE ROW LEVEL SECURITY;

ALTER TABLE agenttracer.steps ENABLE ROW LEVEL SECURITY;

CREATE POLICY worker_writes_all ON agenttracer.declared_losses TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.failures TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.run_producers TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.run_rollups TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.runs TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.step_rollups TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.steps TO agenttracer_worker USING (true) WITH CHECK (true);

GRANT USAGE ON SCHEMA agenttracer TO agenttracer_gateway;
GRANT USAGE ON SCHEMA agenttracer TO agenttracer_worker;
GRANT USAGE ON SCHEMA agenttracer TO agenttracer_query;

REVOKE ALL ON FUNCTION agenttracer.ensure_steps_partition(day date) FROM PUBLIC;
GRANT ALL ON FUNCTION agenttracer.ensure_steps_partition(day date) TO agenttracer_worker;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.declared_losses TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.declared_losses TO agenttracer_query;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.run_producers TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.run_producers TO agenttracer_query;

REVOKE ALL ON FUNCTION agenttracer.run_producer_account(of_project text, of_run uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION agenttracer.run_producer_account(of_project text, of_run uuid) TO agenttracer_query;
GRANT ALL ON FUNCTION agenttracer.run_producer_account(of_project text, of_run uuid) TO agenttracer_worker;

GRANT SELECT ON TABLE agenttracer.api_keys TO agenttracer_gateway;
GRANT SELECT ON TABLE agenttracer.api_keys TO agenttracer_query;

GRANT UPDATE(last_used_at) ON TABLE agenttracer.api_keys TO agenttracer_gateway;
GRANT UPDATE(last_used_at) ON TABLE agenttracer.api_keys TO agenttracer_query;

GRANT SELECT,INSERT ON TABLE agenttracer.dead_letters TO agenttracer_worker;

GRANT SELECT ON TABLE agenttracer.deletions TO agenttracer_worker;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.failures TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.failures TO agenttracer_query;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.ingest_ledger TO agenttracer_worker;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.run_rollups TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.run_rollups TO agenttracer_query;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.runs TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.runs TO agenttracer_query;

GRANT SELECT ON TABLE agenttracer.runs_now TO agenttracer_query;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.step_rollups TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.step_rollups TO agenttracer_query;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.steps TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.steps TO agenttracer_query;
