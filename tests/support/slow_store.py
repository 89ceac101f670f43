"""Makes a real PostgreSQL slow, row by row."""

import asyncpg


async def slow_down(owner: asyncpg.Connection, table: str, *, seconds_a_row: float) -> None:
    """From now on each row that is about to come into the table takes so long. `owner` has the schema as its search path."""
    await owner.execute(f"""
        CREATE FUNCTION take_your_time() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN PERFORM pg_sleep({seconds_a_row}); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION take_your_time();
    """)
