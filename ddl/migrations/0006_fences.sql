-- Whose a partition is: each owner takes an epoch that is one higher than the last, and who comes with a lower one writes nothing.
-- The owner is the worker's own name (its instance, else a random one), which says nothing about a person.
ALTER TABLE ingest_ledger
    ADD COLUMN epoch bigint NOT NULL DEFAULT 0,
    ADD COLUMN owner text COLLATE "C",
    ADD COLUMN taken_at timestamptz;
