-- What would not run, or not as well, where the run tables are spread over servers by project (tests/architecture/citus_rules.py).

-- A run as it stands at this moment. Of one table: whether a run is truncated needs its failures, and the query service asks there.
DROP VIEW runs_now;
CREATE VIEW runs_now WITH (security_invoker = true) AS
SELECT runs.*,
       CASE WHEN end_status IS NULL AND silent_after < now() THEN 'abandoned' ELSE status END AS status_now
FROM runs;
GRANT SELECT ON runs_now TO agenttracer_query;

-- The query service says the same in its own statement.
DROP FUNCTION run_producer_account(text, uuid);

-- Makes the partition of one UTC day. Rows of that day that went to the default partition before move along: then no writer may
-- be under way, since one that has planned a statement before would find them in neither. More rows than can be moved in a moment stay.
CREATE OR REPLACE FUNCTION ensure_steps_partition(day date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '200ms'
AS $$
DECLARE
    child text := 'steps_' || to_char(day, 'YYYYMMDD');
    low timestamptz := day::timestamp AT TIME ZONE 'UTC';
    high timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
    most_moved integer := 50000;
    waiting integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || '.steps', 0));
    IF to_regclass(format('%I.%I', current_schema(), child)) IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT count(*) INTO waiting FROM (
        SELECT 1 FROM steps_default WHERE started_at >= low AND started_at < high LIMIT most_moved + 1
    ) AS found;
    IF waiting > most_moved THEN
        RAISE WARNING '% stays in the default partition: more than % steps lie there', child, most_moved;
        RETURN;
    END IF;
    IF waiting > 0 THEN
        LOCK TABLE ingest_ledger IN SHARE ROW EXCLUSIVE MODE;  -- a writer's transaction begins with its rows
    END IF;
    LOCK TABLE steps_default IN ACCESS EXCLUSIVE MODE;  -- before the work, which would be for nothing
    EXECUTE format('CREATE TABLE %I (LIKE steps INCLUDING ALL)', child);
    IF waiting > 0 THEN
        EXECUTE format('WITH moved AS (DELETE FROM steps_default WHERE started_at >= %L AND started_at < %L RETURNING *) '
                       'INSERT INTO %I SELECT * FROM moved', low, high, child);
    END IF;
    EXECUTE format('ALTER TABLE steps ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', child, low, high);
EXCEPTION WHEN check_violation THEN
    RAISE EXCEPTION USING ERRCODE = 'lock_not_available', MESSAGE = 'somebody wrote into the day meanwhile';
END
$$;
