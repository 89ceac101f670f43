-- A project whose records cannot be stored is parked alone, and its records are held back as dead letters: each says whose it is.
ALTER TABLE dead_letters ADD COLUMN project text COLLATE "C";

-- A worker that stores a record after all, because it was delivered again, marks the letter as a retry does.
GRANT UPDATE (attempts, attempted_at, retried_at) ON dead_letters TO agenttracer_worker;
