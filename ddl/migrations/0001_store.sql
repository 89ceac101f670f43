-- The store. Names are unqualified on purpose: a migration runs inside one schema (`agenttracer`, or a rebuild's shadow).
-- Every key of a run's data starts with (project, run_id), so that Citus could distribute by project and keep runs together.
-- Names and codes compare byte by byte (COLLATE "C"), as they do in the Python fold.

-- Latency histograms: values below 32 us exactly, above that sixteen buckets an octave (at most 6.25 % wide).
-- The same function in Python: stream_workers/core/histogram.py.
CREATE FUNCTION latency_bucket(us bigint) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURNS NULL ON NULL INPUT
RETURN CASE WHEN us < 32 THEN greatest(us, 0)::smallint
            ELSE (32 + (length(ltrim(us::bit(64)::text, '0')) - 6) * 16
                  + ((us >> (length(ltrim(us::bit(64)::text, '0')) - 5)) & 15))::smallint END;

CREATE TABLE runs (
    project text COLLATE "C" NOT NULL,
    run_id uuid NOT NULL,
    -- Who ran. Rank 0: said with the run's start; rank 1: with any other event. The least (rank, agent, version) wins.
    identity_rank smallint NOT NULL,
    agent text COLLATE "C" NOT NULL,
    agent_version text COLLATE "C" NOT NULL,
    -- The winning start: least (declared_started_at, start_digest). All its columns come from that one event.
    declared_started_at timestamptz,
    start_digest bigint,
    parent_run_id uuid,
    parent_step_id text COLLATE "C",
    abandon_after_s integer,
    metadata json,  -- canonical text, kept as it was written, so that equal events have equal rows
    -- The winning end: greatest (ended_at, end_digest).
    ended_at timestamptz,
    end_digest bigint,
    end_status text COLLATE "C" CHECK (end_status IN ('success', 'partial', 'failure')),
    emitted integer,
    first_ended_at timestamptz,
    -- What was seen of it.
    first_event_at timestamptz NOT NULL,
    last_event_at timestamptz NOT NULL,
    last_received_at timestamptz NOT NULL,
    silent_after timestamptz NOT NULL,
    step_count integer NOT NULL,
    error_step_count integer NOT NULL,
    failure_count integer NOT NULL,
    recorded_failure_count integer NOT NULL,
    -- The first failure: least (failure_rank, failure_at, failure_id).
    failure_rank smallint,
    failure_at timestamptz,
    failure_id text COLLATE "C",
    failure_type text COLLATE "C",
    failure_code text COLLATE "C",
    -- Derived.
    started_at timestamptz NOT NULL GENERATED ALWAYS AS (coalesce(declared_started_at, first_event_at)) STORED,
    status text COLLATE "C" NOT NULL GENERATED ALWAYS AS (coalesce(end_status, 'running')) STORED,
    latency_us bigint GENERATED ALWAYS AS (
        -- greatest() would make 0 of the null that an open run has
        CASE WHEN ended_at IS NOT NULL
             THEN greatest(0, (extract(epoch FROM ended_at - coalesce(declared_started_at, first_event_at)) * 1000000)::bigint)
        END
    ) STORED,
    PRIMARY KEY (project, run_id)
);
CREATE INDEX runs_newest ON runs (project, started_at DESC, run_id DESC);
CREATE INDEX runs_newest_of_agent ON runs (project, agent, started_at DESC, run_id DESC);
CREATE INDEX runs_open ON runs (project, silent_after) WHERE end_status IS NULL;

-- A run as it stands at this moment. Silence is judged when somebody looks, so nothing has to be undone when a run speaks again.
CREATE VIEW runs_now WITH (security_invoker = true) AS
SELECT runs.*,
       CASE WHEN end_status IS NULL AND silent_after < now() THEN 'abandoned' ELSE status END AS status_now
FROM runs;

-- Steps, partitioned by the UTC day of their start so that retention is a partition drop. The start is therefore in the key.
CREATE TABLE steps (
    project text COLLATE "C" NOT NULL,
    run_id uuid NOT NULL,
    step_id text COLLATE "C" NOT NULL,
    started_at timestamptz NOT NULL,
    duration_us bigint NOT NULL,
    seq integer NOT NULL,
    http_status smallint,
    latency_bucket smallint NOT NULL,
    attempt smallint NOT NULL,
    errno integer,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('plan', 'retrieve', 'tool', 'respond', 'other')),
    name text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL CHECK (status IN ('ok', 'error')),
    agent text COLLATE "C" NOT NULL,
    agent_version text COLLATE "C" NOT NULL,
    parent_step_id text COLLATE "C",
    cause_step_id text COLLATE "C",
    error_class text COLLATE "C",
    error_code text COLLATE "C",
    retry_after_s integer,
    metadata json,  -- canonical text, kept as it was written, so that equal events have equal rows
    -- In the order of the steps, so that a page of a long run is a range of the key.
    PRIMARY KEY (project, run_id, started_at, step_id)
) PARTITION BY RANGE (started_at);
CREATE TABLE steps_default PARTITION OF steps DEFAULT;

