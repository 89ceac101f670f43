-- What was done to keys and data, and which keys were refused: written, and never changed by what writes it. Who may read the log,
-- and end it, is its owner.
CREATE TABLE audit_log (
    entry uuid NOT NULL DEFAULT uuidv7(),
    at timestamptz NOT NULL DEFAULT now(),
    action text COLLATE "C" NOT NULL,
    project text COLLATE "C",
    key_id text COLLATE "C",
    run_id uuid,
    reason text COLLATE "C",
    number bigint NOT NULL DEFAULT 1,
    role text COLLATE "C" NOT NULL DEFAULT session_user,
    CONSTRAINT audit_log_pkey PRIMARY KEY (entry),
    CONSTRAINT audit_log_action_check CHECK (action IN (
        'key_created', 'key_revoked', 'key_refused', 'run_deleted', 'project_deleted', 'retention_set', 'runs_expired'
    )),
    CONSTRAINT audit_log_number_check CHECK (number > 0)
);
CREATE INDEX audit_log_of_project ON audit_log (project, entry);

-- Services say which keys they refused, and nothing else: neither another action, nor when, nor in whose name.
GRANT INSERT (action, key_id, reason, number) ON audit_log TO agenttracer_gateway, agenttracer_query;
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY services_say_whom_they_refused ON audit_log FOR INSERT TO agenttracer_gateway, agenttracer_query
    WITH CHECK (action = 'key_refused');
