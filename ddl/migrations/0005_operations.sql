-- Dead letters that were tried again. One that went through stays, as what happened; its rows are then in the store.
ALTER TABLE dead_letters
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN attempted_at timestamptz,
    ADD COLUMN retried_at timestamptz;

-- What was deleted, by whom it was asked or because its time was over. Its events are in the topic for a while yet: workers,
-- rebuilds and the fold leave them out. A null run stands for the whole project.
CREATE TABLE deletions (
    project text COLLATE "C" NOT NULL,
    run_id uuid,
    expired boolean NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (project, run_id)
);
GRANT SELECT ON deletions TO agenttracer_worker;

-- For how long a project's runs are kept after their last event. Without a row: for ever.
CREATE TABLE retention (
    project text COLLATE "C" PRIMARY KEY,
    days integer NOT NULL CHECK (days BETWEEN 1 AND 36500)
);
