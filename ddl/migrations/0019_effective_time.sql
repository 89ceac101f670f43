-- The time that counts for a run whose sender's clock is far off (stream_workers/core/effective_time.py). Events keep the times that
-- they say: steps stay where they are, and only what is listed and counted by time moves. A run of before has no first receipt,
-- and stays as it is until it is heard of again, or the store is rebuilt from the topic.
-- All runs are written anew, since a generated column changes; readers and writers of runs wait for it.

ALTER TABLE runs ADD COLUMN first_received_at timestamptz, ADD COLUMN first_sent_at timestamptz;

-- The same in Python: `time_shift_us` of the module above.
CREATE FUNCTION time_shift_us(received timestamptz, sent timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN received - sent < interval '-10 minutes' OR received - sent > interval '30 days'
            THEN (extract(epoch FROM received - sent) * 1000000)::bigint ELSE 0 END;

DROP VIEW runs_now;

DROP INDEX runs_long;

ALTER TABLE runs
    ADD COLUMN time_shift_us bigint NOT NULL GENERATED ALWAYS AS (time_shift_us(first_received_at, first_sent_at)) STORED,
    ALTER COLUMN started_at SET EXPRESSION AS (
        (coalesce(declared_started_at, first_event_at) AT TIME ZONE 'UTC'
         + time_shift_us(first_received_at, first_sent_at) * interval '1 microsecond') AT TIME ZONE 'UTC'
    );

-- As before, by the times that events say.
CREATE INDEX runs_long ON runs (project, started_at DESC, run_id DESC)
WHERE last_event_at - first_event_at > interval '1 hour' OR declared_started_at > first_event_at;

-- Few, so that whoever adds up steps finds the runs whose steps count at another time.
CREATE INDEX runs_time_shifted ON runs (project, started_at DESC, run_id DESC) WHERE time_shift_us <> 0;

CREATE VIEW runs_now WITH (security_invoker = true) AS
SELECT runs.*,
       CASE WHEN end_status IS NULL AND silent_after < now() THEN 'abandoned' ELSE status END AS status_now
FROM runs;

GRANT SELECT ON runs_now TO agenttracer_query;
