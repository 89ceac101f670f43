-- API keys. Of a key's secret only a keyed hash is here, and what it is keyed with (the pepper) is not in the database. A key is
-- never deleted, so that whoever looks into a log finds whose it was.
CREATE TABLE api_keys (
    key_id text COLLATE "C" PRIMARY KEY CHECK (key_id ~ '^[a-z0-9]{12}$'),
    project text COLLATE "C" NOT NULL,
    scopes text[] COLLATE "C" NOT NULL CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['ingest', 'read', 'admin']),
    name text COLLATE "C" NOT NULL,
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    pepper_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);
CREATE INDEX api_keys_of_project ON api_keys (project, created_at);

-- Gateway and query service read keys and note when each was used; making and revoking them is the owner's.
GRANT SELECT ON api_keys TO agenttracer_gateway, agenttracer_query;
GRANT UPDATE (last_used_at) ON api_keys TO agenttracer_gateway, agenttracer_query;
