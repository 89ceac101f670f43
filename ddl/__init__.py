"""The store's definition: migrations, the schema they add up to, and the program that applies them. No service's queries."""

from ddl.migrate import SCHEMA, migrate

__all__ = ["SCHEMA", "migrate"]
