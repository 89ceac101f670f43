"""The one migration of which something else is executed than what its file says."""

import hashlib
from pathlib import Path

import ddl
from ddl.migrate import migrations


def test_roles_are_looked_for_before_they_are_made() -> None:
    """And the file's checksum stays what stores have recorded."""
    file = (Path(ddl.__file__).parent / "migrations" / "0002_roles.sql").read_text(encoding="utf-8")
    roles = next(migration for migration in migrations() if migration.name == "roles")
    assert roles.sql.index("FROM pg_catalog.pg_roles") < roles.sql.index("CREATE ROLE")
    assert "pg_roles" not in file
    assert roles.checksum == hashlib.sha256(file.encode()).hexdigest()
