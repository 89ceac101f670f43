-- Which runs touch a day, without reading all of them: runs lie about in the order of their time, so a few bytes for each 128 pages
-- tell. BRIN, since the columns move with every batch of a run: it alone leaves those updates heap-only.
CREATE INDEX runs_by_span ON runs USING brin (first_event_at, last_event_at);
