-- Up to which time of receipt each partition of a topic is stored, also while nothing comes (docs/adr/0026-complete-to.md). Null
-- while unknown. Apart from the ledger: its rows are locked by whoever writes, and nobody waits for this.
CREATE TABLE stored_partitions (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    topic text COLLATE "C" NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    complete_to timestamptz,
    CONSTRAINT stored_partitions_pkey PRIMARY KEY (topic_id, partition)
) WITH (fillfactor = 50);  -- written once a second: a page keeps room for it

GRANT SELECT, INSERT, UPDATE ON stored_partitions TO agenttracer_worker;
GRANT SELECT ON stored_partitions TO agenttracer_query;
