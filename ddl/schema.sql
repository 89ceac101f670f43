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
        SELECT 1 FROM steps_default WHERE started_at >= low AND started_at < high LIMIT most_moved + 1
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

CREATE FUNCTION agenttracer.time_shift_us(received timestamp with time zone, sent timestamp with time zone) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (((received - sent) < '-00:10:00'::interval) OR ((received - sent) > '30 days'::interval)) THEN ((EXTRACT(epoch FROM (received - sent)) * (1000000)::numeric))::bigint ELSE (0)::bigint END;

CREATE TABLE agenttracer.allowed_names (
    project text NOT NULL COLLATE pg_catalog."C",
    pseudonym text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    name_key_id text NOT NULL COLLATE pg_catalog."C",
    of_pseudonym boolean NOT NULL,
    allowed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT allowed_names_name_check CHECK (((name <> ''::text) AND (octet_length(name) <= 1024))),
    CONSTRAINT allowed_names_pseudonym_check CHECK ((pseudonym ~ '^~[0-9a-f]{10}$'::text))
);

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

CREATE TABLE agenttracer.audit_log (
    entry uuid DEFAULT uuidv7() NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    action text NOT NULL COLLATE pg_catalog."C",
    project text COLLATE pg_catalog."C",
    key_id text COLLATE pg_catalog."C",
    run_id uuid,
    reason text COLLATE pg_catalog."C",
    number bigint DEFAULT 1 NOT NULL,
    role text DEFAULT SESSION_USER NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT audit_log_action_check CHECK ((action = ANY (ARRAY['key_created'::text, 'key_revoked'::text, 'key_refused'::text, 'run_deleted'::text, 'project_deleted'::text, 'retention_set'::text, 'runs_expired'::text]))),
    CONSTRAINT audit_log_number_check CHECK ((number > 0))
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
    retried_at timestamp with time zone,
    project text COLLATE pg_catalog."C"
);

CREATE TABLE agenttracer.declared_losses (
    project text NOT NULL COLLATE pg_catalog."C",
    run_id uuid NOT NULL,
    producer text NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL COLLATE pg_catalog."C",
    total integer NOT NULL,
    CONSTRAINT declared_losses_reason_check CHECK ((reason = ANY (ARRAY['queue_full'::text, 'too_large'::text, 'refused'::text, 'unauthorized'::text, 'exit'::text, 'fork'::text, 'internal'::text])))
);

