"""The reasons why a migration cannot be applied.

MigrationError
├── OldPostgresError        the server is too old
├── NewerStoreError         the store was migrated by a newer release
├── ChangedMigrationError   an applied file was edited
└── HeldTableError          another transaction holds a table for long
"""


class MigrationError(Exception):
    """The store has no part of the migration; the message says what to do."""


class OldPostgresError(MigrationError):
    """The server's major version is below what the workers' SQL needs."""

    def __init__(self, *, found: int, needed: int) -> None:
        super().__init__(f"PostgreSQL {needed} or newer is needed, this server is {found}: upgrade it or point to another")


class NewerStoreError(MigrationError):
    """The store has a migration that this release does not know."""

    def __init__(self, *, version: int) -> None:
        super().__init__(f"the store has migration {version:04d}, which this release does not know: use a newer release")


class ChangedMigrationError(MigrationError):
    """A migration file is not what was applied."""

    def __init__(self, *, version: int, name: str) -> None:
        super().__init__(
            f"migration {version:04d} {name} was changed after it was applied: restore the file, add a new one instead"
        )


class HeldTableError(MigrationError):
    """Another transaction holds a table that the migration changes."""

    def __init__(self, *, version: int, name: str) -> None:
        super().__init__(
            f"migration {version:04d} {name} was not applied: another transaction holds its tables (pg_stat_activity shows it); "
            "end that one, or run this again in a quieter hour"
        )