-- One row a failure: recorded by the agent's code (rank 0), found in a step (1) or in the run's end (2).
CREATE TABLE failures (
    project text COLLATE "C" NOT NULL,
    run_id uuid NOT NULL,
    failure_id text COLLATE "C" NOT NULL,
    failure_rank smallint NOT NULL CHECK (failure_rank BETWEEN 0 AND 2),
    occurred_at timestamptz NOT NULL,
    failure_type text COLLATE "C" NOT NULL CHECK (failure_type IN ('tool', 'model', 'retrieval', 'orchestration')),
    failure_code text COLLATE "C" NOT NULL,
    rule_id text COLLATE "C" NOT NULL,
    taxonomy_version smallint NOT NULL,
    step_id text COLLATE "C",
    attempt smallint,
    error_class text COLLATE "C",
    error_code text COLLATE "C",
    http_status smallint,
    errno integer,
    retry_after_s integer,
    message_chars integer,
    message_fingerprint text COLLATE "C",
    seq integer NOT NULL,
    PRIMARY KEY (project, run_id, failure_id)
);
CREATE INDEX failures_by_code ON failures (project, failure_code, occurred_at DESC);

-- Losses that a producer declared: running totals, so the greatest is the newest.
CREATE TABLE declared_losses (
    project text COLLATE "C" NOT NULL,
    run_id uuid NOT NULL,
    producer text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL
        CHECK (reason IN ('queue_full', 'too_large', 'refused', 'unauthorized', 'exit', 'fork', 'internal')),
    total integer NOT NULL,
    PRIMARY KEY (project, run_id, producer, reason)
);

-- Statistics by minute of start. Each row of `runs` counts in exactly one row of `run_rollups`, each of `steps` in one of
-- `step_rollups`: both are what GROUP BY over the detail would give, kept in the transaction that changes the detail.
-- '' stands for no failure and -1 for no latency yet, since key columns cannot be null.
CREATE TABLE run_rollups (
    project text COLLATE "C" NOT NULL,
    minute timestamptz NOT NULL,
    agent text COLLATE "C" NOT NULL,
    agent_version text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    failure_type text COLLATE "C" NOT NULL,
    failure_code text COLLATE "C" NOT NULL,
    latency_bucket smallint NOT NULL,
    runs bigint NOT NULL,
    latency_us bigint NOT NULL,
    PRIMARY KEY (project, minute, agent, agent_version, status, failure_type, failure_code, latency_bucket)
);
CREATE TABLE step_rollups (
    project text COLLATE "C" NOT NULL,
    minute timestamptz NOT NULL,
    agent text COLLATE "C" NOT NULL,
    agent_version text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    latency_bucket smallint NOT NULL,
    steps bigint NOT NULL,
    latency_us bigint NOT NULL,
    PRIMARY KEY (project, minute, agent, agent_version, kind, name, status, latency_bucket)
);

-- Which offsets of which topic the rows above cover. Written in the transaction that writes the rows; locked by it first,
-- so that two writers of one partition (an owner and a zombie) take turns.
CREATE TABLE ingest_ledger (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    topic text COLLATE "C" NOT NULL,
    covered int8multirange NOT NULL,
    lost int8multirange NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (topic_id, partition)
);

-- Records that could not be stored, without their content. The source stays in the topic for its retention.
CREATE TABLE dead_letters (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    field text COLLATE "C" NOT NULL,
    size_bytes integer NOT NULL,
    keyed_hash bytea,
    dead_at timestamptz NOT NULL,
    PRIMARY KEY (topic_id, partition, record_offset)
);

-- Makes the partition of one UTC day. Rows of that day that went to the default partition before move along.
CREATE FUNCTION ensure_steps_partition(day date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    child text := 'steps_' || to_char(day, 'YYYYMMDD');
    low timestamptz := day::timestamp AT TIME ZONE 'UTC';
    high timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || '.steps', 0));
    IF to_regclass(format('%I.%I', current_schema(), child)) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE steps INCLUDING ALL)', child);
    EXECUTE format('WITH moved AS (DELETE FROM steps_default WHERE started_at >= %L AND started_at < %L RETURNING *) '
                   'INSERT INTO %I SELECT * FROM moved', low, high, child);
    EXECUTE format('ALTER TABLE steps ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', child, low, high);
END
$$;