CREATE TABLE agenttracer.deletions (
    project text NOT NULL COLLATE pg_catalog."C",
    run_id uuid,
    expired boolean NOT NULL,
    deleted_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE agenttracer.detail_horizons (
    project text NOT NULL COLLATE pg_catalog."C",
    before timestamp with time zone NOT NULL
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
    CONSTRAINT failures_failure_type_check CHECK ((failure_type = ANY (ARRAY['tool'::text, 'model'::text, 'retrieval'::text, 'orchestration'::text])))
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

CREATE TABLE agenttracer.name_modes (
    project text NOT NULL COLLATE pg_catalog."C",
    closed boolean DEFAULT false NOT NULL,
    revision bigint DEFAULT 1 NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE agenttracer.retention (
    project text NOT NULL COLLATE pg_catalog."C",
    days integer NOT NULL,
    statistics_days integer,
    CONSTRAINT retention_days_check CHECK (((days >= 1) AND (days <= 36500))),
    CONSTRAINT retention_statistics_days_check CHECK (((statistics_days >= days) AND (statistics_days <= 36500)))
);

CREATE TABLE agenttracer.run_producers (
    project text NOT NULL COLLATE pg_catalog."C",
    run_id uuid NOT NULL,
    producer text NOT NULL COLLATE pg_catalog."C",
    seen int4multirange NOT NULL,
    emitted integer
);

CREATE TABLE agenttracer.run_rollup_deltas (
    project text NOT NULL COLLATE pg_catalog."C",
    minute timestamp with time zone NOT NULL,
    agent text NOT NULL COLLATE pg_catalog."C",
    agent_version text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    failure_type text NOT NULL COLLATE pg_catalog."C",
    failure_code text NOT NULL COLLATE pg_catalog."C",
    runs bigint NOT NULL,
    latency_us numeric NOT NULL,
    histogram bytea NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='20000');

CREATE TABLE agenttracer.run_rollup_totals (
    project text NOT NULL COLLATE pg_catalog."C",
    span_minutes smallint NOT NULL,
    period timestamp with time zone NOT NULL,
    agent text NOT NULL COLLATE pg_catalog."C",
    agent_version text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    failure_type text NOT NULL COLLATE pg_catalog."C",
    failure_code text NOT NULL COLLATE pg_catalog."C",
    runs bigint NOT NULL,
    latency_us numeric NOT NULL,
    histogram bytea NOT NULL
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
    started_at timestamp with time zone GENERATED ALWAYS AS ((((COALESCE(declared_started_at, first_event_at) AT TIME ZONE 'UTC'::text) + ((agenttracer.time_shift_us(first_received_at, first_sent_at))::double precision * '00:00:00.000001'::interval)) AT TIME ZONE 'UTC'::text)) STORED NOT NULL,
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
    declared_kind text COLLATE pg_catalog."C",
    end_reason text COLLATE pg_catalog."C",
    session_digest text COLLATE pg_catalog."C",
    said_success boolean DEFAULT false NOT NULL,
    first_received_at timestamp with time zone,
    first_sent_at timestamp with time zone,
    time_shift_us bigint GENERATED ALWAYS AS (agenttracer.time_shift_us(first_received_at, first_sent_at)) STORED NOT NULL,
    end_rank smallint,
    CONSTRAINT runs_declared_kind_check CHECK ((declared_kind = ANY (ARRAY['agent'::text, 'trace'::text]))),
    CONSTRAINT runs_end_reason_check CHECK ((end_reason = ANY (ARRAY['completed'::text, 'error'::text, 'cancelled'::text, 'interrupted'::text, 'limit_steps'::text, 'limit_time'::text, 'limit_tokens'::text, 'limit_cost'::text, 'exited'::text]))),
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
    declared_kind,
    end_reason,
    session_digest,
    said_success,
    first_received_at,
    first_sent_at,
    time_shift_us,
    end_rank,
        CASE
            WHEN ((end_status IS NULL) AND (silent_after < now())) THEN 'abandoned'::text
            ELSE status
        END AS status_now
   FROM agenttracer.runs;

CREATE TABLE agenttracer.schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE agenttracer.step_rollup_deltas (
    project text NOT NULL COLLATE pg_catalog."C",
    minute timestamp with time zone NOT NULL,
    agent text NOT NULL COLLATE pg_catalog."C",
    agent_version text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    model text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    steps bigint NOT NULL,
    latency_us numeric NOT NULL,
    input_tokens numeric DEFAULT 0 NOT NULL,
    output_tokens numeric DEFAULT 0 NOT NULL,
    cost numeric DEFAULT 0 NOT NULL,
    histogram bytea NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='20000');

CREATE TABLE agenttracer.step_rollup_totals (
    project text NOT NULL COLLATE pg_catalog."C",
    span_minutes smallint NOT NULL,
    period timestamp with time zone NOT NULL,
    agent text NOT NULL COLLATE pg_catalog."C",
    agent_version text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    model text DEFAULT ''::text NOT NULL COLLATE pg_catalog."C",
    steps bigint NOT NULL,
    latency_us numeric NOT NULL,
    input_tokens numeric DEFAULT 0 NOT NULL,
    output_tokens numeric DEFAULT 0 NOT NULL,
    cost numeric DEFAULT 0 NOT NULL,
    histogram bytea NOT NULL
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
    work_digest text COLLATE pg_catalog."C",
    returned_code text COLLATE pg_catalog."C",
    returned_http_status smallint,
    returned_exit_status integer,
    returned_error_class text COLLATE pg_catalog."C",
    own_agent text COLLATE pg_catalog."C",
    own_agent_version text COLLATE pg_catalog."C",
    own_end_reason text COLLATE pg_catalog."C",
    session_digest text COLLATE pg_catalog."C",
    redacted integer,
    cost_nano bigint,
    cost_currency text COLLATE pg_catalog."C",
    model text COLLATE pg_catalog."C",
    input_tokens integer,
    output_tokens integer,
    cache_read_tokens integer,
    reasoning_tokens integer,
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
    work_digest text COLLATE pg_catalog."C",
    returned_code text COLLATE pg_catalog."C",
    returned_http_status smallint,
    returned_exit_status integer,
    returned_error_class text COLLATE pg_catalog."C",
    own_agent text COLLATE pg_catalog."C",
    own_agent_version text COLLATE pg_catalog."C",
    own_end_reason text COLLATE pg_catalog."C",
    session_digest text COLLATE pg_catalog."C",
    redacted integer,
    cost_nano bigint,
    cost_currency text COLLATE pg_catalog."C",
    model text COLLATE pg_catalog."C",
    input_tokens integer,
    output_tokens integer,
    cache_read_tokens integer,
    reasoning_tokens integer,
    CONSTRAINT steps_kind_check CHECK ((kind = ANY (ARRAY['plan'::text, 'retrieve'::text, 'tool'::text, 'respond'::text, 'other'::text]))),
    CONSTRAINT steps_status_check CHECK ((status = ANY (ARRAY['ok'::text, 'error'::text])))
);

CREATE TABLE agenttracer.stored_partitions (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    topic text NOT NULL COLLATE pg_catalog."C",
    first_at timestamp with time zone DEFAULT now() NOT NULL,
    complete_to timestamp with time zone
)
WITH (fillfactor='50');

ALTER TABLE ONLY agenttracer.steps ATTACH PARTITION agenttracer.steps_default DEFAULT;

ALTER TABLE ONLY agenttracer.allowed_names
    ADD CONSTRAINT allowed_names_pkey PRIMARY KEY (project, pseudonym);

ALTER TABLE ONLY agenttracer.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (key_id);

ALTER TABLE ONLY agenttracer.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (entry);

ALTER TABLE ONLY agenttracer.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (topic_id, partition, record_offset);

ALTER TABLE ONLY agenttracer.declared_losses
    ADD CONSTRAINT declared_losses_pkey PRIMARY KEY (project, run_id, producer, reason);

ALTER TABLE ONLY agenttracer.deletions
    ADD CONSTRAINT deletions_project_run_id_key UNIQUE NULLS NOT DISTINCT (project, run_id);

ALTER TABLE ONLY agenttracer.detail_horizons
    ADD CONSTRAINT detail_horizons_pkey PRIMARY KEY (project);

ALTER TABLE agenttracer.failures
    ADD CONSTRAINT failures_outcome_check CHECK ((outcome = ANY (ARRAY['recovered'::text, 'unrecovered'::text, 'fatal'::text]))) NOT VALID;

ALTER TABLE ONLY agenttracer.failures
    ADD CONSTRAINT failures_pkey PRIMARY KEY (project, run_id, failure_id);

ALTER TABLE ONLY agenttracer.ingest_ledger
    ADD CONSTRAINT ingest_ledger_pkey PRIMARY KEY (topic_id, partition);

ALTER TABLE ONLY agenttracer.name_modes
    ADD CONSTRAINT name_modes_pkey PRIMARY KEY (project);

ALTER TABLE ONLY agenttracer.retention
    ADD CONSTRAINT retention_pkey PRIMARY KEY (project);

ALTER TABLE ONLY agenttracer.run_producers
    ADD CONSTRAINT run_producers_pkey PRIMARY KEY (project, run_id, producer);

ALTER TABLE ONLY agenttracer.run_rollup_totals
    ADD CONSTRAINT run_rollup_totals_pkey PRIMARY KEY (project, span_minutes, period, agent, agent_version, status, failure_type, failure_code);

ALTER TABLE ONLY agenttracer.run_rollups
    ADD CONSTRAINT run_rollups_pkey PRIMARY KEY (project, minute, agent, agent_version, status, failure_type, failure_code, latency_bucket);

ALTER TABLE ONLY agenttracer.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (project, run_id);

ALTER TABLE ONLY agenttracer.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY agenttracer.step_rollup_totals
    ADD CONSTRAINT step_rollup_totals_pkey PRIMARY KEY (project, span_minutes, period, agent, agent_version, kind, name, status, model);

ALTER TABLE ONLY agenttracer.step_rollups
    ADD CONSTRAINT step_rollups_pkey PRIMARY KEY (project, minute, agent, agent_version, kind, name, status, latency_bucket);

ALTER TABLE ONLY agenttracer.steps
    ADD CONSTRAINT steps_pkey PRIMARY KEY (project, run_id, started_at, step_id);

ALTER TABLE ONLY agenttracer.steps_default
    ADD CONSTRAINT steps_default_pkey PRIMARY KEY (project, run_id, started_at, step_id);

ALTER TABLE ONLY agenttracer.stored_partitions
    ADD CONSTRAINT stored_partitions_pkey PRIMARY KEY (topic_id, partition);

CREATE INDEX api_keys_of_project ON agenttracer.api_keys USING btree (project, created_at);

CREATE INDEX audit_log_of_project ON agenttracer.audit_log USING btree (project, entry);

CREATE INDEX failures_by_code ON agenttracer.failures USING btree (project, failure_code, occurred_at DESC);

CREATE INDEX failures_by_fingerprint ON agenttracer.failures USING btree (project, fingerprint, occurred_at DESC);

CREATE INDEX failures_by_time ON agenttracer.failures USING btree (project, occurred_at DESC);

CREATE INDEX failures_by_type ON agenttracer.failures USING btree (project, failure_type, occurred_at DESC);

CREATE INDEX failures_derived ON agenttracer.failures USING btree (project, run_id) WHERE (failure_rank = 3);

CREATE INDEX failures_of_run ON agenttracer.failures USING btree (project, run_id, occurred_at, seq, failure_id);

CREATE INDEX run_rollup_deltas_of_project ON agenttracer.run_rollup_deltas USING btree (project, minute);

CREATE INDEX runs_by_latency ON agenttracer.runs USING btree (project, latency_us, started_at, run_id) INCLUDE (agent, agent_version) WHERE (latency_us IS NOT NULL);

CREATE INDEX runs_by_parent ON agenttracer.runs USING btree (project, parent_run_id, started_at, run_id) WHERE (parent_run_id IS NOT NULL);

CREATE INDEX runs_by_receipt ON agenttracer.runs USING brin (last_received_at) WITH (autosummarize='on');

CREATE INDEX runs_by_session ON agenttracer.runs USING btree (project, session_digest, started_at DESC, run_id DESC) WHERE (session_digest IS NOT NULL);

CREATE INDEX runs_by_shape ON agenttracer.runs USING btree (project, shape, started_at DESC);

CREATE INDEX runs_by_span ON agenttracer.runs USING brin (first_event_at, last_event_at);

CREATE INDEX runs_long ON agenttracer.runs USING btree (project, started_at DESC, run_id DESC) WHERE (((last_event_at - first_event_at) > '01:00:00'::interval) OR (declared_started_at > first_event_at));

CREATE INDEX runs_newest ON agenttracer.runs USING btree (project, started_at DESC, run_id DESC);

CREATE INDEX runs_newest_of_agent ON agenttracer.runs USING btree (project, agent, started_at DESC, run_id DESC);

CREATE INDEX runs_newest_of_status ON agenttracer.runs USING btree (project, status, started_at DESC, run_id DESC);

CREATE INDEX runs_newest_of_version ON agenttracer.runs USING btree (project, agent_version, started_at DESC, run_id DESC);

CREATE INDEX runs_open ON agenttracer.runs USING btree (project, silent_after) WHERE (end_status IS NULL);

CREATE INDEX runs_time_shifted ON agenttracer.runs USING btree (project, started_at DESC, run_id DESC) WHERE (time_shift_us <> 0);

CREATE INDEX step_rollup_deltas_of_project ON agenttracer.step_rollup_deltas USING btree (project, minute);

ALTER INDEX agenttracer.steps_pkey ATTACH PARTITION agenttracer.steps_default_pkey;

ALTER TABLE agenttracer.allowed_names ENABLE ROW LEVEL SECURITY;

ALTER TABLE agenttracer.audit_log ENABLE ROW LEVEL SECURITY;

ALTER TABLE agenttracer.declared_losses ENABLE ROW LEVEL SECURITY;

ALTER TABLE agenttracer.failures ENABLE ROW LEVEL SECURITY;

CREATE POLICY gateway_reads_all ON agenttracer.allowed_names FOR SELECT TO agenttracer_gateway USING (true);

CREATE POLICY gateway_reads_all ON agenttracer.name_modes FOR SELECT TO agenttracer_gateway USING (true);

ALTER TABLE agenttracer.name_modes ENABLE ROW LEVEL SECURITY;

CREATE POLICY query_reads_its_project ON agenttracer.allowed_names FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.declared_losses FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.failures FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.run_producers FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.run_rollup_deltas FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.run_rollup_totals FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.run_rollups FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.runs FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.step_rollup_deltas FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.step_rollup_totals FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.step_rollups FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

CREATE POLICY query_reads_its_project ON agenttracer.steps FOR SELECT TO agenttracer_query USING ((project = current_setting('agenttracer.project'::text, true)));

ALTER TABLE agenttracer.run_producers ENABLE ROW LEVEL SECURITY;

ALTER TABLE agenttracer.run_rollup_deltas ENABLE ROW LEVEL SECURITY;

ALTER TABLE agenttracer.run_rollup_totals ENABLE ROW LEVEL SECURITY;

ALTER TABLE agenttracer.run_rollups ENABLE ROW LEVEL SECURITY;

ALTER TABLE agenttracer.runs ENABLE ROW LEVEL SECURITY;

CREATE POLICY services_say_whom_they_refused ON agenttracer.audit_log FOR INSERT TO agenttracer_gateway, agenttracer_query WITH CHECK ((action = 'key_refused'::text));

ALTER TABLE agenttracer.step_rollup_deltas ENABLE ROW LEVEL SECURITY;

ALTER TABLE agenttracer.step_rollup_totals ENABLE ROW LEVEL SECURITY;

ALTER TABLE agenttracer.step_rollups ENABLE ROW LEVEL SECURITY;

ALTER TABLE agenttracer.steps ENABLE ROW LEVEL SECURITY;

CREATE POLICY worker_writes_all ON agenttracer.declared_losses TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.failures TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.run_producers TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.run_rollup_deltas TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.run_rollup_totals TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.run_rollups TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.runs TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.step_rollup_deltas TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.step_rollup_totals TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.step_rollups TO agenttracer_worker USING (true) WITH CHECK (true);

CREATE POLICY worker_writes_all ON agenttracer.steps TO agenttracer_worker USING (true) WITH CHECK (true);

GRANT USAGE ON SCHEMA agenttracer TO agenttracer_gateway;
GRANT USAGE ON SCHEMA agenttracer TO agenttracer_worker;
GRANT USAGE ON SCHEMA agenttracer TO agenttracer_query;

REVOKE ALL ON FUNCTION agenttracer.ensure_steps_partition(day date) FROM PUBLIC;
GRANT ALL ON FUNCTION agenttracer.ensure_steps_partition(day date) TO agenttracer_worker;

GRANT SELECT ON TABLE agenttracer.allowed_names TO agenttracer_gateway;
GRANT SELECT ON TABLE agenttracer.allowed_names TO agenttracer_query;

GRANT SELECT ON TABLE agenttracer.api_keys TO agenttracer_gateway;
GRANT SELECT ON TABLE agenttracer.api_keys TO agenttracer_query;

GRANT UPDATE(last_used_at) ON TABLE agenttracer.api_keys TO agenttracer_gateway;
GRANT UPDATE(last_used_at) ON TABLE agenttracer.api_keys TO agenttracer_query;

GRANT INSERT(action) ON TABLE agenttracer.audit_log TO agenttracer_gateway;
GRANT INSERT(action) ON TABLE agenttracer.audit_log TO agenttracer_query;

GRANT INSERT(key_id) ON TABLE agenttracer.audit_log TO agenttracer_gateway;
GRANT INSERT(key_id) ON TABLE agenttracer.audit_log TO agenttracer_query;

GRANT INSERT(reason) ON TABLE agenttracer.audit_log TO agenttracer_gateway;
GRANT INSERT(reason) ON TABLE agenttracer.audit_log TO agenttracer_query;

GRANT INSERT(number) ON TABLE agenttracer.audit_log TO agenttracer_gateway;
GRANT INSERT(number) ON TABLE agenttracer.audit_log TO agenttracer_query;

GRANT SELECT,INSERT ON TABLE agenttracer.dead_letters TO agenttracer_worker;

GRANT UPDATE(attempts) ON TABLE agenttracer.dead_letters TO agenttracer_worker;

GRANT UPDATE(attempted_at) ON TABLE agenttracer.dead_letters TO agenttracer_worker;

GRANT UPDATE(retried_at) ON TABLE agenttracer.dead_letters TO agenttracer_worker;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.declared_losses TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.declared_losses TO agenttracer_query;

GRANT SELECT ON TABLE agenttracer.deletions TO agenttracer_worker;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.failures TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.failures TO agenttracer_query;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.ingest_ledger TO agenttracer_worker;

GRANT SELECT ON TABLE agenttracer.name_modes TO agenttracer_gateway;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.run_producers TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.run_producers TO agenttracer_query;

GRANT SELECT,INSERT,DELETE ON TABLE agenttracer.run_rollup_deltas TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.run_rollup_deltas TO agenttracer_query;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.run_rollup_totals TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.run_rollup_totals TO agenttracer_query;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.run_rollups TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.run_rollups TO agenttracer_query;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.runs TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.runs TO agenttracer_query;

GRANT SELECT ON TABLE agenttracer.runs_now TO agenttracer_query;

GRANT SELECT,INSERT,DELETE ON TABLE agenttracer.step_rollup_deltas TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.step_rollup_deltas TO agenttracer_query;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.step_rollup_totals TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.step_rollup_totals TO agenttracer_query;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.step_rollups TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.step_rollups TO agenttracer_query;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE agenttracer.steps TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.steps TO agenttracer_query;

GRANT SELECT,INSERT,UPDATE ON TABLE agenttracer.stored_partitions TO agenttracer_worker;
GRANT SELECT ON TABLE agenttracer.stored_partitions TO agenttracer_query;
