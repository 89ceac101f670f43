-- What events say since version 1.1 of the contract (sdk/agenttracer/wire/events.py), and models and tokens, which are copied from
-- metadata. Rows of before stay without them until their run is rebuilt from the topic.

ALTER TABLE steps
    ADD COLUMN work_digest text COLLATE "C",
    ADD COLUMN returned_code text COLLATE "C",
    ADD COLUMN returned_http_status smallint,
    ADD COLUMN returned_exit_status integer,
    ADD COLUMN returned_error_class text COLLATE "C",
    ADD COLUMN own_agent text COLLATE "C",
    ADD COLUMN own_agent_version text COLLATE "C",
    ADD COLUMN own_end_reason text COLLATE "C",
    ADD COLUMN session_digest text COLLATE "C",
    ADD COLUMN redacted integer,
    ADD COLUMN cost_nano bigint,
    ADD COLUMN cost_currency text COLLATE "C",
    ADD COLUMN model text COLLATE "C",
    ADD COLUMN input_tokens integer,
    ADD COLUMN output_tokens integer,
    ADD COLUMN cache_read_tokens integer,
    ADD COLUMN reasoning_tokens integer;

ALTER TABLE runs
    ADD COLUMN declared_kind text COLLATE "C",
    ADD COLUMN end_reason text COLLATE "C",
    ADD COLUMN session_digest text COLLATE "C";

ALTER TABLE runs ADD CONSTRAINT runs_declared_kind_check CHECK (declared_kind IN ('agent', 'trace'));

ALTER TABLE runs ADD CONSTRAINT runs_end_reason_check CHECK (end_reason IN (
    'completed', 'error', 'cancelled', 'interrupted', 'limit_steps', 'limit_time', 'limit_tokens', 'limit_cost', 'exited'
));

DROP VIEW runs_now;

CREATE VIEW runs_now WITH (security_invoker = true) AS
SELECT runs.*,
       CASE WHEN end_status IS NULL AND silent_after < now() THEN 'abandoned' ELSE status END AS status_now
FROM runs;

GRANT SELECT ON runs_now TO agenttracer_query;
