-- The registry of names. A closed project stores allowed names and pseudonyms alone; an allowed name is shown wherever its
-- pseudonym was stored. Written by the command, as the owner; no function of the topic, like API keys.
CREATE TABLE name_modes (
    project text COLLATE "C" NOT NULL,
    closed boolean NOT NULL DEFAULT false,
    revision bigint NOT NULL DEFAULT 1,
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT name_modes_pkey PRIMARY KEY (project)
);

CREATE TABLE allowed_names (
    project text COLLATE "C" NOT NULL,
    pseudonym text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    name_key_id text COLLATE "C" NOT NULL,
    of_pseudonym boolean NOT NULL,
    allowed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT allowed_names_pkey PRIMARY KEY (project, pseudonym),
    CONSTRAINT allowed_names_pseudonym_check CHECK (pseudonym ~ '^~[0-9a-f]{10}$'),
    CONSTRAINT allowed_names_name_check CHECK (name <> '' AND octet_length(name) <= 1024)
);

GRANT SELECT ON name_modes, allowed_names TO agenttracer_gateway;
GRANT SELECT ON allowed_names TO agenttracer_query;

ALTER TABLE name_modes ENABLE ROW LEVEL SECURITY;
ALTER TABLE allowed_names ENABLE ROW LEVEL SECURITY;
CREATE POLICY gateway_reads_all ON name_modes FOR SELECT TO agenttracer_gateway USING (true);
CREATE POLICY gateway_reads_all ON allowed_names FOR SELECT TO agenttracer_gateway USING (true);
CREATE POLICY query_reads_its_project ON allowed_names FOR SELECT TO agenttracer_query
    USING (project = current_setting('agenttracer.project', true));
