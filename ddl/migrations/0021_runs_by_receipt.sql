-- online
-- Runs by when something of them was last received: what was received last lies at the end of the table, so that the ends of
-- blocks are enough, and no row version needs an entry of its own.

CREATE INDEX CONCURRENTLY IF NOT EXISTS runs_by_receipt ON runs USING brin (last_received_at) WITH (autosummarize = on);
