"""Writes `ddl/schema.sql`, what the migrations add up to, for people to read in one place. A test proves it true."""

import asyncio
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import ddl
from agenttracer_cli.local_stack import LocalStack
from agenttracer_cli.local_stack.postgres.server import program
from ddl.migrate import SCHEMA, migrate

_FILE: Final = Path(ddl.__file__).with_name("schema.sql")
_HEAD: Final = """-- What the migrations add up to, by `make schema`. migrations/ is where changes are made and explained.
-- The roles agenttracer_gateway, agenttracer_worker and agenttracer_query must exist (migration 0002 makes them).

"""
# Session settings and pg_dump's own marks, which differ from version to version and say nothing about the schema.
_NOISE: Final = re.compile(r"^(SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*|--.*)$\n?", re.MULTILINE)


def dump(dsn: str) -> str:
    """The schema of a migrated database as SQL. Raises CalledProcessError."""
    command = [str(program("pg_dump")), "--schema-only", "--no-owner", f"--schema={SCHEMA}", dsn]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own arguments
    return _HEAD + re.sub(r"\n{3,}", "\n\n", _NOISE.sub("", text)).strip() + "\n"


def main() -> None:
    """Migrate an empty database of a local stack and dump it."""
    with tempfile.TemporaryDirectory() as folder:
        stack = LocalStack(Path(folder))
        stack.start_servers([stack.postgres])
        try:
            asyncio.run(migrate(stack.postgres.dsn()))
            _FILE.write_text(dump(stack.postgres.dsn()), encoding="utf-8")
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
