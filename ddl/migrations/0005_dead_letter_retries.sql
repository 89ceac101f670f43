-- Dead letters that were tried again. One that went through stays, as what happened; its rows are then in the store.
ALTER TABLE dead_letters
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN attempted_at timestamptz,
    ADD COLUMN retried_at timestamptz;
